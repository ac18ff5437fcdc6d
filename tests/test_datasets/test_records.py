# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as mask_utils

from visbench.datasets.annotations import read_annotations
from visbench.datasets.records import frame_records, track_record, video_records

LABELS = {3: 0, 7: 1}
VIDEO = {"id": 1, "height": 4, "width": 6, "file_names": ["v/0.jpg", "v/1.jpg"]}


def rle(*counts: int) -> dict[str, Any]:
    return {"size": [4, 6], "counts": list(counts)}


def annotation(**fields: Any) -> dict[str, Any]:
    base = {"id": 5, "category_id": 3, "bboxes": [[0, 0, 2, 2], None]}
    return {**base, "segmentations": [rle(0, 2, 22), None], **fields}


@pytest.mark.parametrize("split", ["train", "valid"])
def test_frames_have_the_masks_and_boxes_of_the_file(tiny_youtube_vis: Path, split: str) -> None:
    data = read_annotations(tiny_youtube_vis / f"{split}.json")
    tracks = {track["id"]: track for track in data["annotations"]}
    for record in video_records(data, LABELS, "file"):
        for index, frame in enumerate(frame_records(record, "/images")):
            assert frame["frame_id"] == index
            assert frame["img_path"] == f"/images/{record['file_names'][index]}"
            present = {
                key
                for key, track in tracks.items()
                if track["video_id"] == record["video_id"] and track["bboxes"][index] is not None
            }
            assert {instance["instance_id"] for instance in frame["instances"]} == present
            for instance in frame["instances"]:
                track = tracks[instance["instance_id"]]
                x, y, w, h = track["bboxes"][index]
                assert instance["bbox"] == [x, y, x + w, y + h]
                assert instance["bbox_label"] == LABELS[track["category_id"]]
                if split == "train":
                    expected = mask_utils.frPyObjects(track["segmentations"][index], 64, 96)
                    assert mask_utils.iou([instance["mask"]], [expected], [0])[0, 0] == 1
                else:
                    assert instance["mask"] == track["segmentations"][index]


def test_missing_box_is_that_of_the_mask() -> None:
    record = track_record(annotation(bboxes=[None, None]), VIDEO, 0, "file")
    np.testing.assert_array_equal(record["boxes"], [[0, 0, 1, 2]])


@pytest.mark.parametrize(
    "fields",
    [
        {"segmentations": [rle(24), None]},
        {"segmentations": [None, None]},
        {"bboxes": [[0, 0, 0.5, 2], None]},
        {"bboxes": [[7, 0, 2, 2], None]},
    ],
    ids=["empty mask", "no mask", "thin box", "box outside"],
)
def test_unusable_frames_are_left_out(fields: dict[str, Any]) -> None:
    assert len(track_record(annotation(**fields), VIDEO, 0, "file")["frames"]) == 0


def test_boxes_without_a_mask_field_are_kept() -> None:
    record = track_record(annotation(segmentations=None), VIDEO, 0, "file")
    assert record["masks"] is None
    video = {**VIDEO, "video_id": 1, "video_name": "v", "frame_ids": [0, 1], "tracks": [record]}
    (instance,) = frame_records(video, "")[0]["instances"]
    assert "mask" not in instance


def test_polygons_are_kept() -> None:
    polygons = [[0, 0, 4, 0, 4, 3]]
    record = track_record(annotation(segmentations=[polygons, None]), VIDEO, 0, "file")
    assert record["masks"] == [polygons]


@pytest.mark.parametrize(("field", "value"), [("iscrowd", 1), ("iscrowd", 0), ("ignore", 1)])
def test_crowds_are_flagged(field: str, value: int) -> None:
    assert track_record(annotation(**{field: value}), VIDEO, 0, "file")["ignore"] == value


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"segmentations": [None]}, "field 'segmentations' has 1 entries, its video 2 frames"),
        ({"bboxes": [None] * 3}, "field 'bboxes' has 3 entries, its video 2 frames"),
        ({"segmentations": [None, rle(3, 4)]}, "frame 1: field 'segmentations': runs cover 7"),
        (
            {"segmentations": [None, {"size": [6, 4], "counts": [24]}]},
            r"frame 1: .*size \[6, 4\] is not the video's \[4, 6\]",
        ),
        (
            {"segmentations": [rle(0, 2, 22), {"size": [4, 6], "counts": "~~"}]},
            "frame 1: .*run-length alphabet",
        ),
    ],
)
def test_damaged_tracks_are_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        track_record(annotation(**fields), VIDEO, 0, "train.json: annotation 5")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"video_id": 9}, "annotation 5: field 'video_id' names no video: 9"),
        ({"category_id": 9}, "annotation 5: field 'category_id' names no category: 9"),
    ],
)
def test_unknown_references_are_refused(change: dict[str, Any], words: str) -> None:
    data = {
        "videos": [VIDEO],
        "categories": [{"id": 3, "name": "disc"}],
        "annotations": [annotation(video_id=1, **change)]
        if "video_id" not in change
        else [annotation(**change)],
    }
    with pytest.raises(ValueError, match=words):
        video_records(data, {3: 0}, "train.json")


def test_other_categories_are_left_out(tiny_youtube_vis: Path) -> None:
    data = read_annotations(tiny_youtube_vis / "train.json")
    records = video_records(data, {7: 0}, "file")
    assert [[track["label"] for track in record["tracks"]] for record in records] == [[0]] * 3
