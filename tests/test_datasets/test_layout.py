# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from visbench.datasets.layout import find_annotations, find_frames

ANNOTATIONS = [
    ("train.json", "train"),
    ("valid.json", "valid"),
    ("valid.json", "val"),
    ("val.json", "valid"),
    ("train/instances.json", "train"),
    ("annotations/instances_train.json", "train"),
    ("annotations/instances_train_sub.json", "train"),
    ("annotations_valid.json", "valid"),
    ("annotations/annotations_valid.json", "valid"),
    ("annotations/youtube_vis_2021_train.json", "train"),
    ("train_holdout-train.json", "train_holdout-train"),
    ("train/instances_holdout-val.json", "train_holdout-val"),
    ("annotations_train_holdout-val.json", "train_holdout-val"),
    ("annotations/youtube_vis_2019_train_holdout-val.json", "train_holdout-val"),
]


@pytest.mark.parametrize(("path", "split"), ANNOTATIONS)
def test_annotations_in_every_layout(tmp_path: Path, path: str, split: str) -> None:
    (tmp_path / path).parent.mkdir(exist_ok=True)
    (tmp_path / path).write_text("{}")
    assert find_annotations(tmp_path, split) == tmp_path / path


@pytest.mark.parametrize(
    ("folder", "split"),
    [
        ("train/JPEGImages", "train"),
        ("train", "train"),
        ("valid/JPEGImages", "val"),
        ("JPEGImages", "train"),
        ("", "train"),
        ("train/JPEGImages", "train_holdout-val"),
    ],
)
def test_frames_in_every_layout(tmp_path: Path, folder: str, split: str) -> None:
    (tmp_path / folder / "abc").mkdir(parents=True)
    (tmp_path / folder / "abc" / "000.jpg").write_bytes(b"")
    assert find_frames(tmp_path, split, "abc/000.jpg") == tmp_path / folder


def test_error_lists_what_was_tried_and_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "training.json").write_text("{}")
    (tmp_path / "train").mkdir()
    with pytest.raises(FileNotFoundError) as error:
        find_annotations(tmp_path, "train")
    message = str(error.value)
    for layout in ("train.json", "train/instances.json", "annotations_train.json"):
        assert str(tmp_path / layout) in message
    assert "There is:\n  train/, training.json" in message
    with pytest.raises(FileNotFoundError) as error:
        find_frames(tmp_path, "train", "abc/000.jpg")
    assert str(tmp_path / "train/JPEGImages/abc/000.jpg") in str(error.value)


def test_error_for_a_root_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=f"no folder '{tmp_path}/none'"):
        find_annotations(tmp_path / "none", "train")
