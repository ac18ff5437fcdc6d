# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from mmdet.structures import TrackDataSample

from visbench.models.idol.targets import frame_order, pair_targets

PairOf = Callable[..., TrackDataSample]


def test_objects_are_those_of_the_key_frame(pair_of: PairOf) -> None:
    key = {7: (0, 0, 32, 32), 4: (32, 16, 96, 48)}
    reference = {9: (0, 0, 8, 8), 4: (48, 0, 96, 64)}
    (pair,) = pair_targets([pair_of(key, reference)], "cpu")
    assert pair.labels.tolist() == [1, 1]
    assert pair.valid.tolist() == [False, True]
    assert torch.allclose(pair.boxes[1], torch.tensor([64 / 96, 0.5, 64 / 96, 0.5]))
    assert torch.allclose(pair.reference_boxes[1], torch.tensor([0.75, 0.5, 0.5, 1.0]))
    assert pair.reference_boxes[0].tolist() == [0, 0, 0, 0]
    assert pair.masks.shape == (2, 16, 24)
    assert pair.masks[0].sum() == 8 * 8


def test_key_frame_may_be_the_later_one(pair_of: PairOf) -> None:
    sample = pair_of({1: (0, 0, 8, 8)}, {2: (8, 8, 24, 24)}, key=1)
    assert frame_order(sample) == [1, 0]
    (pair,) = pair_targets([sample], "cpu")
    assert pair.labels.tolist() == [2]
    assert pair.valid.tolist() == [False]


def test_boxes_are_relative_to_the_valid_size(pair_of: PairOf) -> None:
    (pair,) = pair_targets([pair_of({1: (0, 0, 24, 32)}, {}, size=(32, 48))], "cpu")
    assert torch.allclose(pair.boxes[0], torch.tensor([0.25, 0.5, 0.5, 1.0]))
    assert pair.masks.shape == (1, 16, 24)


@pytest.mark.parametrize("frames", [({}, {}), ({}, {1: (0, 0, 8, 8)}), ({1: (0, 0, 8, 8)}, {})])
def test_frames_without_objects(pair_of: PairOf, frames: tuple[dict, dict]) -> None:
    (pair,) = pair_targets([pair_of(*frames)], "cpu")
    assert len(pair.labels) == len(pair.masks) == len(pair.boxes) == len(frames[0])
    assert not pair.valid.any()


def test_still_image_has_no_valid_object(pair_of: PairOf) -> None:
    (pair,) = pair_targets([pair_of({1: (0, 0, 8, 8)})], "cpu")
    assert pair.valid.tolist() == [False]


def test_long_clips_and_repeated_ids_are_refused(pair_of: PairOf) -> None:
    with pytest.raises(ValueError, match="got 3 frames"):
        pair_targets([pair_of({}, {}, {})], "cpu")
    sample = pair_of({1: (0, 0, 8, 8), 2: (0, 0, 8, 8)}, {})
    sample[0].gt_instances.instances_ids[:] = 5
    with pytest.raises(ValueError, match=r"occurs twice.*\[5, 5\]"):
        pair_targets([sample], "cpu")
