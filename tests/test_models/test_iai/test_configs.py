# SPDX-License-Identifier: Apache-2.0
"""Every config of IAI, full size and ablation, at a size that a test can afford."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from config_checks import changed, predict
from mmengine.config import Config

from visbench.models import VISModel
from visbench.registry import MODELS, TRANSFORMS
from visbench.testing.conformance.case import seed_all
from visbench.testing.conformance.scene import Scene, batch

FOLDER = Path(__file__).parents[3] / "configs" / "iai"
CONFIGS = {path.stem: path for path in sorted(FOLDER.rglob("*.py"))}
CLASSES = {"MovingShapesDataset": 8, "OVIS": 25, "YouTubeVIS2019": 40, "YouTubeVIS2021": 40}
FULL = "r50_4xb4-12e_youtubevis2019"
DEMO = "demo_movingshapes"
SLUGS = [
    *("4-neither", "4-identification", "4-association"),
    *("5-local-class", "5-global-class", "5-local-global"),
    *("6-condinst-track", "6-mask-rcnn-track"),
    *("7-cross-entropy", "8-convs3", "8-convs4"),
]
SWITCHES = [slug for slug in SLUGS if not slug.startswith("6")]
REFERENCE = {"overflow": "share", "padding_id": 0, "new_objects_in_training": False}


@cache
def read(name: str) -> Config:
    return Config.fromfile(CONFIGS[name])


def reduced(config: Any) -> Any:
    """Return a model config with a thin backbone, few channels and no downloads.

    What the rows switch stays as it is.
    """
    model = copy.deepcopy(config.model)
    model.backbone.pop("init_cfg", None)
    if model.backbone.depth < 50:
        return model
    model.backbone.update(depth=18, base_channels=8, stem_channels=8)
    inputs = [8, 16, 32, 64]
    if model.type == "visbench.IAI" and model.association:
        association = model.association
        association.update(in_channels=inputs[-1], channels=32)
        if association.classification_channels:
            association.classification_channels = 32
        association.setdefault("block", {}).update(window=5, hidden_channels=64)
        inputs[-1] = 64 + association.classification_channels
    model.neck.in_channels = inputs
    model.data_preprocessor.pad_size_divisor = 32
    if model.segmenter.type.endswith("IAICondInst"):
        model.segmenter.head.stacked_convs = 1
        model.segmenter.mask_features.update(feat_channels=16, num_stacked_convs=1)
    else:
        model.segmenter.roi_head.mask_head.num_convs = 1
        model.segmenter.roi_head.bbox_head.fc_out_channels = 64
        if "track_head" not in model:
            model.segmenter.id_branch = {"fc_channels": 64}
    if "track_head" in model:
        model.track_head.embed_head.fc_out_channels = 64
    return model


def build(config: Any) -> VISModel:
    seed_all(0)
    model: VISModel = MODELS.build(reduced(config))
    model.init_weights()
    segmenter = model.segmenter
    seed_all(1)
    for name, parameter in segmenter.named_parameters():
        if name.endswith(
            ("conv_cls.weight", "fc_cls.weight", "predictor.weight", "controller.weight")
        ):
            # Untrained probabilities are hardly ever above a threshold.
            torch.nn.init.normal_(parameter, std=0.3)
        if name.endswith(("conv_cls.bias", "predictor.bias")):
            torch.nn.init.zeros_(parameter)
        if name.endswith("conv_reg.bias"):
            torch.nn.init.constant_(parameter, 2.0)
    return model


def losses_of(config: Any, model: VISModel) -> dict[str, torch.Tensor]:
    clip = config.train_dataloader.dataset.clip
    length = clip.num_frames if "num_frames" in clip else clip.lengths[-1][1]
    scenes = [Scene(0, length), Scene(1, length)]
    data = model.data_preprocessor(batch(scenes, list(range(length))), training=True)
    seed_all(2)
    losses: dict[str, torch.Tensor] = model(**data, mode="loss")
    return losses


@pytest.mark.parametrize("name", CONFIGS)
def test_config_trains_and_predicts(name: str) -> None:
    config = read(name)
    model = build(config)
    losses = losses_of(config, model)
    has_ids = "track_head" not in config.model and config.model.segmenter.get(
        "identification", True
    )
    assert ("loss_id" in losses) == has_ids
    assert ("loss_track" in losses) == ("track_head" in config.model)
    assert "loss_mask" in losses
    loss, _ = model.parse_losses(losses)
    assert torch.isfinite(loss)
    loss.backward()
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    # Distributed training stops at parameters without a gradient unless it is told.
    unused = {n for n, p in trained.items() if p.grad is None}
    assert not unused
    tracks = predict(model)
    assert tracks.video.length == 3
    assert tracks.tracks
    assert all(np.isfinite(prediction.score) for prediction in tracks.predictions)


@pytest.mark.parametrize("name", CONFIGS)
def test_config_is_complete_and_consistent(name: str) -> None:
    config = read(name)
    dataset = config.val_dataloader.dataset
    model = config.model
    assert model.segmenter.num_classes == CLASSES[dataset.type.rpartition(".")[2]]
    assert config.train_cfg.val_interval <= config.train_cfg.max_iters
    assert config.param_scheduler[-1].end == config.train_cfg.max_iters
    assert config.default_hooks.checkpoint.interval <= config.train_cfg.max_iters
    assert dict(config.val_dataloader) == dict(config.test_dataloader)
    inputs = [128 if model.backbone.depth == 18 else 2048]
    if model.type == "visbench.IAI" and model.association:
        channels = model.association
        inputs = [2 * channels.channels + channels.classification_channels]
        assert channels.stride == (16 if model.backbone.depth == 18 else 32)
    assert model.neck.in_channels[-1:] == inputs
    if not name.endswith("_movingshapes"):
        batch_size = config.train_dataloader.batch_size
        batches = config.train_cfg.get("batches_per_update", 1)
        gpus = 16 // (batch_size * batches)
        assert config.auto_scale_lr.base_batch_size == gpus * batch_size * batches
        small = f"-accum{batches}-amp" if batches > 1 else ""
        assert f"_{gpus}xb{batch_size}{small}-12e_" in name
        assert ("r101" in name) == (model.backbone.depth == 101)
    is_reference = name.endswith("-reference")
    assert all((model.get(field) == value) == is_reference for field, value in REFERENCE.items())
    # The reference normalises by other numbers than MMDetection.
    mean = tuple(model.data_preprocessor.get("mean", ()))
    assert (mean == (123.68, 116.779, 103.939)) == is_reference
    slowed = config.optim_wrapper.get("paramwise_cfg", {}).get("custom_keys", {})
    assert ("classification_projector" in slowed) == is_reference


@pytest.mark.parametrize("name", [n for n in CONFIGS if not n.endswith("_movingshapes")])
def test_clips_are_those_of_the_row(name: str) -> None:
    config = read(name)
    dataset = config.train_dataloader.dataset
    assert dataset.clip == {
        "type": "visbench.SampleGapClip",
        "num_frames": 5,
        "max_gap": 3,
        "annotated": "all",
    }
    resize = TRANSFORMS.build(dataset.pipeline[1])
    flip = TRANSFORMS.build(dataset.pipeline[2])
    multi_scale = "-ms_" in name
    assert (resize.transforms.transforms[0].scale == (640, 360)) == (not multi_scale)
    assert resize.share_random_params == (multi_scale and "ovis" not in name)
    assert not flip.share_random_params


@pytest.mark.parametrize(
    "name",
    [
        *(f"iai_{FULL}{end}" for end in ("", "-reference")),
        "iai_r50-ms_4xb4-12e_youtubevis2019-reference",
        "iai_r101_8xb2-12e_youtubevis2019",
        "iai_r101-ms_8xb2-12e_youtubevis2019-reference",
        "iai_r50-ms_8xb2-12e_youtubevis2021-reference",
        "iai_r50-ms_8xb2-12e_ovis",
        "iai_r50-ms_8xb2-12e_ovis-youtubevis2019-reference",
        *(f"iai_mask-rcnn_{tier}" for tier in (FULL, DEMO)),
        *(f"iai_{slug}_{tier}" for slug in SLUGS for tier in (FULL, DEMO)),
        *(f"iai_{tier}_movingshapes" for tier in ("demo", "quick")),
    ],
)
def test_every_row_has_its_config(name: str) -> None:
    assert name in CONFIGS


@pytest.mark.parametrize("slug", SWITCHES)
def test_both_tiers_change_the_same_switches(slug: str) -> None:
    tiers = {FULL: f"iai_{FULL}", DEMO: f"iai_{DEMO}"}
    full, demo = (
        changed(read(f"iai_{slug}_{tier}").to_dict(), read(base).to_dict())
        for tier, base in tiers.items()
    )
    # The neck takes what the association module puts out.
    for differences in (full, demo):
        differences.pop("model.neck.in_channels", None)
    assert full == demo
    assert full


def test_every_switch_changes_the_losses() -> None:
    names = [f"iai_{DEMO}", *(f"iai_{slug}_{DEMO}" for slug in SWITCHES)]
    seen = {}
    for name in names:
        config = read(name)
        model = build(config)
        loss, _ = model.parse_losses(losses_of(config, model))
        seen[name] = float(loss)
    assert len(set(seen.values())) == len(names), seen
