# SPDX-License-Identifier: Apache-2.0
"""Every config of InsPro, full size and ablation, at a size that a test can afford."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from config_checks import changed, predict
from mmengine.config import Config

from visbench.datasets import Draw, coco
from visbench.engine.checkpoint import load_checkpoint_file, load_weights
from visbench.engine.commands import build_runner
from visbench.engine.conversion import convert, save_weights
from visbench.models import VISModel
from visbench.registry import DATASETS, MODELS
from visbench.structures import VideoTracks
from visbench.testing.conformance.case import seed_all
from visbench.testing.conformance.scene import Scene, batch

FOLDER = Path(__file__).parents[3] / "configs" / "inspro"
CONFIGS = {path.stem: path for path in sorted(FOLDER.rglob("*.py"))}
CLASSES = {
    "CocoClips": 80,
    "ImageNetVID": 30,
    "MovingShapesDataset": 8,
    "OVIS": 25,
    "YouTubeVIS2019": 40,
    "YouTubeVIS2021": 40,
}
FULL = "r50_8xb1-32k_youtubevis2019"
SLUGS = [
    *("2a-no-propagation", "2a-query-proposal", "2a-query-proposal-tcm", "2a-query-tcm"),
    *("2a-proposal-tcm", "2b-dedup"),
    *("2c-bank1", "2c-bank9", "2c-bank18", "2c-bank27", "2c-bank36"),
]


@cache
def read(name: str) -> Config:
    return Config.fromfile(CONFIGS[name])


def reduced(config: Any) -> Any:
    """Return a model config with a thin backbone, few slots and two stages, and no downloads.

    Channels between the parts stay, so parts unknown here still fit.
    """
    model = copy.deepcopy(config.model)
    backbone = model.backbone
    backbone.pop("init_cfg", None)
    if backbone.depth >= 50:
        backbone.update(depth=18, base_channels=8, stem_channels=8)
        model.neck.in_channels = [8, 16, 32, 64]
    model.head.update(num_queries=8, num_stages=2)
    model.head.stage.update(feedforward_channels=32, dynamic_channels=4)
    # Untrained slots are hardly ever as probable as a threshold asks.
    model.test_cfg.frame_score_thr = 0.0
    if model.get("mask_branch"):
        model.mask_branch.update(num_stacked_convs=1)
    return model


def build(config: Any) -> VISModel:
    seed_all(0)
    model: VISModel = MODELS.build(reduced(config))
    model.init_weights()
    seed_all(1)
    for name, parameter in model.named_parameters():
        if name.endswith(("fc_reg.weight", "fc_cls.weight")):
            # They start so small that what they are fed hardly shows.
            torch.nn.init.normal_(parameter, std=0.1)
    return model


def fields(value: Any, key: str) -> Iterator[Any]:
    """Yield the values of a field wherever it occurs."""
    if isinstance(value, dict):
        for name, item in value.items():
            if name == key:
                yield item
            yield from fields(item, key)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from fields(item, key)


def clip_length(config: Any) -> int:
    """Return the number of frames of a training clip, the final one where clips grow."""
    clip = next(fields(config.train_dataloader.dataset, "clip"))
    return clip.lengths[-1][1] if "lengths" in clip else clip.num_frames


def losses_of(config: Any, model: VISModel) -> dict[str, torch.Tensor]:
    length = clip_length(config)
    scenes = [Scene(0, length), Scene(1, length)]
    data = model.data_preprocessor(batch(scenes, list(range(length))), training=True)
    losses: dict[str, torch.Tensor] = model(**data, mode="loss")
    return losses


def total_loss(config: Any, model: VISModel) -> torch.Tensor:
    loss: torch.Tensor = model.parse_losses(losses_of(config, model))[0]
    return loss


@pytest.mark.parametrize("name", CONFIGS)
def test_config_trains_and_predicts(name: str) -> None:
    config = read(name)
    model = build(config)
    with_masks = config.model.mask_branch is not None
    losses = losses_of(config, model)
    assert {"loss_dice", "loss_mask"} & set(losses) == (
        {"loss_dice", "loss_mask"} if with_masks else set()
    )
    loss, _ = model.parse_losses(losses)
    assert torch.isfinite(loss)
    loss.backward()
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    assert any(p.grad is not None and p.grad.any() for p in trained.values())
    # Distributed training stops at parameters without a gradient unless it is told.
    assert config.find_unused_parameters
    unused = {n for n, p in trained.items() if p.grad is None}
    assert unused == set(model.parameters_without_gradient(config.model))
    tracks = predict(model)
    assert tracks.video.length == 3
    assert all(np.isfinite(prediction.score) for prediction in tracks.predictions)
    assert all((track.masks is not None) == with_masks for track in tracks.tracks)


@pytest.mark.parametrize("name", CONFIGS)
def test_config_is_complete_and_consistent(name: str) -> None:
    config = read(name)
    dataset = config.val_dataloader.dataset
    kind = dataset.type.rpartition(".")[2]
    if kind in CLASSES:
        assert config.model.head.num_classes == CLASSES[kind]
    assert config.train_cfg.val_interval <= config.train_cfg.max_iters
    assert name.endswith("_movingshapes") or f"-{config.train_cfg.max_iters // 1000}k_" in name
    assert config.param_scheduler[-1].get("end", config.train_cfg.max_iters) == (
        config.train_cfg.max_iters
    )
    assert config.default_hooks.checkpoint.interval <= config.train_cfg.max_iters
    metric = config.default_hooks.checkpoint.save_best.partition("/")[0]
    measured = config.val_evaluator.metric
    assert metric.removeprefix("coco_") in ([measured] if isinstance(measured, str) else measured)
    if config.model.mask_branch and config.model.mask_branch.norm_cfg.type == "BN":
        assert config.sync_bn == "torch"
    assert config.val_evaluator == config.test_evaluator
    assert dict(config.val_dataloader) == dict(config.test_dataloader)
    if name.endswith("-holdout"):
        assert config.train_dataloader.dataset.split == "train_holdout-train"
        assert dataset.split == "train_holdout-val"


@pytest.mark.parametrize(
    "name",
    [
        *(f"inspro_r50_8xb1-32k_{data}" for data in ("youtubevis2021", "ovis")),
        *(f"inspro_r50_8xb1-32k_{d}-holdout" for d in ("youtubevis2019", "youtubevis2021", "ovis")),
        *(f"inspro_r50_8xb1-32k_youtubevis{year}-coco" for year in (2019, 2021)),
        "inspro_r101_8xb1-32k_youtubevis2019",
        *("inspro_r50_8xb2-264k_coco", "inspro_r101_8xb2-264k_coco"),
        *(f"inspro_{slug}_{tier}" for slug in SLUGS for tier in (FULL, "demo_movingshapes")),
    ],
)
def test_every_row_has_its_config(name: str) -> None:
    assert name in CONFIGS


def test_the_readme_states_the_number_of_parameters() -> None:
    with torch.device("meta"):
        model = MODELS.build(read(f"inspro_{FULL}").model)
    millions = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    # The paper prints 106.1, which leaves no room for a mask branch.
    assert 106 < millions < 108.5
    assert f"this implementation has {millions:.2f} M" in (FOLDER / "README.md").read_text()


@pytest.mark.parametrize("slug", SLUGS)
def test_both_tiers_change_the_same_switches(slug: str) -> None:
    tiers = {FULL: f"inspro_{FULL}", "demo_movingshapes": "inspro_demo_movingshapes"}
    full, demo = (
        changed(read(f"inspro_{slug}_{tier}").to_dict(), read(base).to_dict())
        for tier, base in tiers.items()
    )
    assert full == demo
    switches = {"propagate_query", "propagate_proposal", "bank_size", "tcm", "dedup_beta"}
    assert {name.rpartition(".")[2] for name in full} <= switches
    bank = int(slug.removeprefix("2c-bank")) if slug.startswith("2c") else 1
    assert read(f"inspro_{slug}_{FULL}").model.head.bank_size == bank


def signature(tracks: VideoTracks) -> tuple[Any, ...]:
    return (
        tuple(prediction.score for prediction in tracks.predictions),
        tuple(track.boxes.tobytes() for track in tracks.tracks if track.boxes is not None),
    )


def test_every_training_switch_changes_the_loss() -> None:
    slugs = [slug for slug in SLUGS if not slug.startswith("2c")] + ["2c-bank18"]
    configs = [read(f"inspro_{slug}_demo_movingshapes") for slug in slugs]
    losses = [float(total_loss(config, build(config))) for config in configs]
    assert len(set(losses)) == len(slugs), dict(zip(slugs, losses, strict=True))


def test_every_switch_of_the_network_changes_the_result() -> None:
    slugs = ["2a-no-propagation", "2a-query-tcm", "2a-proposal-tcm", "2b-dedup", "2c-bank18"]
    configs = [read(f"inspro_{slug}_demo_movingshapes") for slug in slugs]
    results = [signature(predict(build(config))) for config in configs]
    assert len(set(results)) == len(slugs)
    # How frames are matched and the losses act in training only.
    for slug in ("2a-query-proposal", "2a-query-proposal-tcm"):
        config = read(f"inspro_{slug}_demo_movingshapes")
        assert signature(predict(build(config))) == results[slugs.index("2b-dedup")]


def test_bank_size_acts_at_test_with_the_same_weights() -> None:
    config = copy.deepcopy(read("inspro_2c-bank36_demo_movingshapes"))
    config.model.head.bank_size = 36
    weights = build(config).state_dict()
    results = {}
    for size in (1, 9, 18, 36):
        model = build(read(f"inspro_2c-bank{size}_demo_movingshapes"))
        model.load_state_dict(weights)
        results[size] = signature(predict(model, length=20))
    assert len(set(results.values())) == 4
    # Training clips of three frames fill no bank of nine.
    sizes = (9, 18, 27, 36)
    losses = {
        float(total_loss(config, build(config)))
        for config in (read(f"inspro_2c-bank{size}_demo_movingshapes") for size in sizes)
    }
    assert len(losses) == 1


def test_pretraining_and_clips_train_on_data(
    tiny_youtube_vis: Path, tiny_coco: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The data of the full-size configs, from files to a loss."""
    target = coco.TargetClasses(("disc", "square"), {"person": "disc", "car": "square"})
    monkeypatch.setitem(coco.TARGETS, "youtube_vis_2019", target)
    mixed = read("inspro_r50_8xb1-32k_youtubevis2019-coco").train_dataloader.dataset.copy()
    mixed.datasets = [
        {**mixed.datasets[0], "data_root": str(tiny_youtube_vis)},
        {**mixed.datasets[1], "data_root": str(tiny_coco)},
    ]
    images = read("inspro_r50_8xb2-264k_coco").train_dataloader.dataset.copy()
    images.data_root = str(tiny_coco)
    model = build(read("inspro_r50_8xb1-32k_youtubevis2019-coco"))
    for config, length, draws in ((mixed, 3, 4), (images, 1, 6)):
        dataset = DATASETS.build(config)
        sides = set()
        for number in range(draws):
            sample = dataset[Draw(number % len(dataset), number, 0)]
            assert len(sample["inputs"]) == length
            sides.add(min(sample["inputs"][0].shape[1:]))
            if number < 2 and length == 3:
                data = {
                    "inputs": [[image] for image in sample["inputs"]],
                    "data_samples": [sample["data_samples"]],
                }
                data = model.data_preprocessor(data, training=True)
                loss, _ = model.parse_losses(model(**data, mode="loss"))
                assert torch.isfinite(loss)
        assert len(sides) > 1
    parts = [type(part).__name__ for part in DATASETS.build(mixed).datasets]
    assert parts == ["YouTubeVIS2019", "CocoClips"]


def test_pretraining_runs_to_its_numbers(tiny_coco: Path, tmp_path: Path) -> None:
    """From the config of COCO pre-training to a checkpoint that a video model takes."""
    config = copy.deepcopy(read("inspro_r50_8xb2-264k_coco"))
    config.model = reduced(config)
    config.model.head.num_classes = 5
    config.work_dir = str(tmp_path / "work")
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        loader.dataset.data_root = str(tiny_coco)
        loader.update(num_workers=0, persistent_workers=False)
        for transform in loader.dataset.pipeline[0].transforms:
            small = {"scales": [(96, 64)], "scale": (96, 64)}
            transform.update({key: value for key, value in small.items() if key in transform})
    config.train_cfg.update(max_iters=2, val_interval=2)
    config.default_hooks.checkpoint.interval = 2
    runner = build_runner(config)
    runner.train()
    metrics = runner.val_loop.run()
    assert {"coco_segm/AP", "coco_segm/APs", "coco_bbox/AP75"} <= set(metrics)
    assert all(-1 <= value <= 1 for value in metrics.values())
    checkpoint = tmp_path / "work" / "iter_2.pth"
    videos = Config({"model": reduced(read("inspro_r50_8xb1-32k_youtubevis2019"))})
    converted = convert(videos, [("inspro", checkpoint)])
    assert all("fc_cls" in name or "epsilon" in name for name in converted.initialised), (
        converted.initialised
    )
    save_weights(converted, tmp_path / "start.pth")
    model = MODELS.build(videos.model)
    model.init_weights()
    load_weights(model, load_checkpoint_file(tmp_path / "start.pth"), "start.pth", purpose="train")
    trained = runner.model.state_dict()
    for name, value in model.state_dict().items():
        assert torch.equal(value, trained[name]) or name in converted.initialised
    for stage in model.head.stages:
        assert torch.allclose(stage.interaction.fc_cls.bias.sigmoid(), torch.tensor(0.01))


def test_still_images_are_tested_as_videos_of_one_frame(tiny_coco: Path) -> None:
    config = read("inspro_r50_8xb2-264k_coco")
    dataset = DATASETS.build({**config.val_dataloader.dataset, "data_root": str(tiny_coco)})
    model = build(config).eval()
    item = dataset.get_video(0)
    with torch.no_grad():
        tracks = model.segment(item.video, map(model.prepare, item.frames))
    # As many (slot, class) pairs as COCO counts, several of them of the same slot.
    assert len(tracks.predictions) == 100
    assert len(tracks.tracks) <= 8
    assert tracks.video.length == 1
