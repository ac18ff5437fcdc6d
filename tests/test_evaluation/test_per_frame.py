# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from visbench.evaluation import InputError, evaluate, load_annotations
from visbench.evaluation.per_frame import is_per_frame, join_frames

CONTENT: dict[str, Any] = {
    "categories": [{"id": 1, "name": "airplane"}, {"id": 2, "name": "antelope"}],
    "videos": [{"id": 1, "name": "val/a", "vid_train_frames": []}, {"id": 2, "name": "val/b"}],
    # As in public files, sizes are those of the images; here the frames are out of order.
    "images": [
        {"id": 2, "video_id": 1, "frame_id": 1, "file_name": "a/1.JPEG", "height": 60, "width": 80},
        {"id": 1, "video_id": 1, "frame_id": 0, "file_name": "a/0.JPEG", "height": 60, "width": 80},
        {"id": 3, "video_id": 2, "frame_id": 0, "file_name": "b/0.JPEG", "height": 40, "width": 50},
    ],
    "annotations": [
        {"id": 1, "image_id": 1, "instance_id": 5, "category_id": 1, "bbox": [1, 2, 30, 40]},
        {"id": 2, "image_id": 2, "instance_id": 5, "category_id": 1, "bbox": [3, 2, 30, 40]},
        {"id": 3, "image_id": 2, "instance_id": 6, "category_id": 2, "bbox": [50, 20, 20, 20]},
        {"id": 4, "image_id": 3, "instance_id": 7, "category_id": 2, "bbox": [5, 5, 20, 20]},
    ],
}
for _annotation in CONTENT["annotations"]:
    _annotation.update(area=_annotation["bbox"][2] * _annotation["bbox"][3], iscrowd=False)


def edited(edit: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    content = copy.deepcopy(CONTENT)
    edit(content)
    return content


def test_frames_become_tracks_of_boxes() -> None:
    assert is_per_frame(CONTENT)
    joined = join_frames(CONTENT)
    assert not is_per_frame(joined)
    sizes = [(video["height"], video["width"], video["length"]) for video in joined["videos"]]
    assert sizes == [(60, 80, 2), (40, 50, 1)]
    assert joined["videos"][0]["file_names"] == ["a/0.JPEG", "a/1.JPEG"]
    tracks = joined["annotations"]
    assert [track["id"] for track in tracks] == [5, 6, 7]
    assert tracks[0]["bboxes"] == [[1, 2, 30, 40], [3, 2, 30, 40]]
    assert tracks[1]["bboxes"] == [None, [50, 20, 20, 20]]
    assert tracks[1]["areas"] == [None, 400]
    assert tracks[0]["iscrowd"] == 0 and not isinstance(tracks[0]["iscrowd"], bool)
    assert all("segmentations" not in track for track in tracks)


def test_ids_that_repeat_in_another_video_are_numbered_anew() -> None:
    joined = join_frames(edited(lambda content: content["annotations"][3].update(instance_id=5)))
    assert [(t["id"], t["video_id"]) for t in joined["annotations"]] == [(1, 1), (2, 1), (3, 2)]


def test_the_first_box_of_an_instance_in_a_frame_counts() -> None:
    again = {**CONTENT["annotations"][0], "id": 9, "bbox": [9, 9, 9, 9]}
    joined = join_frames(edited(lambda content: content["annotations"].append(again)))
    assert joined["annotations"] == join_frames(CONTENT)["annotations"]


def test_without_annotations() -> None:
    assert join_frames(edited(lambda content: content.pop("annotations")))["annotations"] is None


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda c: c["images"][0].pop("frame_id"), r"images\[0\]: field 'frame_id': is missing"),
        (lambda c: c["images"][1].update(video_id=9), r"images\[1\]: field 'video_id': 9 is not"),
        (lambda c: c["videos"][1].update(id="b"), r"videos\[1\]: field 'id': must be an integer"),
        (
            lambda c: c["annotations"][2].update(image_id=77),
            r"annotations\[2\]: field 'image_id': 77 is not among",
        ),
        (
            lambda c: c["annotations"][0].pop("instance_id"),
            r"'instance_id': is missing\. .*still images",
        ),
        (lambda c: c["annotations"].append(3), r"annotations\[4\]: must be an object"),
    ],
)
def test_defects_are_named(edit: Callable[[dict[str, Any]], Any], words: str) -> None:
    with pytest.raises(InputError, match=words) as error:
        join_frames(edited(edit), source="vid.json")
    assert str(error.value).startswith("vid.json: ")


def test_a_file_is_evaluated_by_box_sequences(tmp_path: Path) -> None:
    path = tmp_path / "imagenet_vid_val.json"
    path.write_text(json.dumps(CONTENT))
    loaded = load_annotations(path, masks=False, boxes=True)
    assert [track.area for track in loaded.tracks or []] == [1200, 400, 400]
    results = [
        {"video_id": track["video_id"], "category_id": track["category_id"], "score": 0.9}
        | {"bboxes": track["bboxes"]}
        for track in join_frames(CONTENT)["annotations"]
    ]
    found = evaluate(path, results, metric="imagenet_vid").to_dict()["imagenet_vid"]
    assert found["AP"] == pytest.approx(1.0)
    assert evaluate(path, results, metric="all").to_dict() == {"imagenet_vid": found}
    results[0]["bboxes"] = [[1, 2, 30, 40], None]
    found = evaluate(path, results, metric="imagenet_vid").to_dict()["imagenet_vid"]
    # Half of the airplane's sequence: an IoU of 0.5 is found at the lowest threshold only.
    assert found["AP50"] == pytest.approx(1.0)
    assert found["AP75"] == pytest.approx(0.5)
