# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visbench.datasets.annotations import read_annotations
from visbench.datasets.converters import read_coco_video, write_annotation_file
from visbench.evaluation.errors import InputError

Edit = Callable[[dict[str, Any]], Any]
SQUARE = [2.0, 2.0, 8.0, 2.0, 8.0, 6.0, 2.0, 6.0]


def coco() -> dict[str, Any]:
    """Two frames of each of two videos, named by folders; one car in both, ids start at 0."""
    images = [
        {"id": i, "file_name": f"{video}/{frame}.jpg", "height": 10, "width": 12}
        for i, (video, frame) in enumerate([("a", 10), ("a", 9), ("b", 1), ("b", 2)])
    ]
    annotations = [
        {
            "id": i,
            "image_id": i,
            "category_id": 0,
            "bbox": [2, 2, 6, 4],
            "area": 24,
            "segmentation": [SQUARE],
            "attributes": {"track_id": 7},
        }
        for i in range(4)
    ]
    return {
        "images": images,
        "categories": [{"id": 0, "name": "car"}],
        "annotations": annotations,
    }


def convert(tmp_path: Path, edit: Edit = lambda data: None, **options: Any) -> dict[str, Any]:
    data = coco()
    edit(data)
    (tmp_path / "coco.json").write_text(json.dumps(data))
    file = read_coco_video(tmp_path / "coco.json", **options)
    write_annotation_file(file.content(), tmp_path / "out.json")
    return json.loads((tmp_path / "out.json").read_text())


def test_folders_are_videos_and_numbers_order_the_frames(tmp_path: Path) -> None:
    content = convert(tmp_path)
    names = [video["file_names"] for video in content["videos"]]
    assert names == [["a/9.jpg", "a/10.jpg"], ["b/1.jpg", "b/2.jpg"]]
    assert [track["video_id"] for track in content["annotations"]] == [1, 2]
    assert content["categories"] == [{"id": 1, "name": "car"}]
    assert content["annotations"][0]["bboxes"] == [[2, 2, 6, 4]] * 2
    assert content["annotations"][0]["areas"] == [24, 24]


def test_the_form_of_mmtracking_gives_what_the_library_reads(
    tiny_youtube_vis: Path, tmp_path: Path
) -> None:
    source = tiny_youtube_vis / "annotations" / "youtube_vis_2019_train.json"
    file = read_coco_video(source)
    write_annotation_file(
        file.content(), tmp_path / "o.json", tiny_youtube_vis / "train/JPEGImages"
    )
    ours, known = read_annotations(tmp_path / "o.json"), read_annotations(source)
    assert [v["file_names"] for v in ours["videos"]] == [v["file_names"] for v in known["videos"]]
    assert [t["bboxes"] for t in ours["annotations"]] == [t["bboxes"] for t in known["annotations"]]


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(range(4)), objects=st.permutations(range(4)))
def test_the_order_of_records_does_not_matter(
    order: list[int], objects: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("order")
    first_video = coco()["images"][order[0]]["file_name"][0]

    def shuffle(data: dict[str, Any]) -> None:
        data["images"] = [data["images"][i] for i in order]
        data["annotations"] = [data["annotations"][i] for i in objects]

    videos = convert(folder, shuffle)["videos"]
    assert videos[0]["file_names"][0].startswith(first_video)
    assert sorted(name for v in videos for name in v["file_names"]) == sorted(
        image["file_name"] for image in coco()["images"]
    )
    assert all(v["file_names"] in (["a/9.jpg", "a/10.jpg"], ["b/1.jpg", "b/2.jpg"]) for v in videos)


def test_boxes_alone_make_boxes_or_filled_masks(tmp_path: Path) -> None:
    def boxes(data: dict[str, Any]) -> None:
        for annotation in data["annotations"]:
            del annotation["segmentation"], annotation["area"]

    assert "segmentations" not in convert(tmp_path, boxes)["annotations"][0]
    filled = convert(tmp_path, boxes, boxes_as_masks=True)["annotations"][0]
    assert filled["areas"] == [24, 24]


def change(field: str, value: Any, record: int = 1, name: str = "annotations") -> Edit:
    def edit(data: dict[str, Any]) -> None:
        entry = data[name][record]
        entry.pop(field) if value is None else entry.update({field: copy.deepcopy(value)})

    return edit


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (change("attributes", None), ("annotations[1]", "instance_id", "--track-field")),
        (change("attributes", {"track_id": [1]}), ("annotations[1]", "attributes.track_id")),
        (
            lambda data: data["annotations"][1].update(segmentation=None, bbox=[1, 2, "x", 4]),
            ("a/9.jpg", "bbox", "must be a number"),
        ),
        (
            change("segmentation", {"size": [3, 3], "counts": "9"}),
            ("a/9.jpg", "segmentation", "size [3, 3], the frame [10, 12]"),
        ),
        (change("image_id", 99), ("annotations[1]", "image_id", "99")),
        (change("category_id", 5), ("category_id", "5 is no category")),
        (change("segmentation", [[1.0, 2.0]]), ("a/9.jpg", "segmentation", "six")),
        (change("video_id", [1], name="images"), ("images[1]", "video_id", "a list of 1")),
        (change("file_name", None, name="images"), ("images[1]", "file_name")),
        (lambda data: data.pop("categories"), ("categories", "is missing")),
        (lambda data: data.pop("images"), ("images", "is missing")),
    ],
)
def test_defects_name_file_record_and_field(
    tmp_path: Path, edit: Edit, words: tuple[str, ...]
) -> None:
    with pytest.raises(InputError) as error:
        convert(tmp_path, edit)
    for word in ("coco.json", *words):
        assert word in str(error.value)


@pytest.mark.parametrize("stated", [False, True])
def test_frames_of_a_video_have_one_size(tmp_path: Path, stated: bool) -> None:
    def edit(data: dict[str, Any]) -> None:
        if stated:
            data["videos"] = [{"id": 1, "name": "a", "height": 20, "width": 12}]
            data["images"], data["annotations"] = data["images"][:1], data["annotations"][:1]
            data["images"][0]["video_id"] = 1
        else:
            data["images"][1]["height"] = 20

    with pytest.raises(InputError, match=r"image a/\d+\.jpg: .*height.*\(10, 12\)"):
        convert(tmp_path, edit)


def test_videos_must_be_objects(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"videos\[0\]"):
        convert(tmp_path, lambda data: data.update(videos=[5]))


def test_what_is_left_out_of_a_frame_is_told(tmp_path: Path) -> None:
    data = coco()
    data["annotations"].append({**data["annotations"][0], "id": 9, "bbox": [0, 0, 2, 2]})
    (tmp_path / "coco.json").write_text(json.dumps(data))
    (note,) = read_coco_video(tmp_path / "coco.json").notes
    assert "image 0: 2 annotations of one track; the first counts" in note
