# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from visbench.models.iai.targets import clip_targets, id_label_map, id_targets, rank_ids

from mmdet.structures import DetDataSample, TrackDataSample  # isort: skip
from mmdet.structures.mask import BitmapMasks  # isort: skip
from mmengine.structures import InstanceData  # isort: skip

CPU = torch.device("cpu")
seeds = st.integers(0, 10_000)


def frame_ids(seed: int, num_frames: int = 4, num_objects: int = 6) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [
        rng.permutation(num_objects)[: rng.integers(0, num_objects + 1)] for _ in range(num_frames)
    ]


def clip(ids: list[list[int]], size: tuple[int, int] = (8, 8)) -> TrackDataSample:
    """Return a clip whose objects are one column each, in an image without the last row."""
    frames = []
    for objects in ids:
        masks = np.zeros((len(objects), *size), dtype=np.uint8)
        for column in range(len(objects)):
            masks[column, : size[0] - 1, column] = 1
        frame = DetDataSample(metainfo={"img_shape": (size[0] - 1, size[1])})
        frame.gt_instances = InstanceData(
            bboxes=torch.zeros(len(objects), 4),
            labels=torch.zeros(len(objects), dtype=torch.long),
            masks=BitmapMasks(masks, *size),
            instances_ids=torch.tensor(objects, dtype=torch.long),
        )
        frames.append(frame)
    sample = TrackDataSample()
    sample.video_data_samples = frames
    return sample


def targets_of(samples: list[Any], **options: Any) -> list[list[list[int]]]:
    steps = clip_targets(samples, 5, CPU, **options)
    return [[frame.id_targets.tolist() for frame in step.instances] for step in steps]


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_ranks_keep_the_order_of_annotation_ids(seed: int) -> None:
    ids = [frame * 7 + 100 for frame in frame_ids(seed)]
    ranked = rank_ids(ids)
    known = sorted({int(i) for frame in ids for i in frame})
    for frame, ours in zip(ids, ranked, strict=True):
        assert ours.tolist() == [known.index(int(i)) for i in frame]


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_an_object_is_new_where_it_is_seen_first(seed: int) -> None:
    ids = frame_ids(seed)
    seen: set[int] = set()
    for frame, targets in zip(ids, id_targets(ids, 10), strict=True):
        expected = [int(i) if int(i) in seen else 9 for i in frame]
        assert targets.tolist() == expected
        seen.update(frame.tolist())


def test_the_entry_of_a_new_object_is_found_by_position() -> None:
    # The reference replaces the wrong entry here.
    targets = id_targets([np.array([2]), np.array([2, 9])], 20)
    assert [frame.tolist() for frame in targets] == [[19], [2, 19]]


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(1, 4), st.sampled_from(["discard", "share"]))
def test_the_smallest_object_has_the_pixel(seed: int, number: int, overflow: str) -> None:
    rng = np.random.default_rng(seed)
    masks, ids = rng.random((number, 5, 6)) < 0.5, rng.permutation(number)
    found = id_label_map(masks, ids, 10, overflow)
    areas = masks.sum(axis=(1, 2))
    for row, column in np.ndindex(found.shape):
        holders = np.flatnonzero(masks[:, row, column])
        if len(holders) == 0:
            assert found[row, column] == 10
        else:
            assert found[row, column] == ids[holders[areas[holders].argmin()]]


def test_objects_beyond_the_ids() -> None:
    ids = [[10, 20, 30, 40, 50, 60, 70]] * 2
    later = targets_of([clip(ids)])[1][0]
    assert later == [0, 1, 2, 3, 4, 4, 4]
    assert targets_of([clip(ids)], overflow="share")[1][0] == [0, 1, 2, 3, 4, 5, 5]
    (label_map,) = clip_targets([clip(ids)], 5, CPU)[0].label_maps
    assert label_map[0].tolist() == [0, 1, 2, 3, 5, 5, 5, 5]
    (label_map,) = clip_targets([clip(ids)], 5, CPU, overflow="share")[0].label_maps
    assert label_map[0].tolist() == [0, 1, 2, 3, 4, 5, -1, 5]


def test_the_first_object_without_id_is_noticed_when_it_is_seen_again() -> None:
    everyone, fewer = [10, 20, 30, 40, 50, 60], [10, 20, 30, 40, 50]
    steps = clip_targets([clip([everyone, fewer, everyone])], 5, CPU)
    assert [step.past_ids for step in steps] == [False, False, True]
    assert [step.new for step in steps] == [True, False, False]


def test_clips_without_objects_and_with_one_frame() -> None:
    steps = clip_targets([clip([[], [7]]), clip([[], []])], 5, CPU)
    assert [step.new for step in steps] == [False, True]
    assert (steps[0].label_maps == 5).all() and steps[0].label_maps.shape == (2, 8, 8)
    assert targets_of([clip([[3]])]) == [[[4]]]


def test_padding_is_background_or_an_id_by_choice() -> None:
    sample = clip([[3]])
    (label_map,) = clip_targets([sample], 5, CPU)[0].label_maps
    assert (label_map[-1] == 5).all()
    (label_map,) = clip_targets([sample], 5, CPU, padding_id=0)[0].label_maps
    assert (label_map[-1] == 0).all() and (label_map[:-1, 1:] == 5).all()


def test_padding_to_the_divisor_is_background_in_the_reference_too() -> None:
    # Seven rows are image, the eighth makes the number even, the others come from larger images.
    (label_map,) = clip_targets([clip([[3]], (8, 8))], 5, CPU, "share", 0, 2)[0].label_maps
    assert (label_map[-1] == 5).all()
    small, large = clip([[3]], (12, 10)), clip([[3]], (12, 10))
    small[0].set_metainfo({"img_shape": (7, 5)})
    maps = clip_targets([small, large], 5, CPU, "share", 0, 2)[0].label_maps
    assert (maps[0, 8:] == 0).all() and (maps[0, :, 6:] == 0).all()
    assert (maps[0, :8, 1:6] == 5).all()
    assert (maps[1, :, 1:] == 5).all()


def test_an_id_that_occurs_twice_is_refused() -> None:
    with pytest.raises(ValueError, match=r"an object id occurs twice: \[3, 3\]"):
        clip_targets([clip([[3, 3]])], 5, CPU)


def test_frames_without_ids_are_refused() -> None:
    sample = clip([[3]])
    del sample[0].gt_instances.instances_ids
    with pytest.raises(ValueError, match="no 'instances_ids' in gt_instances"):
        clip_targets([sample], 5, CPU)


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(ValueError, match="overflow='keep' is not one of"):
        clip_targets([clip([[3]])], 5, CPU, overflow="keep")
