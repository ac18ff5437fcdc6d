# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from visbench.datasets.annotations import read_annotations, read_json, video_name


def test_converted_form_gives_the_same_tracks(tiny_youtube_vis: Path) -> None:
    original = read_annotations(tiny_youtube_vis / "train.json")
    converted = read_annotations(tiny_youtube_vis / "annotations/youtube_vis_2019_train.json")
    for before, after in zip(original["videos"], converted["videos"], strict=True):
        assert after["file_names"] == before["file_names"]
        assert after["frame_ids"] == list(range(before["length"]))
    fields = ("id", "video_id", "category_id", "iscrowd", "segmentations", "bboxes", "areas")

    def tracks(data: dict[str, Any]) -> list[Any]:
        return sorted(
            ([track[field] for field in fields] for track in data["annotations"]),
            key=lambda track: track[0],
        )

    assert tracks(converted) == tracks(original)


@pytest.mark.parametrize("form", ["missing", "null"])
def test_annotations_may_be_missing_or_null(tmp_path: Path, form: str) -> None:
    data: dict[str, Any] = {"videos": [{"id": 1, "file_names": ["a/0.jpg"]}], "categories": []}
    if form == "null":
        data["annotations"] = None
    (tmp_path / "valid.json").write_text(json.dumps(data))
    assert read_annotations(tmp_path / "valid.json")["annotations"] is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[]", "top level must be an object, got list"),
        ('{"videos": []}', "field 'categories' must be a list, got NoneType"),
        ('{"videos": 3, "categories": []}', "field 'videos' must be a list, got int"),
        ('{"videos": [], "categories": []}', "field 'videos' is empty"),
        ('{"videos": [{"id"', "not a JSON file"),
    ],
)
def test_unusable_files_are_named(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "train.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=words) as error:
        read_annotations(path)
    assert str(path) in str(error.value)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="correct 'ann_file' or 'data_root'"):
        read_json(tmp_path / "none.json")


def test_nan_written_by_python_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"box": [NaN]}')
    (value,) = read_json(tmp_path / "a.json")["box"]
    assert value != value


@pytest.mark.parametrize(
    ("video", "name"),
    [
        ({"id": 1, "file_names": ["abc/000.jpg"]}, "abc"),
        ({"id": 1, "file_names": ["a/b/000.jpg"]}, "a/b"),
        ({"id": 1, "file_names": ["000.jpg"], "name": "clip"}, "clip"),
        ({"id": 4, "file_names": []}, "video 4"),
    ],
)
def test_video_name(video: dict[str, Any], name: str) -> None:
    assert video_name(video) == name
