# SPDX-License-Identifier: Apache-2.0
"""Configs of Propose-Reduce from the files of a data set to losses and results."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from PIL import Image
from small_configs import CONFIGS, build, read, reduced, smaller

from visbench.datasets import Draw, coco
from visbench.engine import build_runner, load_config
from visbench.evaluation import evaluate_davis
from visbench.evaluation.davis_files import read_label_map
from visbench.models import VISModel
from visbench.registry import DATASETS

DAVIS = {"train": ("bear", "cows"), "val": ("dogs",)}


@pytest.fixture
def tiny_davis(tmp_path: Path) -> Path:
    """Root of a data set in DAVIS's layout: three videos of three frames with two objects each."""
    root = tmp_path / "DAVIS"
    for split, videos in DAVIS.items():
        listing = root / "ImageSets" / "2017" / f"{split}.txt"
        listing.parent.mkdir(parents=True, exist_ok=True)
        listing.write_text("".join(f"{video}\n" for video in videos))
        for video in videos:
            write_video(*(root / kind / "480p" / video for kind in KINDS))
    return root


KINDS = ("JPEGImages", "Annotations_unsupervised")


def write_video(images: Path, maps: Path) -> None:
    images.mkdir(parents=True)
    maps.mkdir(parents=True)
    for frame in range(3):
        labels = np.zeros((64, 96), dtype=np.uint8)
        labels[10:40, 10 + 5 * frame : 40] = 1
        labels[45:60, 50:90] = 2
        cv2.imwrite(str(images / f"{frame:05d}.jpg"), np.repeat(labels[..., None], 3, 2) * 90)
        Image.fromarray(labels).save(maps / f"{frame:05d}.png")


def loss_on(config: Any, dataset: Any, count: int, model: VISModel | None = None) -> None:
    """Draw samples of a training set and compute the loss of the first two."""
    built = DATASETS.build(dataset)
    model = model or build(config)
    for number in range(count):
        sample = built[Draw(number % len(built), number, 0)]
        assert len(sample["inputs"]) == 2
        assert sample["data_samples"].metainfo["key_frames_inds"] == [0]
        assert len(sample["data_samples"][0].gt_instances)
        if number < 2:
            data = model.data_preprocessor(pseudo_collate([sample]), training=True)
            loss, _ = model.parse_losses(model(**data, mode="loss"))
            assert torch.isfinite(loss)


@pytest.mark.parametrize(
    "name",
    [
        "propose-reduce_r50_4xb5-4e_youtubevis2019",
        "propose-reduce-paper_r50_6xb5-5e_youtubevis2019",
    ],
)
def test_fine_tuning_from_files_to_a_loss(tiny_youtube_vis: Path, name: str) -> None:
    config = read(name)
    dataset = copy.deepcopy(config.train_dataloader.dataset)
    dataset.data_root = str(tiny_youtube_vis)
    smaller(dataset)
    assert len(DATASETS.build(dataset)) == 14
    loss_on(config, dataset, 6)


def test_main_training_from_files_to_a_loss(
    tiny_youtube_vis: Path, tiny_coco: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = coco.TargetClasses(("disc", "square"), {"person": "disc", "car": "square"})
    monkeypatch.setitem(coco.TARGETS, "youtube_vis_2019", target)
    config = read("propose-reduce-paper-main_r50_6xb5-4e_youtubevis2019-coco")
    mixed = copy.deepcopy(config.train_dataloader.dataset)
    assert mixed.ratios == [1, 4]
    for part, root in zip(mixed.datasets, (tiny_youtube_vis, tiny_coco), strict=True):
        part.data_root = str(root)
    smaller(mixed)
    loss_on(config, mixed, 5)
    parts = [type(part).__name__ for part in DATASETS.build(mixed).datasets]
    assert parts == ["YouTubeVIS2019", "CocoClips"]


def test_davis_from_files_to_a_loss(tiny_davis: Path, tiny_coco: Path) -> None:
    config = read("propose-reduce_r101_4xb2-4e_davis")
    dataset = {**config.train_dataloader.dataset, "data_root": str(tiny_davis)}
    smaller(dataset)
    loss_on(config, dataset, 3)
    config = read("propose-reduce-paper-main_r101_6xb3-4e_davis-coco")
    mixed = copy.deepcopy(config.train_dataloader.dataset)
    assert mixed.ratios == [1, 57]
    for part, folder in zip(mixed.datasets, (tiny_davis, tiny_coco), strict=True):
        part.data_root = str(folder)
    mixed.ratios = [1, 1]
    smaller(mixed)
    loss_on(config, mixed, 4)


@pytest.mark.parametrize(
    "name",
    ["propose-reduce_r101_4xb2-4e_davis", "propose-reduce-paper_r101_6xb2-5e_davis"],
)
def test_davis_from_files_to_label_maps_and_numbers(
    tiny_davis: Path, tmp_path: Path, name: str
) -> None:
    one_step = {"max_iters": 1, "val_interval": 1}
    config = load_config(CONFIGS[name], {"load_from": None}, str(tmp_path / name))
    config.model = reduced(config)
    # Of several untrained objects none wins a pixel; one alone has them all (see the bias below).
    config.model.detector.test_cfg.rcnn.max_per_img = 1
    config.train_cfg.update(one_step)
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        loader.update(num_workers=0, persistent_workers=False)
        loader.dataset.data_root = str(tiny_davis)
        smaller(loader.dataset)
    runner = build_runner(config)
    runner.model.prop_head.predictor.bias.data.copy_(torch.tensor([-5.0, 5.0]))
    runner.train()
    assert (tmp_path / name / "best_davis_J&F-Mean_iter_1.pth").is_file()
    validated = runner.val_loop.run()
    tested = runner.test()
    assert tested == validated
    assert 0 < tested["davis/J&F-Mean"] < 1
    written = tmp_path / name / "label_maps"
    maps = sorted(path.relative_to(written).as_posix() for path in written.rglob("*.png"))
    assert maps == [f"dogs/{frame:05d}.png" for frame in range(3)]
    assert all(read_label_map(written / path).shape == (64, 96) for path in maps)
    assert any(read_label_map(written / path).any() for path in maps)
    truth = tmp_path / "truth"
    truth.mkdir()
    (truth / "dogs").symlink_to(tiny_davis / "Annotations_unsupervised" / "480p" / "dogs")
    expected = evaluate_davis(truth, written).metrics["davis"]
    assert tested == {f"davis/{key}": value for key, value in expected.items()}
