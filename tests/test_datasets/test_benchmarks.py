# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

import visbench.datasets.benchmarks as benchmarks
from visbench.datasets import MovingShapesDataset, VISDataset
from visbench.datasets.moving_shapes import ensure_split
from visbench.registry import DATASETS

CONFIGS = Path(__file__).parents[2] / "configs" / "_base_" / "datasets"
REAL = ("youtube_vis_2019", "youtube_vis_2021", "youtube_vis_2022", "ovis")
LAYOUTS = {
    "youtube_vis_2019": ("train.json", "valid.json"),
    "youtube_vis_2021": ("train/instances.json", "valid/instances.json"),
    "youtube_vis_2022": ("train/instances.json", "valid/instances.json"),
    "ovis": ("annotations_train.json", "annotations_valid.json"),
}


def install(source: Path, root: Path, name: str) -> Path:
    """Lay out the tiny data set as the data set ``name`` is distributed."""
    root.mkdir(parents=True)
    for split, path in zip(("train", "valid"), LAYOUTS[name], strict=True):
        shutil.copytree(source / split, root / split)
        content = json.loads((source / f"{split}.json").read_text())
        if split == "valid":
            content["annotations"] = None
        (root / path).write_text(json.dumps(content))
    if name == "ovis":
        for split in ("train", "valid"):
            for folder in (root / split / "JPEGImages").iterdir():
                folder.rename(root / split / folder.name)
            (root / split / "JPEGImages").rmdir()
    return root


@pytest.mark.parametrize("name", REAL)
def test_configs_of_real_data_sets(
    tiny_youtube_vis: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    install(tiny_youtube_vis, tmp_path / "data" / name, name)
    monkeypatch.chdir(tmp_path)
    config = Config.fromfile(CONFIGS / f"{name}.py")
    train = DATASETS.build(config.train_dataloader.dataset)
    assert isinstance(train, VISDataset) and len(train) == 3
    assert len(train[0]["inputs"]) == 3
    valid = DATASETS.build(config.test_dataloader.dataset)
    assert not valid.has_annotations
    assert [frame.valid_size for frame in valid.get_video(0).frames] == [(360, 540)] * 4
    assert config.val_evaluator["type"] == config.test_evaluator["type"] == "visbench.VISMetric"


@pytest.mark.parametrize("name", REAL)
def test_holdout_configs(
    tiny_youtube_vis: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    from visbench.datasets.holdout import shared_videos, write_holdout

    root = install(tiny_youtube_vis, tmp_path / "data" / name, name)
    write_holdout(root / LAYOUTS[name][0], fraction=0.5)
    monkeypatch.chdir(tmp_path)
    config = Config.fromfile(CONFIGS / f"{name}_holdout.py")
    train = DATASETS.build(config.train_dataloader.dataset)
    val = DATASETS.build(config.val_dataloader.dataset)
    assert config.test_dataloader.dataset.split == config.val_dataloader.dataset.split
    assert len(train) + len(val) == 3
    assert val.has_annotations
    assert shared_videos(train, val) == []


@pytest.mark.parametrize("part", ["train", "val"])
def test_moving_shapes_config_makes_its_data(tmp_path: Path, part: str) -> None:
    config = Config.fromfile(CONFIGS / "moving_shapes.py")
    loader = config[f"{part}_dataloader"]
    small = {"data_root": str(tmp_path), "num_videos": 1, "workers": 1, "preset": "crowded"}
    loader.dataset.update(small)
    loader.num_workers, loader.persistent_workers = 0, False
    with DefaultScope.overwrite_default_scope("visbench"):
        built = Runner.build_dataloader(loader, seed=0)
    dataset: Any = built.dataset
    assert isinstance(dataset, MovingShapesDataset)
    assert (dataset.preset, len(dataset), len(dataset.metainfo["classes"])) == ("crowded", 1, 8)
    if part == "val":
        assert [frame.original_size for frame in dataset.get_video(0).frames] == [(128, 192)] * 36
    else:
        batch = next(iter(built))
        assert len(batch["inputs"]) == 3
        assert [tuple(image.shape) for image in batch["inputs"][0]] == [(3, 128, 192)] * 2


def test_moving_shapes_are_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def counted(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        return ensure_split(*args, **kwargs)

    monkeypatch.setattr(benchmarks, "ensure_split", counted)
    first = MovingShapesDataset("easy", "val", str(tmp_path), num_videos=1, workers=1)
    stamp = Path(first.ann_file).stat().st_mtime_ns
    again = MovingShapesDataset("easy", "val", str(tmp_path), num_videos=1, workers=1)
    assert Path(again.ann_file).stat().st_mtime_ns == stamp
    assert calls == [(str(tmp_path), "easy", "val")] * 2


def test_names_do_not_hide_those_of_mmdetection() -> None:
    for name in ("YouTubeVIS2019", "YouTubeVIS2021", "YouTubeVIS2022", "OVIS", "VISDataset"):
        assert DATASETS.get(name).__module__.startswith("visbench.")
        assert DATASETS.get(f"mmdet.{name}") is None
    assert DATASETS.get("YouTubeVISDataset").__module__.startswith("mmdet.")
