# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from visbench.models.inspro.association import TemporallyConsistentMatching
from visbench.models.inspro.targets import (
    ClipTargets,
    clip_targets,
    frame_sizes,
    identity_targets,
    match_clips,
)

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


@given(
    clips=st.lists(
        st.lists(st.sets(st.integers(0, 4), max_size=4), min_size=3, max_size=3),
        min_size=1,
        max_size=3,
    )
)
@settings(max_examples=50, deadline=None)
def test_objects_are_paired_with_the_other_frames_of_their_clip(clips: list[list[set]]) -> None:
    objects = [
        (time, clip, track_id)
        for time in range(3)
        for clip, sets in enumerate(clips)
        for track_id in sorted(sets[time])
    ]
    number = len(objects)
    targets = ClipTargets(
        num_clips=len(clips),
        whwh=torch.ones(3 * len(clips), 4),
        frame=torch.tensor([time * len(clips) + clip for time, clip, _ in objects]).long(),
        ids=[track_id for _, _, track_id in objects],
        labels=torch.zeros(number, dtype=torch.long),
        boxes=torch.ones(number, 4),
        masks=torch.ones(number, 2, 2),
    )
    expected = []
    for key, (time, clip, track_id) in enumerate(objects):
        for other in {0, 1, 2} - {time}:
            there = [one[:2] == (other, clip) for one in objects]
            if any(there):
                same = (other, clip, track_id)
                column = objects.index(same) + 1 if same in objects else 0
                expected.append((key, there, column))
    found = identity_targets(targets)
    assert found.candidates.shape[1] == number
    rows = zip(found.key.tolist(), found.candidates.tolist(), found.column.tolist(), strict=True)
    assert sorted(rows) == sorted(expected)
