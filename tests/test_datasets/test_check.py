# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from visbench.datasets.check import Defect, check_dataset

Data = dict[str, Any]


@pytest.mark.parametrize(
    "name", ["train.json", "valid.json", "test.json", "annotations/youtube_vis_2019_train.json"]
)
def test_sound_data_has_no_defect(tiny_youtube_vis: Path, name: str) -> None:
    split = next(word for word in ("train", "valid", "test") if word in name)
    frames = tiny_youtube_vis / split / "JPEGImages"
    assert check_dataset(tiny_youtube_vis / name, frames) == []


def first(data: Data) -> Data:
    entry: Data = data["annotations"][0]
    return entry


def assign(target: Any, key: Any, value: Any) -> None:
    target[key] = value


EDITS: dict[str, tuple[Callable[[Data], Any], str, str, str]] = {
    "duplicate video id": (
        lambda d: assign(d["videos"][1], "id", 1),
        "video 1",
        "id",
        "occurs 2 times",
    ),
    "duplicate annotation id": (
        lambda d: assign(d["annotations"][1], "id", 1),
        "annotation 1",
        "id",
        "occurs 2 times",
    ),
    "duplicate category id": (
        lambda d: d["categories"].append({"id": 3, "name": "cube"}),
        "category 3",
        "id",
        "occurs 2 times",
    ),
    "duplicate category name": (
        lambda d: d["categories"].append({"id": 9, "name": "disc"}),
        "category 'disc'",
        "name",
        "occurs 2 times",
    ),
    "annotation id 0": (lambda d: assign(first(d), "id", 0), "annotation 0", "id", "below 1"),
    "id is text": (
        lambda d: assign(first(d), "id", "x"),
        "annotations[0]",
        "id",
        "'x' is not an integer",
    ),
    "unknown category": (
        lambda d: assign(first(d), "category_id", 5),
        "annotation 1",
        "category_id",
        "5 is no",
    ),
    "unknown video": (
        lambda d: assign(first(d), "video_id", 99),
        "annotation 1",
        "video_id",
        "99 is no video",
    ),
    "empty video": (
        lambda d: d["videos"].append(
            {"id": 8, "height": 64, "width": 96, "length": 0, "file_names": []}
        ),
        "video 8",
        "file_names",
        "no frames",
    ),
    "file twice in a video": (
        lambda d: assign(d["videos"][0]["file_names"], 1, "clip001/00000.jpg"),
        "video 1",
        "file_names",
        "'clip001/00000.jpg' occurs 2 times",
    ),
    "file in two videos": (
        lambda d: assign(d["videos"][1]["file_names"], 1, "clip001/00000.jpg"),
        "video 2",
        "file_names",
        "belongs to video 1",
    ),
    "folder of two videos": (
        lambda d: assign(d["videos"][1]["file_names"], 0, "clip001/1.jpg"),
        "video 2",
        "file_names",
        "folder 'clip001' is that of video 1",
    ),
    "file name is no text": (
        lambda d: assign(d["videos"][1]["file_names"], 0, 5),
        "video 2",
        "file_names",
        "entry 0",
    ),
    "length": (lambda d: assign(d["videos"][0], "length", 7), "video 1", "length", "7 is not"),
    "height": (lambda d: assign(d["videos"][0], "height", 0), "video 1", "height", "0 is not"),
    "annotation width": (
        lambda d: assign(first(d), "width", 95),
        "annotation 1",
        "width",
        "its video has 96",
    ),
    "iscrowd": (lambda d: assign(first(d), "iscrowd", 2), "annotation 1", "iscrowd", "2 is"),
    "short segmentations": (
        lambda d: first(d)["segmentations"].pop(),
        "annotation 1",
        "segmentations",
        "4 entries for 5",
    ),
    "long boxes": (
        lambda d: first(d)["bboxes"].append(None),
        "annotation 1",
        "bboxes",
        "6 entries for 5",
    ),
    "short areas": (lambda d: first(d)["areas"].pop(), "annotation 1", "areas", "4 entries"),
    "no boxes": (lambda d: first(d).pop("bboxes"), "annotation 1", "bboxes", "missing"),
    "box without mask": (
        lambda d: assign(first(d)["segmentations"], 2, None),
        "annotation 1 (video 1), frame 2",
        "segmentations",
        "null, but there is a box",
    ),
    "mask without box": (
        lambda d: assign(first(d)["bboxes"], 2, None),
        "frame 2",
        "bboxes",
        "there is a mask",
    ),
    "mask without area": (
        lambda d: assign(first(d)["areas"], 2, None),
        "frame 2",
        "areas",
        "there is a mask",
    ),
    "negative area": (
        lambda d: assign(first(d)["areas"], 2, -4),
        "frame 2",
        "areas",
        "-4 is not a number",
    ),
    "mask of another size": (
        lambda d: assign(first(d)["segmentations"][3], "size", [96, 64]),
        "frame 3",
        "segmentations",
        "size [96, 64], the video [64, 96]",
    ),
    "broken list of runs": (
        lambda d: assign(first(d)["segmentations"][3], "counts", [5, 5]),
        "frame 3",
        "segmentations",
        "runs cover 10 pixels",
    ),
    "broken string": (
        lambda d: assign(first(d)["segmentations"][3], "counts", "h6~"),
        "frame 3",
        "segmentations",
        "outside the run-length alphabet",
    ),
    "counts of another type": (
        lambda d: assign(first(d)["segmentations"][3], "counts", 5),
        "frame 3",
        "segmentations",
        "'counts' is int",
    ),
    "mask without pixels": (
        lambda d: assign(first(d)["segmentations"][3], "counts", [64 * 96]),
        "frame 3",
        "segmentations",
        "no pixel",
    ),
    "broken polygon": (
        lambda d: assign(first(d)["segmentations"], 3, [[1, 2, 3, 4]]),
        "frame 3",
        "segmentations",
        "polygon",
    ),
    "box with NaN": (
        lambda d: assign(first(d)["bboxes"][1], 2, float("nan")),
        "frame 1",
        "bboxes",
        "not finite",
    ),
    "box outside": (
        lambda d: assign(first(d)["bboxes"], 1, [90, 0, 20, 5]),
        "frame 1",
        "bboxes",
        "by 14 pixels",
    ),
    "flat box": (
        lambda d: assign(first(d)["bboxes"], 1, [9, 9, 0, 5]),
        "frame 1",
        "bboxes",
        "no width",
    ),
    "short box": (
        lambda d: assign(first(d)["bboxes"], 1, [9, 9]),
        "frame 1",
        "bboxes",
        "is not [x, y",
    ),
    "occlusion": (
        lambda d: assign(first(d), "occlusion", ["no_occlusion", "heavy", None, None, None]),
        "frame 1",
        "occlusion",
        "'heavy' is not one of",
    ),
    "absent object": (
        lambda d: first(d).update(segmentations=[None] * 5, bboxes=[None] * 5, areas=[None] * 5),
        "annotation 1",
        "segmentations",
        "absent in all frames",
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_each_defect_is_found_with_its_field(edited: Callable[..., Path], name: str) -> None:
    edit, where, field, problem = EDITS[name]
    defects = check_dataset(edited(edit))
    assert any(
        where in defect.where and defect.field == field and problem in defect.problem
        for defect in defects
    ), defects


def test_all_defects_are_found_at_once(edited: Callable[..., Path]) -> None:
    names = ["unknown category", "length", "box outside", "broken list of runs", "short areas"]

    def edit(data: Data) -> None:
        for name in names:
            EDITS[name][0](data)

    fields = [defect.field for defect in check_dataset(edited(edit))]
    assert fields == ["length", "category_id", "areas", "bboxes", "segmentations"]


def test_defects_of_frames(copied_root: Path) -> None:
    frames = copied_root / "train/JPEGImages"
    (frames / "clip001/00005.jpg").unlink()
    damaged = frames / "clip002/00000.jpg"
    damaged.write_bytes(damaged.read_bytes()[:300])
    cv2.imwrite(str(frames / "clip003/00010.jpg"), np.zeros((60, 96, 3), np.uint8))
    defects = check_dataset(copied_root / "train.json", frames)
    assert [Path(defect.where).relative_to(frames).as_posix() for defect in defects] == [
        "clip001/00005.jpg",
        "clip002/00000.jpg",
        "clip003/00010.jpg",
    ]
    assert [defect.problem.split(" (")[0] for defect in defects] == [
        "there is no such file",
        "the file cannot be decoded",
        "the file is 60x96, height and width say 64x96",
    ]


def test_progress_sees_every_record(tiny_youtube_vis: Path) -> None:
    seen = {}

    def progress(items: Any, title: str) -> Any:
        seen[title] = len(items)
        return items

    check_dataset(tiny_youtube_vis / "train.json", progress=progress)
    assert seen == {"videos": 3, "annotations": 6}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[1]", "top level must be an object"),
        ('{"videos": [1], "categories": []}', "field 'videos' must be a list of objects"),
        ('{"videos": [], "categories": []}', "field 'videos' is empty"),
        (
            '{"videos": [{"id": 1}], "categories": [], "images": [{"video_id": 1}]}',
            r"images\[0\]: field 'id': is missing",
        ),
    ],
)
def test_files_that_cannot_be_checked(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "train.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=words):
        check_dataset(path)


def test_missing_image_folder(tiny_youtube_vis: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no image folder"):
        check_dataset(tiny_youtube_vis / "train.json", tiny_youtube_vis / "nowhere")


def test_defect_is_a_plain_record() -> None:
    assert Defect("video 1", "length", "7")._asdict() == {
        "where": "video 1",
        "field": "length",
        "problem": "7",
    }


def test_boxes_alone_are_sound_and_folders_are_refused(
    tiny_youtube_vis: Path, tmp_path: Path
) -> None:
    path = tiny_youtube_vis / "annotations" / "youtube_vis_2019_train.json"
    data = json.loads(path.read_text())
    for annotation in data["annotations"]:
        del annotation["segmentation"]
    boxes = tmp_path / "boxes.json"
    boxes.write_text(json.dumps(data))
    assert check_dataset(boxes, tiny_youtube_vis / "train" / "JPEGImages") == []
    data["annotations"][0]["bbox"][2] = -3
    boxes.write_text(json.dumps(data))
    (defect,) = check_dataset(boxes)
    assert defect.field == "bboxes" and "has no width" in defect.problem
    with pytest.raises(IsADirectoryError, match=r"is a folder.*tools/convert_imagenet\.py"):
        check_dataset(tiny_youtube_vis)
