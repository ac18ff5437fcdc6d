# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mmdet.structures.mask import BitmapMasks

from visbench.datasets import ChooseTransforms, ClipBroadcaster, seeded_generators

RANDOM = [
    {"type": "mmdet.RandomFlip", "prob": 0.5},
    {
        "type": "mmdet.RandomChoiceResize",
        "resize_type": "mmdet.Resize",
        "scales": [(96, 64), (72, 48), (48, 32)],
        "keep_ratio": True,
    },
    {"type": "mmdet.RandomResize", "resize_type": "mmdet.Resize", "scale": [(96, 64), (48, 32)]},
    {"type": "mmdet.RandomCrop", "crop_size": (30, 50), "crop_type": "absolute_range"},
    {"type": "mmdet.PhotoMetricDistortion"},
    {
        "type": "mmdet.RandomApply",
        "transforms": [{"type": "mmdet.RandomCrop", "crop_size": (40, 40)}],
        "prob": 0.5,
    },
]


def clip(length: int = 4) -> dict[str, list[Any]]:
    """Return a clip of equal frames with one object."""
    image = np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)
    mask = np.zeros((1, 64, 96), np.uint8)
    mask[0, 10:60, 10:80] = 1
    frame = {
        "img": image,
        "img_shape": (64, 96),
        "ori_shape": (64, 96),
        "gt_bboxes": np.array([[10, 10, 80, 60]], np.float32),
        "gt_bboxes_labels": np.array([1]),
        "gt_masks": BitmapMasks(mask, 64, 96),
        "gt_instances_ids": np.array([5]),
        "gt_ignore_flags": np.array([False]),
    }
    frames = [{key: _copy(value) for key, value in frame.items()} for _ in range(length)]
    return {key: [item[key] for item in frames] for key in frame}


def _copy(value: Any) -> Any:
    return value.copy() if isinstance(value, np.ndarray) else value


def equal(results: dict[str, list[Any]]) -> bool:
    boxes = [np.asarray(getattr(value, "tensor", value)) for value in results["gt_bboxes"]]
    masks = [value.masks for value in results["gt_masks"]]
    columns = (results["img"], boxes, masks)
    return all(
        values[0].shape == value.shape and (values[0] == value).all()
        for values in columns
        for value in values
    )


@pytest.mark.parametrize("transform", RANDOM, ids=lambda transform: transform["type"])
def test_parameters_are_shared_when_asked(transform: dict[str, Any]) -> None:
    outcomes = set()
    shared = ClipBroadcaster([transform], share_random_params=True)
    independent = ClipBroadcaster([transform])
    independently_equal = []
    for seed in range(12):
        np.random.seed(seed)
        results = shared(clip())
        assert results is not None and equal(results)
        outcomes.add(results["img"][0].tobytes())
        np.random.seed(seed)
        results = independent(clip())
        assert results is not None
        independently_equal.append(equal(results))
    assert len(outcomes) > 1, "sharing must not freeze the parameters over clips"
    assert not all(independently_equal)


def test_crop_without_object_makes_the_clip_none() -> None:
    results = clip(3)
    results["gt_bboxes"][1] = np.zeros((0, 4), np.float32)
    results["gt_masks"][1] = BitmapMasks(np.zeros((0, 64, 96), np.uint8), 64, 96)
    for key in ("gt_bboxes_labels", "gt_instances_ids", "gt_ignore_flags"):
        results[key][1] = results[key][1][:0]
    crop = {"type": "mmdet.RandomCrop", "crop_size": (40, 40)}
    assert ClipBroadcaster([crop])(results) is None
    kept = ClipBroadcaster([{**crop, "allow_negative_crop": True}])(results)
    assert kept is not None
    assert [len(labels) for labels in kept["gt_bboxes_labels"]] == [1, 0, 1]


def test_frames_may_differ_in_their_keys() -> None:
    def mark(frame: dict[str, Any]) -> dict[str, Any]:
        return {**frame, "even": True} if frame["number"] % 2 == 0 else frame

    results = ClipBroadcaster([mark])({"number": [0, 1, 2]})
    assert results == {"number": [0, 1, 2], "even": [True, None, True]}


def test_a_shared_coin_may_choose_independent_crops() -> None:
    """IDOL: per clip one coin for "with crop", crops drawn per frame, then a shared resize."""
    from visbench.registry import TRANSFORMS

    crop = {"type": "mmdet.RandomCrop", "crop_size": (30, 50), "crop_type": "absolute_range"}
    resize = {"type": "mmdet.Resize", "scale": (96, 64), "keep_ratio": True}
    with_crop = [ClipBroadcaster([crop]), ClipBroadcaster([resize], share_random_params=True)]
    coin = TRANSFORMS.build(
        {"type": "mmcv.RandomChoice", "transforms": [with_crop, [ClipBroadcaster([resize])]]}
    )
    kinds = set()
    for seed in range(10):
        np.random.seed(seed)
        kinds.add(equal(coin(clip())))
    assert kinds == {True, False}


def test_one_of_several_lists_of_transforms_is_drawn() -> None:
    crop = {"type": "mmdet.RandomCrop", "crop_size": (4, 4), "allow_negative_crop": True}
    branches = [[], [{"type": "visbench.ClipBroadcaster", "transforms": [crop]}]]
    choose = ChooseTransforms(branches)
    sizes = set()
    for seed in range(12):
        with seeded_generators(seed):
            clip = choose({"img": [np.zeros((8, 9, 3), np.uint8) for _ in range(2)]})
        sizes.add(tuple(image.shape[:2] for image in clip["img"]))
    assert sizes == {((8, 9), (8, 9)), ((4, 4), (4, 4))}
    always = ChooseTransforms(branches, [1.0, 0.0])
    assert always({"img": [np.zeros((8, 9, 3), np.uint8)]})["img"][0].shape == (8, 9, 3)
