# SPDX-License-Identifier: Apache-2.0
"""Every config of IDOL, full size and ablation, at a size that a test can afford."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from config_checks import changed, predict
from mmengine.config import Config

from visbench.datasets import Draw
from visbench.models import VISModel
from visbench.registry import DATASETS, MODELS
from visbench.testing.conformance.case import seed_all
from visbench.testing.conformance.scene import Scene, batch

FOLDER = Path(__file__).parents[3] / "configs" / "idol"
CONFIGS = {path.stem: path for path in sorted(FOLDER.rglob("*.py"))}
CLASSES = {"CocoClips": 80, "MovingShapesDataset": 8, "OVIS": 25}
BACKBONES = ["r50", "r101", "swin-l"]
TABLE = ["1-id-head", "2-multi-cues", "3-embeddings", "4-optimal-transport"]
OTHERS = ["5-multi-cues-optimal-transport", "negatives-by-rank"]
MEMORY = ["t1", "t5", "t10", "tau025", "tau050", "tau100"]
TIERS = ("r50_8xb2-12k_ovis", "demo_movingshapes")
DEMO = "idol_demo_movingshapes"


@cache
def read(name: str) -> Config:
    return Config.fromfile(CONFIGS[name])


def reduced(config: Any) -> Any:
    """Return a model config with a thin backbone and transformer, and no downloads."""
    model = copy.deepcopy(config.model)
    model.backbone.pop("init_cfg", None)
    if model.backbone.type == "mmdet.SwinTransformer":
        model.backbone.update(embed_dims=24, depths=[1, 1, 1, 1], window_size=4)
        model.neck.in_channels = [48, 96, 192]
    elif model.backbone.depth >= 50:
        model.backbone.update(depth=18, base_channels=8, stem_channels=8)
        model.neck.in_channels = [16, 32, 64]
    groups = model.neck.norm_cfg.num_groups
    model.neck.out_channels = max(32, groups)
    model.transformer.update(
        num_queries=30, feedforward_channels=32, num_encoder_layers=1, num_decoder_layers=2
    )
    if model.transformer.get("query_grid"):
        model.transformer.query_grid = (5, 6)
    model.head.embed_channels = 32
    return model


def build(config: Any) -> VISModel:
    seed_all(0)
    model: VISModel = MODELS.build(reduced(config))
    model.init_weights()
    seed_all(1)
    for branch in model.head.cls_branches:
        # Every class starts at a probability of 0.01, below any threshold.
        torch.nn.init.normal_(branch.weight, std=0.5)
        torch.nn.init.zeros_(branch.bias)
    for branch in model.head.reg_branches:
        torch.nn.init.normal_(branch[-1].weight, std=0.1)
    return model


def losses_of(model: VISModel) -> dict[str, torch.Tensor]:
    seed_all(2)
    scenes = [Scene(0, 2), Scene(1, 2)]
    data = model.data_preprocessor(batch(scenes, [0, 1]), training=True)
    losses: dict[str, torch.Tensor] = model(**data, mode="loss")
    return losses


@pytest.mark.parametrize("name", [name for name in CONFIGS if "_tau" not in name])
def test_config_trains_and_predicts(name: str) -> None:
    model = build(read(name))
    losses = losses_of(model)
    loss, _ = model.parse_losses(losses)
    assert torch.isfinite(loss)
    loss.backward()
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    assert {n for n, p in trained.items() if p.grad is None} == set()
    tracks = predict(model, 2)
    assert tracks.video.length == 2
    assert all(0 <= prediction.score <= 1 for prediction in tracks.predictions)


@pytest.mark.parametrize("name", CONFIGS)
def test_config_is_complete_and_consistent(name: str) -> None:
    config = read(name)
    kind = config.val_dataloader.dataset.type.rpartition(".")[2]
    assert config.model.head.num_classes == CLASSES.get(kind, 40)
    assert config.train_cfg.val_interval <= config.train_cfg.max_iters
    assert name.endswith("_movingshapes") or f"-{config.train_cfg.max_iters // 1000}k_" in name
    assert config.param_scheduler[-1].end == config.train_cfg.max_iters
    assert config.val_evaluator == config.test_evaluator
    assert dict(config.val_dataloader) == dict(config.test_dataloader)
    if "_8xb" in name:
        per_device = int(name.partition("_8xb")[2].partition("-")[0])
        assert config.train_dataloader.batch_size == per_device
        assert config.auto_scale_lr.base_batch_size == 8 * per_device
        assert config.optim_wrapper.clip_grad.max_norm == 0.01
        assert config.optim_wrapper.paramwise_cfg.custom_keys.backbone.lr_mult == 0.1
    if name.endswith("-holdout"):
        assert config.train_dataloader.dataset.split == "train_holdout-train"
        assert config.val_dataloader.dataset.split == "train_holdout-val"


@pytest.mark.parametrize(
    "name",
    [
        *(f"idol_{name}_8xb4-12k_youtubevis{y}" for name in BACKBONES for y in (2019, 2021)),
        *(f"idol_{name}_8xb2-12k_ovis" for name in BACKBONES),
        *("idol_r50_8xb4-59k_coco", "idol_r101_8xb4-59k_coco", "idol_swin-l_8xb2-148k_coco"),
        *(f"idol_{slug}_{tier}" for slug in (*TABLE, *OTHERS, *MEMORY) for tier in TIERS),
        *("idol_test360_r50_8xb4-12k_youtubevis2019", DEMO),
    ],
)
def test_every_row_has_its_config(name: str) -> None:
    assert name in CONFIGS


@pytest.mark.parametrize("slug", [*TABLE, *OTHERS, *MEMORY])
def test_both_tiers_change_the_same_switches(slug: str) -> None:
    changes = []
    for tier in TIERS:
        ours, theirs = read(f"idol_{slug}_{tier}"), read(f"idol_{tier}")
        assert {key for key in ours if ours[key] != theirs.get(key)} <= {"model"}
        changes.append(changed(ours.model.to_dict(), theirs.model.to_dict()))
    assert changes[0] == changes[1] != {}


def test_training_switches_change_the_loss_and_test_time_switches_do_not() -> None:
    def total(slug: str) -> float:
        model = build(read(f"idol_{slug}_demo_movingshapes" if slug else DEMO))
        return float(model.parse_losses(losses_of(model))[0])

    by_row = {slug: total(slug) for slug in ("1-id-head", "2-multi-cues", "")}
    assert len(set(by_row.values())) == len(by_row), by_row
    # Rows of one training.
    assert total("3-embeddings") == by_row["2-multi-cues"]
    assert total("4-optimal-transport") == total("t5") == by_row[""]


def test_pairs_of_videos(tiny_youtube_vis: Path) -> None:
    """The data of the full-size configs, from files to a loss."""
    config = read("idol_r50_8xb4-12k_youtubevis2019").train_dataloader.dataset.copy()
    dataset = DATASETS.build({**config, "data_root": str(tiny_youtube_vis)})
    model = build(read("idol_r50_8xb4-12k_youtubevis2019"))
    shapes = []
    for number in range(8):
        sample = dataset[Draw(number % len(dataset), number, 0)]
        key, reference = (frame.metainfo for frame in sample["data_samples"])
        assert sample["data_samples"].metainfo["key_frames_inds"] == [0]
        assert key["frame_id"] <= reference["frame_id"]
        assert key["flip"] == reference["flip"]
        shapes.append(tuple(image.shape[1:] for image in sample["inputs"]))
        assert all(max(shape) <= 768 for shape in shapes[-1])
    assert len(set(shapes)) > 1
    again = dataset[Draw(3 % len(dataset), 3, 0)]
    assert tuple(image.shape[1:] for image in again["inputs"]) == shapes[3]
    data = {
        "inputs": [[image] for image in sample["inputs"]],
        "data_samples": [sample["data_samples"]],
    }
    data = model.data_preprocessor(data, training=True)
    assert torch.isfinite(model.parse_losses(model(**data, mode="loss"))[0])


def test_pairs_of_views(tiny_coco: Path) -> None:
    config = read("idol_r50_8xb4-59k_coco").train_dataloader.dataset.copy()
    dataset = DATASETS.build({**config, "data_root": str(tiny_coco)})
    flips, sizes = set(), set()
    for number in range(12):
        sample = dataset[Draw(number % len(dataset), number, 0)]
        assert len(sample["inputs"]) == 2
        flips.add(tuple(frame.metainfo["flip"] for frame in sample["data_samples"]))
        sizes.add(tuple(image.shape for image in sample["inputs"]))
        first, second = (labels_of(frame.gt_instances) for frame in sample["data_samples"])
        assert all(first[number] == second[number] for number in set(first) & set(second))
    # The views differ in flip and size.
    assert {(True, False), (False, True)} & flips
    assert any(first != second for first, second in sizes)


def labels_of(instances: Any) -> dict[int, int]:
    ids, labels = instances.instances_ids.tolist(), instances.labels.tolist()
    return dict(zip(ids, labels, strict=True))
