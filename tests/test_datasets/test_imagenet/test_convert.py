# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from visbench.datasets.check import check_dataset
from visbench.datasets.imagenet.categories import CLASSES, categories
from visbench.datasets.imagenet.convert import (
    read_det,
    read_vid,
    write_annotations,
    written_path,
)

VIDEO = "VID/train/ILSVRC2015_VID_train_0000/ILSVRC2015_train_00000000"


def test_there_are_30_classes() -> None:
    assert len(set(CLASSES)) == 30
    assert [entry["id"] for entry in categories()] == list(range(1, 31))
    assert (CLASSES[0], CLASSES[29]) == ("airplane", "zebra")


def test_videos_become_tracks_of_boxes(tiny_imagenet: Path) -> None:
    data = read_vid(tiny_imagenet, "train")
    assert [(video["id"], video["length"]) for video in data["videos"]] == [(1, 3), (2, 2), (3, 2)]
    first = "train/ILSVRC2015_VID_train_0000/ILSVRC2015_train_00000000"
    assert data["videos"][0]["file_names"][1] == f"{first}/000001.JPEG"
    tracks = [(t["id"], t["video_id"], t["category_id"], t["bboxes"]) for t in data["annotations"]]
    assert tracks == [
        (1, 1, 1, [(10, 8, 30, 22), (14, 8, 30, 22), None]),
        (2, 1, 30, [None, (60, 20, 30, 40), (58, 20, 30, 40)]),
        (3, 2, 30, [(20, 20, 30, 30), (22, 20, 30, 30)]),
    ]


def test_images_become_videos_of_one_frame(tiny_imagenet: Path) -> None:
    data = read_det(tiny_imagenet, "train")
    assert [video["file_names"] for video in data["videos"]] == [
        ["train/ILSVRC2013_train/n02391049/n02391049_12.JPEG"],
        ["train/ILSVRC2014_train_0000/ILSVRC2014_train_00000003.JPEG"],
    ]
    tracks = [(t["id"], t["video_id"], t["category_id"], t["bboxes"]) for t in data["annotations"]]
    assert tracks == [
        (1, 1, 30, [(10, 10, 50, 40)]),
        (2, 2, 1, [(5, 5, 40, 20)]),
        (3, 2, 1, [(50, 30, 40, 30)]),
    ]


def test_files_are_sound_and_written_once(tiny_imagenet: Path) -> None:
    path = write_annotations(tiny_imagenet, "vid", "train")
    assert path == written_path(tiny_imagenet, "vid", "train")
    assert check_dataset(path, tiny_imagenet / "Data" / "VID") == []
    before = path.read_bytes()
    (tiny_imagenet / "Annotations" / VIDEO / "000002.xml").unlink()
    assert write_annotations(tiny_imagenet, "vid", "train") == path
    assert path.read_bytes() == before


def edit_xml(root: Path, old: str, new: str, frame: int = 1) -> None:
    path = root / "Annotations" / VIDEO / f"{frame:06d}.xml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (
            lambda root: (root / "Annotations" / VIDEO / "000001.xml").unlink(),
            r"frame 000001\.xml is missing \('000002\.xml' comes instead\)",
        ),
        (
            lambda root: (root / "Annotations" / VIDEO / "000002.xml").unlink(),
            r"frame 000002 has no annotation \(1 frames",
        ),
        (
            lambda root: (root / "Data" / VIDEO / "000000.JPEG").unlink(),
            "frame 000000 has no image",
        ),
        (
            lambda root: edit_xml(root, "n02391049", "n99999999"),
            r"000001\.xml: field 'object/name': 'n99999999' is none of the 30 classes",
        ),
        (
            lambda root: edit_xml(root, "<trackid>0</trackid>", ""),
            r"000001\.xml: field 'object/trackid' is missing",
        ),
        (
            lambda root: edit_xml(root, "<width>96", "<width>97"),
            r"000001\.xml: field 'size': 64x97, but the video's first frame has 64x96",
        ),
        (lambda root: edit_xml(root, "</annotation>", ""), r"000001\.xml is no XML file"),
    ],
)
def test_defects_are_named(tiny_imagenet: Path, edit: Callable[[Path], None], words: str) -> None:
    edit(tiny_imagenet)
    with pytest.raises(ValueError, match=words):
        write_annotations(tiny_imagenet, "vid", "train")
    assert not written_path(tiny_imagenet, "vid", "train").exists()


def test_boxes_outside_the_frame(tiny_imagenet: Path) -> None:
    edit_xml(tiny_imagenet, "<xmax>44", "<xmax>140")
    edit_xml(tiny_imagenet, "<ymin>20</ymin>", "<ymin>60</ymin>")
    data = read_vid(tiny_imagenet, "train")
    assert data["annotations"][0]["bboxes"][1] == (14, 8, 82, 22)
    assert data["annotations"][1]["bboxes"][1] is None
    assert data["info"]["boxes_without_a_pixel_left_out"] == 1


def test_an_id_twice_in_a_frame_and_an_id_of_two_classes(tiny_imagenet: Path) -> None:
    edit_xml(tiny_imagenet, "<trackid>1", "<trackid>0")
    data = read_vid(tiny_imagenet, "train")
    # Another class makes another track; the same class would count once.
    assert [t["category_id"] for t in data["annotations"][:3]] == [1, 30, 30]
    edit_xml(tiny_imagenet, "n02391049", "n02691156")
    data = read_vid(tiny_imagenet, "train")
    assert data["annotations"][0]["bboxes"][1] == (14, 8, 30, 22)


def test_no_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no XML files in .*VID/val(.|\n)*'data_root'"):
        write_annotations(tmp_path, "vid", "val")


def test_frames_are_not_needed_to_evaluate(tiny_imagenet: Path, tmp_path: Path) -> None:
    (tiny_imagenet / "Data").rename(tmp_path / "elsewhere")
    out = write_annotations(tiny_imagenet, "vid", "val", tmp_path / "out" / "val.json")
    assert len(json.loads(out.read_text())["annotations"]) == 2


def test_a_file_in_the_way(tiny_imagenet: Path) -> None:
    (tiny_imagenet / "annotations").write_text("")
    with pytest.raises(PermissionError, match=r"convert_imagenet\.py --out"):
        write_annotations(tiny_imagenet, "vid", "val")
