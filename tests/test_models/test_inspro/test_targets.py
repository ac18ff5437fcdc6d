# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from visbench.models.inspro.association import TemporallyConsistentMatching
from visbench.models.inspro.targets import clip_targets, frame_sizes, match_clips

from mmdet.structures import TrackDataSample  # isort: skip

CPU = torch.device("cpu")


@pytest.fixture
def samples(make_sample: Callable[..., TrackDataSample]) -> list[TrackDataSample]:
    first = make_sample([{3: (0, 0, 8, 8), 1: (4, 4, 40, 40)}, {1: (8, 8, 44, 44)}], (48, 64))
    second = make_sample([{}, {9: (0, 0, 20, 10)}], (32, 64))
    for frame in second:
        frame.gt_instances.masks = frame.gt_instances.masks.pad((48, 64))
    return [first, second]


def test_frames_are_ordered_by_time_then_clip(samples: list[TrackDataSample]) -> None:
    targets = clip_targets(samples, 4, CPU)
    assert targets.frame.tolist() == [0, 0, 2, 3]
    assert targets.ids == [3, 1, 1, 9]
    assert targets.counts.tolist() == [2, 0, 1, 1]
    assert frame_sizes(samples, CPU).tolist() == [
        [64, 48, 64, 48],
        [64, 32, 64, 32],
        [64, 48, 64, 48],
        [64, 32, 64, 32],
    ]


def test_masks_are_point_sampled(samples: list[TrackDataSample]) -> None:
    targets = clip_targets(samples, 4, CPU)
    full = samples[0][0].gt_instances.masks.masks
    assert targets.masks.shape == (4, 12, 16)
    rows, columns = np.arange(2, 48, 4), np.arange(2, 64, 4)
    np.testing.assert_array_equal(targets.masks[:2].numpy(), full[:, rows][:, :, columns])


def test_every_clip_has_a_matcher_of_its_own(samples: list[TrackDataSample]) -> None:
    targets = clip_targets(samples, 4, CPU)
    costs = torch.zeros(1, 4, 3)
    costs[0, 0, 2] = costs[0, 1, 1] = costs[0, 2, 0] = costs[0, 3, 1] = -1
    slots = match_clips(costs, targets, lambda: TemporallyConsistentMatching(3))
    # Object 1 of the first clip keeps slot 1 although slot 0 would be cheaper in its second frame.
    assert slots.tolist() == [[2, 1, 1, 1]]


def test_objects_of_some_frames(samples: list[TrackDataSample]) -> None:
    targets = clip_targets(samples, 4, CPU)
    late, kept = targets.of_frames(torch.tensor([False, False, True, True]))
    assert kept.tolist() == [False, False, True, True]
    assert late.frame.tolist() == [0, 1]
    assert late.ids == [1, 9]
    assert late.counts.tolist() == [1, 1]
    assert torch.equal(late.whwh, targets.whwh[2:])
    for name in ("labels", "boxes", "masks"):
        assert torch.equal(getattr(late, name), getattr(targets, name)[2:])
    boxes_only, _ = clip_targets(samples, None, CPU).of_frames(torch.tensor([True] * 4))
    assert boxes_only.masks is None
    assert boxes_only.ids == targets.ids
