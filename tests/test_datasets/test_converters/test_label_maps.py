# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from visbench.datasets.converters import LABEL_FORMATS, read_label_maps, write_label_maps
from visbench.datasets.converters.annotation_file import (
    AnnotationFile,
    box_mask,
    encode,
    write_annotation_file,
)
from visbench.evaluation.errors import InputError
from visbench.structures import decode_mask

CLASSES = {"davis": ("object",), "mots": ("car", "pedestrian")}
SIZE = (9, 13)


@st.composite
def contents(draw: st.DrawFn, kind: str) -> dict[str, Any]:
    """Annotations without overlaps: every pixel belongs to one object at most."""
    file = AnnotationFile("drawn", dict(enumerate(CLASSES[kind], start=1)))
    for video in range(draw(st.integers(1, 2))):
        length = draw(st.integers(1, 3))
        names = [f"clip{video}/{7 * t:05d}.jpg" for t in range(length)]
        video_id = file.add_video(names, *SIZE)
        count = draw(st.integers(1, 4))
        owners = np.random.default_rng(draw(st.integers(0, 2**16))).integers(
            0, count + 2, (length, *SIZE)
        )
        # In the order of their labels: classes first, as MOTS numbers them.
        kinds = sorted(draw(st.sampled_from(sorted(file.categories))) for _ in range(count))
        for number, category in enumerate(kinds, start=1):
            there = [t for t in range(length) if draw(st.booleans()) or t == 0]
            masks = {t: encode(owners[t] == number) for t in there}
            file.add_track(video_id, category, masks, f"object {number}")
        ignored = [t for t in range(length) if draw(st.booleans())]
        for category in file.categories if ignored else ():
            masks = {t: encode(owners[t] == count + 1) for t in ignored}
            file.add_track(video_id, category, masks, "ignored", is_crowd=True)
    return file.content()


@pytest.mark.parametrize("kind", list(LABEL_FORMATS))
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_what_is_written_is_read_back(kind: str, data: st.DataObject) -> None:
    content = data.draw(contents(kind))
    label_format = LABEL_FORMATS[kind](CLASSES[kind])
    with tempfile.TemporaryDirectory() as folder:
        assert write_label_maps(content, Path(folder, "png"), label_format) == []
        file = read_label_maps(Path(folder, "png"), label_format)
        write_annotation_file(file.content(), Path(folder, "out.json"))
        assert json.loads(Path(folder, "out.json").read_text()) == file.content()
    found = {**file.content(), "info": content["info"]}
    assert found == content


def test_the_first_object_wins_where_masks_overlap(tmp_path: Path) -> None:
    file = AnnotationFile("drawn", {1: "object"})
    video = file.add_video(["a/0.jpg"], 6, 8)
    file.add_track(video, 1, {0: box_mask((0, 0, 4, 4), 6, 8)}, "first")
    file.add_track(video, 1, {0: box_mask((2, 2, 4, 4), 6, 8)}, "second")
    notes = write_label_maps(file.content(), tmp_path, LABEL_FORMATS["davis"](("object",)))
    labels = np.asarray(Image.open(tmp_path / "a" / "0.png"))
    assert labels[3, 3] == 1 and labels[4, 4] == 2 and (labels == 1).sum() == 16
    assert notes == ["video a: 4 pixels of several masks; the first object has them"]


def test_frames_without_png_have_no_objects(tmp_path: Path) -> None:
    for name in ("0", "1", "2"):
        (tmp_path / "images" / "a").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 3)).save(tmp_path / "images" / "a" / f"{name}.jpg")
    (tmp_path / "png" / "a").mkdir(parents=True)
    Image.fromarray(np.full((3, 4), 5, np.uint8)).save(tmp_path / "png" / "a" / "1.png")
    file = read_label_maps(
        tmp_path / "png", LABEL_FORMATS["davis"](("object",)), tmp_path / "images"
    )
    assert file.videos[0]["file_names"] == ["a/0.jpg", "a/1.jpg", "a/2.jpg"]
    masks = file.tracks[0]["segmentations"]
    assert masks[0] is None and masks[2] is None and decode_mask(masks[1]).all()
    write_annotation_file(file.content(), tmp_path / "out.json", tmp_path / "images")


def drawn(names: list[str], count: int = 1) -> dict[str, Any]:
    """Return annotations of objects side by side."""
    file = AnnotationFile("drawn", {1: "car", 2: "pedestrian"})
    video = file.add_video(names, 6, 8)
    for index in range(count):
        mask = box_mask((2 * index, 0, 2, 4), 6, 8)
        file.add_track(video, 2, dict.fromkeys(range(len(names)), mask), f"object {index}")
    return file.content()


def test_an_export_replaces_exactly_the_one_before(tmp_path: Path) -> None:
    label_format = LABEL_FORMATS["davis"](("object",))
    write_label_maps(drawn(["a/0.jpg", "a/1.jpg"]), tmp_path, label_format)
    (tmp_path / "a" / "notes.txt").write_text("kept")
    write_label_maps(drawn(["b/0.jpg", "b/1.jpg"]), tmp_path, label_format)
    write_label_maps(drawn(["b/0.jpg"], 2), tmp_path, label_format)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    names = {path.relative_to(tmp_path).as_posix() for path in files}
    assert names == {"a/notes.txt", "b/0.png", "labels.json"}
    assert json.loads((tmp_path / "labels.json").read_text()) == {
        "b": {str(i): {"annotation_id": i, "category_id": 2} for i in (1, 2)}
    }
    write_label_maps(drawn(["c/0.jpg"]), tmp_path, label_format)
    assert not (tmp_path / "b").exists()
    assert len(read_label_maps(tmp_path, label_format).videos) == 1


def test_other_images_are_not_touched(tmp_path: Path) -> None:
    label_format = LABEL_FORMATS["davis"](("object",))
    write_png(tmp_path / "a" / "5.png", np.ones((6, 8), np.uint8))
    with pytest.raises(ValueError, match=r"holds 5\.png, .*give a folder of its own"):
        write_label_maps(drawn(["a/0.jpg"]), tmp_path, label_format)
    (tmp_path / "labels.json").write_text('{"b": {}}')
    with pytest.raises(ValueError, match=r"a holds 5\.png"):
        write_label_maps(drawn(["b/0.jpg"]), tmp_path, label_format)
    assert [path.name for path in tmp_path.rglob("*.png")] == ["5.png"]


def write_png(path: Path, labels: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(labels).save(path)


def test_a_region_to_ignore_is_a_crowd_of_every_category(tmp_path: Path) -> None:
    write_png(tmp_path / "a" / "0.png", np.array([[0, 10_000], [1003, 2001]], np.uint16))
    write_png(tmp_path / "a" / "1.png", np.array([[0, 0], [1003, 0]], np.uint16))
    file = read_label_maps(tmp_path, LABEL_FORMATS["mots"](("car", "pedestrian")))
    found = [(track["category_id"], track["iscrowd"], track["areas"]) for track in file.tracks]
    assert found == [(1, 0, [1, 1]), (2, 0, [1, None]), (1, 1, [1, None]), (2, 1, [1, None])]
    assert file.notes == [
        f"{tmp_path}: regions to ignore (label 10000) in 1 frames of 1 videos; a crowd "
        "(iscrowd: 1) of every category stands there"
    ]


def test_a_crowd_is_drawn_as_void_where_there_is_no_object(tmp_path: Path) -> None:
    file = AnnotationFile("drawn", {1: "car", 2: "pedestrian"})
    video = file.add_video(["a/0.jpg"], 6, 8)
    file.add_track(video, 1, {0: box_mask((0, 0, 6, 4), 6, 8)}, "crowd", is_crowd=True)
    file.add_track(video, 2, {0: box_mask((0, 0, 2, 2), 6, 8)}, "object")
    notes = write_label_maps(file.content(), tmp_path, LABEL_FORMATS["mots"](CLASSES["mots"]))
    labels = np.asarray(Image.open(tmp_path / "a" / "0.png"))
    assert ((labels == 2000).sum(), (labels == 10_000).sum()) == (4, 20)
    assert notes == [
        "video a: crowds of 1 of 2 categories became regions to ignore for all of them (label "
        "10000)"
    ]


@pytest.mark.parametrize(
    ("kind", "labels", "words"),
    [
        ("davis", np.zeros((3, 4, 3), np.uint8), "is a RGB image"),
        ("mots", np.zeros((3, 4), np.uint8), "8 bits, not of 16"),
        ("mots", np.full((3, 4), 7005, np.uint16), "class 7 is none of 1 car, 2 pedestrian"),
        ("davis", np.zeros((5, 4), np.uint8), "has the size (5, 4)"),
    ],
)
def test_defects_name_the_file(tmp_path: Path, kind: str, labels: Any, words: str) -> None:
    dtype = np.uint8 if kind == "davis" else np.uint16
    write_png(tmp_path / "a" / "0.png", np.zeros((3, 4), dtype))
    write_png(tmp_path / "a" / "1.png", labels)
    with pytest.raises(InputError, match=r"1\.png") as error:
        read_label_maps(tmp_path, LABEL_FORMATS[kind](CLASSES[kind]))
    assert words in str(error.value)


def test_what_does_not_fit_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    file = AnnotationFile("drawn", {1: "a", 12: "b"})
    video = file.add_video(["a/0.jpg"], 6, 8)
    file.add_track(video, 12, {0: box_mask((0, 0, 4, 4), 6, 8)}, "first")
    with pytest.raises(InputError, match="do not fit"):
        write_label_maps(file.content(), tmp_path, LABEL_FORMATS["mots"](("a",) * 12))
    content = file.content()
    content["videos"][0]["file_names"] = ["../../outside/0.jpg"]
    with pytest.raises(InputError, match="cannot be used"):
        write_label_maps(content, tmp_path, LABEL_FORMATS["davis"](("object",)))
    assert not list(tmp_path.iterdir())


def test_an_unsound_result_is_not_written(tmp_path: Path) -> None:
    file = AnnotationFile("drawn", {1: "object"})
    file.add_video(["a/0.jpg", "a/0.jpg"], 6, 8)
    with pytest.raises(ValueError, match="occurs 2 times"):
        write_annotation_file(file.content(), tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()


def test_boxes_and_masks_are_not_mixed() -> None:
    file = AnnotationFile("source.xml", {1: "object"})
    video = file.add_video(["a/0.jpg"], 6, 8)
    file.add_track(video, 1, {0: (1.0, 1.0, 3.0, 2.0)}, "track 1")
    with pytest.raises(InputError, match="track 2: boxes and masks are mixed"):
        file.add_track(video, 1, {0: box_mask((0, 0, 2, 2), 6, 8)}, "track 2")


def test_a_mask_without_polygons_is_absent(tmp_path: Path) -> None:
    file = AnnotationFile("drawn", {1: "object"})
    video = file.add_video(["a/0.jpg", "a/1.jpg"], 6, 8)
    file.add_track(video, 1, {0: box_mask((0, 0, 4, 4), 6, 8)}, "first")
    content = file.content()
    content["annotations"][0]["segmentations"][1] = []
    write_label_maps(content, tmp_path, LABEL_FORMATS["davis"](("object",)))
    sums = [np.asarray(Image.open(tmp_path / "a" / f"{frame}.png")).sum() for frame in (0, 1)]
    assert sums == [16, 0]
