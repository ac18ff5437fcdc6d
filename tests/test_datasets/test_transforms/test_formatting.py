# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from mmdet.structures import TrackDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks

from visbench.datasets import PackClip

SIZES = [(40, 60), (32, 50), (64, 20)]


def clip(ignore: bool = False) -> dict[str, list[Any]]:
    """Return three frames of different size with three objects.

    The second object's mask is empty in frame 1, the third object's box in frame 2.
    """
    results: dict[str, list[Any]] = {
        "img": [np.full((*size, 3), t, np.uint8) for t, size in enumerate(SIZES)],
        "img_shape": list(SIZES),
        "ori_shape": [(80, 120)] * 3,
        "img_id": [1, 2, 3],
        "frame_id": [0, 4, 8],
        "video_id": [7] * 3,
        "key_frame_flags": [False, True, False],
        "gt_bboxes": [],
        "gt_masks": [],
        "gt_bboxes_labels": [np.array([0, 1, 2])] * 3,
        "gt_instances_ids": [np.array([11, 12, 13])] * 3,
        "gt_ignore_flags": [np.array([False, False, ignore])] * 3,
    }
    for t, size in enumerate(SIZES):
        masks = np.zeros((3, *size), np.uint8)
        masks[:, 5:15, 5:18] = 1
        boxes = np.array([[4, 5, 18, 15]] * 3, np.float32)
        if t == 1:
            masks[1] = 0
        if t == 2:
            boxes[2] = (20, 5, 20, 15)
        results["gt_bboxes"].append(boxes)
        results["gt_masks"].append(BitmapMasks(masks, *size))
    return results


def test_frames_of_different_size_are_packed() -> None:
    packed = PackClip()(clip())
    assert packed is not None
    assert [tuple(image.shape) for image in packed["inputs"]] == [(3, *size) for size in SIZES]
    assert all(image.dtype == torch.uint8 for image in packed["inputs"])
    sample = packed["data_samples"]
    assert isinstance(sample, TrackDataSample)
    assert sample.key_frames_inds == [1]
    assert sample.ref_frames_inds == [0, 2]
    for t, frame in enumerate(sample):
        assert frame.metainfo["img_shape"] == SIZES[t]
        assert frame.metainfo["ori_shape"] == (80, 120)
        assert (frame.video_id, frame.frame_id) == (7, 4 * t)
        assert frame.metainfo["scale_factor"] == (1.0, 1.0)


@pytest.mark.parametrize("box_type", [np.asarray, HorizontalBoxes])
def test_empty_objects_are_dropped_with_all_fields(box_type: Any) -> None:
    results = clip()
    results["gt_bboxes"] = [box_type(boxes) for boxes in results["gt_bboxes"]]
    sample = PackClip()(results)["data_samples"]
    kept = [frame.gt_instances.instances_ids.tolist() for frame in sample]
    assert kept == [[11, 12, 13], [11, 13], [11, 12]]
    for frame in sample:
        instances = frame.gt_instances
        ids = instances.instances_ids.tolist()
        assert instances.labels.tolist() == [identity - 11 for identity in ids]
        assert len(instances.masks) == len(instances.bboxes) == len(ids)
        assert (instances.masks.areas > 0).all()
    kept = [len(frame.gt_instances) for frame in PackClip(drop_empty=False)(clip())["data_samples"]]
    assert kept == [3, 3, 3]


def test_input_is_left_alone() -> None:
    results = clip()
    PackClip()(results)
    assert [len(labels) for labels in results["gt_bboxes_labels"]] == [3, 3, 3]
    assert "img" in results


def test_crowds_are_ignored_instances() -> None:
    sample = PackClip()(clip(ignore=True))["data_samples"]
    assert [f.gt_instances.instances_ids.tolist() for f in sample] == [[11, 12], [11], [11, 12]]
    assert [f.ignored_instances.instances_ids.tolist() for f in sample] == [[13], [13], []]


def test_boxes_from_masks() -> None:
    sample = PackClip(boxes_from_masks=True)(clip())["data_samples"]
    for frame in sample:
        assert (frame.gt_instances.bboxes == torch.tensor([5.0, 5.0, 18.0, 15.0])).all()
    assert [len(frame.gt_instances) for frame in sample] == [3, 2, 3]


@pytest.mark.parametrize(
    ("require", "empty", "packed"),
    [
        ("none", {0, 1, 2}, True),
        ("any", {0, 1, 2}, False),
        ("any", {0, 1}, True),
        ("key", {1}, False),
        ("key", {0, 2}, True),
        ("all", {2}, False),
        ("all", set(), True),
    ],
)
def test_required_objects(require: str, empty: set[int], packed: bool) -> None:
    results = clip()
    for t in empty:
        results["gt_masks"][t] = BitmapMasks(np.zeros((3, *SIZES[t]), np.uint8), *SIZES[t])
    assert (PackClip(require=require)(results) is not None) == packed


def test_crowds_do_not_satisfy_a_requirement() -> None:
    results = clip()
    results["gt_ignore_flags"] = [np.array([True] * 3)] * 3
    assert PackClip(require="any")(results) is None


def test_unknown_requirement_is_refused() -> None:
    with pytest.raises(ValueError, match="require must be one of"):
        PackClip(require="some")


def test_frames_without_annotations_and_more_meta_keys() -> None:
    results = clip()
    kept = {key: value for key, value in results.items() if not key.startswith("gt_")}
    kept["video_name"] = ["clip"] * 3
    packed = PackClip(meta_keys=("video_name",))(kept)
    assert packed["data_samples"][0].metainfo["video_name"] == "clip"
    assert len(packed["data_samples"][0].gt_instances) == 0
