# SPDX-License-Identifier: Apache-2.0
"""Every config of Propose-Reduce, full size and ablation, at a size that a test can afford."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_configs import CONFIGS, FOLDER, build, read, reduced

from visbench.models import VISModel
from visbench.models.propose_reduce.reduction import reduce_sequences
from visbench.registry import TASK_UTILS
from visbench.testing.conformance.case import prepared, video_of
from visbench.testing.conformance.scene import Scene, batch

CLASSES = {
    "DAVISUnsupervised": 1,
    "MovingShapesDataset": 8,
    "YouTubeVIS2019": 40,
    "YouTubeVIS2021": 40,
}
METRICS = {"DAVISUnsupervised": "davis/J&F-Mean"}
FULL = {name for name in CONFIGS if not name.endswith("_movingshapes")}
PAPER_X101 = {
    "youtubevis2019": "x101_6xb2-5e_youtubevis2019",
    "davis": "x101_6xb1-5e_davis",
}
FRAMES = {"youtubevis2019": 61_845, "youtubevis2021": 90_160, "davis": 4_219}


def losses_of(config: Any, model: VISModel) -> dict[str, torch.Tensor]:
    classes = config.model.detector.roi_head.bbox_head.num_classes
    data = batch([Scene(0, 2), Scene(1, 2)], [0])
    for frame in (frame for sample in data["data_samples"] for frame in sample):
        frame.gt_instances.labels.clamp_(max=classes - 1)
    losses: dict[str, torch.Tensor] = model(
        **model.data_preprocessor(data, training=True), mode="loss"
    )
    return losses


SOUND: set[str] = set()
"""Reduced models that have been tried: those of several configs are the same."""


def trains_and_predicts(name: str) -> None:
    config = read(name)
    key = repr(reduced(config))
    if key in SOUND:
        return
    model = build(config)
    losses = losses_of(config, model)
    assert float(losses["loss_prop"]) > 0
    loss, _ = model.parse_losses(losses)
    assert torch.isfinite(loss)
    loss.backward()
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    assert any(p.grad is not None and p.grad.any() for p in trained.values())
    unused = {n for n, p in trained.items() if p.grad is None}
    assert unused == set(model.parameters_without_gradient(config.model))
    model.eval()
    frames = prepared(model, Scene(2, 3))
    tracks = model.segment(video_of(frames), frames)
    assert tracks.video.length == 3
    assert tracks.tracks
    assert all(np.isfinite(prediction.score) for prediction in tracks.predictions)
    assert all(track.masks is not None for track in tracks.tracks)
    SOUND.add(key)


# The switches of the ablations act on the same network, so of each kind one is run as a whole.
@pytest.mark.parametrize(
    "name",
    [
        *sorted(name for name in CONFIGS if CONFIGS[name].parent == FOLDER),
        *(f"propose-reduce_{slug}_demo_movingshapes" for slug in ("4-no-reduction", "7-kall")),
        "propose-reduce_5-category-aware_demo_movingshapes",
    ],
)
def test_config_trains_and_predicts(name: str) -> None:
    trains_and_predicts(name)


def test_key_frames_and_reduction_do_not_act_in_training() -> None:
    """``benchmark.py claims`` trains these rows once."""

    def total(name: str) -> float:
        config = read(f"{name}_demo_movingshapes")
        model = build(config)
        return float(model.parse_losses(losses_of(config, model))[0])

    demo = total("propose_reduce")
    for row in ("4-no-reduction", "5-category-aware", "7-k1"):
        assert total(f"propose-reduce_{row}") == demo


@pytest.mark.parametrize("name", CONFIGS)
def test_config_is_complete_and_consistent(name: str) -> None:
    config = read(name)
    dataset = config.val_dataloader.dataset
    kind = dataset.type.rpartition(".")[2]
    heads = config.model.detector.roi_head
    assert heads.bbox_head.num_classes == heads.mask_head.num_classes == CLASSES[kind]
    assert config.train_cfg.val_interval <= config.train_cfg.max_iters
    assert config.default_hooks.checkpoint.interval <= config.train_cfg.max_iters
    assert config.default_hooks.checkpoint.save_best == METRICS.get(kind, "youtube_vis/AP")
    assert dict(config.val_dataloader) == dict(config.test_dataloader)
    assert config.val_evaluator == config.test_evaluator
    for component in (config.model.key_frames, config.model.score, *config.model.reduce):
        TASK_UTILS.build(component)
    if name.endswith("-holdout"):
        assert config.train_dataloader.dataset.split == "train_holdout-train"
        assert dataset.split == "train_holdout-val"


@pytest.mark.parametrize("name", sorted(FULL))
def test_name_and_schedule_agree(name: str) -> None:
    config = read(name)
    found = re.search(r"_(r50|r101|x101)(?:-8gb)?_(\d)xb(\d)(?:-accum(\d)-amp)?-(\d)e_", name)
    assert found
    backbone, gpus, batch_size, batches, epochs = found.groups()
    loader = config.train_dataloader
    step = int(gpus) * int(batch_size) * int(batches or 1)
    assert config.train_cfg.get("batches_per_update", 1) == int(batches or 1)
    assert loader.batch_size == int(batch_size)
    # Draws of a mixture are its own, in no groups.
    mixed = loader.dataset.type == "visbench.MixedDataset"
    assert loader.sampler.group_size == (1 if mixed else step)
    assert config.auto_scale_lr.base_batch_size == step
    data = re.sub(r"-(coco|holdout)$", "", name.rpartition("_")[2])
    frames = FRAMES[data] + (240_000 if mixed else 0)
    assert config.train_cfg.max_iters * step / frames == pytest.approx(int(epochs), rel=0.03)
    kinds = {"r50": ("mmdet.ResNet", 50), "r101": ("mmdet.ResNet", 101)}
    network = config.model.detector.backbone
    assert (network.type, network.depth) == kinds.get(backbone, ("mmdet.ResNeXt", 101))
    for scheduler in config.param_scheduler:
        assert all(step < config.train_cfg.max_iters for step in scheduler.get("milestones", []))
    start = Path(config.load_from)
    if start.parts[0] == "work_dirs":
        earlier = read(start.parts[1])
        assert start.name == f"iter_{earlier.train_cfg.max_iters}.pth"
        assert earlier.model.detector == config.model.detector
    else:
        assert start.name.startswith("propose-reduce_")
        assert f"_{backbone}_" in start.name


@pytest.mark.parametrize("data", PAPER_X101)
@pytest.mark.parametrize("slug", ["1", "2", "4", "6", "8", "all"])
def test_key_frames_of_the_sweep(data: str, slug: str) -> None:
    expected = {"1": [0], "2": [0, 12], "4": [0, 6, 12, 18], "6": [0, 4, 8, 12, 16, 20]}
    expected |= {"8": [3 * k for k in range(8)], "all": list(range(24))}
    full = read(f"propose-reduce-paper_7-k{slug}_{PAPER_X101[data]}").model.key_frames
    assert TASK_UTILS.build(full)(24) == expected[slug]
    demo = read(f"propose-reduce_7-k{slug}_demo_movingshapes").model.key_frames
    assert len(TASK_UTILS.build(demo)(24)) == len(expected[slug])


def test_settings_of_the_released_and_of_the_paper_s_rows() -> None:
    released = read("propose-reduce_x101_4xb2-4e_youtubevis2019").model
    paper = read(f"propose-reduce-paper_{PAPER_X101['youtubevis2019']}").model
    assert TASK_UTILS.build(released.key_frames)(36) == [0, 8, 17, 26, 35]
    assert TASK_UTILS.build(paper.key_frames)(36) == [0, 6, 12, 18, 24, 30]
    assert (released.propose.memory_interval, paper.propose.memory_interval) == (1, 5)
    assert released.score.type != paper.score.type
    assert released.detector.rpn_head.type == "visbench.ReferenceRPNHead"
    assert paper.detector.rpn_head.type == "mmdet.RPNHead"
    davis = read("propose-reduce_r101_4xb2-4e_davis").model
    assert len(TASK_UTILS.build(davis.key_frames)(70)) == 8
    assert (davis.propose.memory_interval, davis.propose.memory_count) == (None, 10)
    assert [reducer.type for reducer in davis.reduce] == ["visbench.SequenceSoftNMS"]
    paper_davis = read("propose-reduce-paper_r101_6xb2-5e_davis").model
    assert len(TASK_UTILS.build(paper_davis.key_frames)(70)) == 4


def test_category_aware_rows_differ_in_the_reduction_only() -> None:
    names = [name for name in CONFIGS if "category-aware" in name or "-ca_" in name]
    assert len(names) == 5 + 3 + 1
    for name in names:
        plain = name.replace("-ca_", "_").replace("_5-category-aware_", "_")
        plain = "propose_reduce_demo_movingshapes" if name.endswith("_movingshapes") else plain
        ours, theirs = read(name).to_dict(), read(plain).to_dict()
        switches = ("reduce", "score_threshold", "max_predictions")
        for config in (ours, theirs):
            for key in switches:
                config["model"].pop(key, None)
        assert ours == theirs
        reducers = [TASK_UTILS.build(reducer) for reducer in read(name).model.reduce]
        assert len(reducers) == 2


def test_without_reduction_every_proposal_stays() -> None:
    for name in (name for name in CONFIGS if "_4-no-reduction_" in name):
        reducers = [TASK_UTILS.build(reducer) for reducer in read(name).model.reduce]

        class Same:
            def __len__(self) -> int:
                return 3

        scores = np.full((3, 2), 0.5)
        assert reduce_sequences(reducers, Same(), scores).kept.tolist() == [0, 1, 2]
