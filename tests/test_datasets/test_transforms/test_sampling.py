# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visbench.datasets import (
    SampleClip,
    SampleGapClip,
    SampleGrowingClip,
    SampleKeyReference,
)


def video(length: int, annotated: set[int] | None = None, first: int = 100) -> dict[str, Any]:
    """Return a video whose frame ids are not positions: they start at 100 and step by 5."""
    images = [
        {
            "frame_id": first + 5 * index,
            "instances": [{"ignore_flag": 0}] if annotated is None or index in annotated else [],
        }
        for index in range(length)
    ]
    return {"video_id": 9, "video_length": length, "images": images}


def chosen(sampler: Any, source: dict[str, Any]) -> list[int]:
    results = sampler.transform(source)
    assert results["video_id"] == [9] * len(results["frame_id"])
    assert results["ori_video_length"] == [len(source["images"])] * len(results["frame_id"])
    return [(frame_id - 100) // 5 for frame_id in results["frame_id"]]


@given(
    length=st.integers(1, 12),
    count=st.integers(1, 6),
    reach=st.none() | st.integers(0, 6),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=80, deadline=None)
def test_clips_are_sorted_near_the_key_and_distinct_where_possible(
    length: int, count: int, reach: int | None, seed: int
) -> None:
    np.random.seed(seed)
    results = SampleClip(count, reach).transform(video(length))
    positions = [(frame_id - 100) // 5 for frame_id in results["frame_id"]]
    assert len(positions) == count
    assert positions == sorted(positions)
    assert sum(results["key_frame_flags"]) == 1
    key = positions[results["key_frame_flags"].index(True)]
    limit = length if reach is None else reach
    room = min(key + limit, length - 1) - max(key - limit, 0) + 1
    assert all(abs(position - key) <= limit for position in positions)
    assert len(set(positions)) >= min(count, room, max(room - 1, 1) + 0)
    if room >= count:
        assert len(set(positions)) == count


def test_uneven_range() -> None:
    sampler = SampleClip(2, (-1, 3), order="key_first")
    offsets = set()
    for seed in range(200):
        np.random.seed(seed)
        key, other = chosen(sampler, video(20))
        offsets.add(other - key)
    assert offsets == {-1, 1, 2, 3}


@pytest.mark.parametrize("order", ["sorted", "key_first", "shuffled"])
def test_orders(order: str) -> None:
    clips = []
    for seed in range(60):
        np.random.seed(seed)
        results = SampleClip(3, order=order).transform(video(9))
        clips.append((results["frame_id"], results["key_frame_flags"]))
    in_order = [frames == sorted(frames) for frames, _ in clips]
    key_first = [flags[0] for _, flags in clips]
    assert all(in_order) == (order == "sorted")
    assert all(key_first) == (order == "key_first")


@pytest.mark.parametrize("annotated", ["none", "key", "all"])
def test_annotated_frames(annotated: str) -> None:
    with_objects = {2, 5, 6}
    keys, others = set(), set()
    for seed in range(80):
        np.random.seed(seed)
        key, *rest = chosen(
            SampleClip(2, order="key_first", annotated=annotated), video(8, with_objects)
        )
        keys.add(key)
        others.update(rest)
    assert keys == (set(range(8)) if annotated == "none" else with_objects)
    assert others == (with_objects if annotated == "all" else set(range(8)))


def test_video_without_annotations_is_sampled_all_the_same() -> None:
    assert len(chosen(SampleClip(3, annotated="all"), video(4, set()))) == 3


def test_fixed_key_frame() -> None:
    source = {**video(8), "key_frame_id": 5}
    assert chosen(SampleClip(2, order="key_first"), source)[0] == 5


def test_repeated_frames_do_not_share_their_dictionary() -> None:
    results = SampleClip(3).transform(video(1))
    assert results["frame_id"] == [100] * 3
    assert results["video_length"] == [3] * 3


@pytest.mark.parametrize("key", ["drawn", "earliest"])
def test_key_and_references(key: str) -> None:
    sampler = SampleKeyReference(num_references=2, frame_range=3, key=key)
    earliest = set()
    for seed in range(60):
        np.random.seed(seed)
        results = sampler.transform(video(10))
        assert results["key_frame_flags"] == [True, False, False]
        earliest.add(results["frame_id"][0] == min(results["frame_id"]))
    assert earliest == ({True} if key == "earliest" else {True, False})


@given(
    length=st.integers(1, 12),
    count=st.integers(1, 6),
    gap=st.integers(1, 4),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=80, deadline=None)
def test_gaps(length: int, count: int, gap: int, seed: int) -> None:
    np.random.seed(seed)
    positions = chosen(SampleGapClip(count, gap), video(length))
    if length >= count:
        steps = np.diff(positions)
        assert ((steps >= 1) & (steps <= gap)).all()
    else:
        assert positions == [index % length for index in range(count)]


def test_gaps_are_uniform_as_in_the_reference() -> None:
    """Start in 0..n-T; then a gap in 1..min(max_gap, n - current - r) with r still to pick."""
    counts: dict[tuple[int, ...], int] = {}
    for seed in range(3000):
        np.random.seed(seed)
        clip = tuple(chosen(SampleGapClip(2, 3), video(4)))
        counts[clip] = counts.get(clip, 0) + 1
    expected = {
        (0, 1): 1 / 9,
        (0, 2): 1 / 9,
        (0, 3): 1 / 9,
        (1, 2): 1 / 6,
        (1, 3): 1 / 6,
        (2, 3): 1 / 3,
    }
    assert set(counts) == set(expected)
    for clip, share in expected.items():
        assert counts[clip] / 3000 == pytest.approx(share, abs=0.03)


def test_gaps_over_annotated_frames() -> None:
    clips = set()
    for seed in range(20):
        np.random.seed(seed)
        sampler = SampleGapClip(2, 1, annotated="all")
        clips.add(tuple(chosen(sampler, video(8, {1, 4, 7}))))
    assert clips == {(1, 4), (4, 7)}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"num_frames": 0}, "num_frames must be 1 or more"),
        ({"num_frames": 2, "order": "reverse"}, "order must be one of"),
        ({"num_frames": 2, "annotated": "some"}, "annotated must be one of"),
        ({"num_frames": 2, "frame_range": (1, 3)}, "must include the key frame"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SampleClip(**arguments)


@pytest.mark.parametrize(
    ("number", "count"), [(0, 1), (11, 1), (12, 2), (29, 2), (30, 4), (900, 4), (None, 4)]
)
def test_clips_grow_with_the_draws(number: int | None, count: int) -> None:
    sampler = SampleGrowingClip([(0, 1), (12, 2), (30, 4)], frame_range=5)
    positions = chosen(sampler, {**video(9), "draw_number": number})
    assert len(positions) == count
    assert positions == sorted(set(positions))


@pytest.mark.parametrize("lengths", [[], [(3, 1)], [(0, 1), (9, 2), (4, 3)], [(0, 1), (0, 2)]])
def test_lengths_must_be_in_order(lengths: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="draw 0"):
        SampleGrowingClip(lengths)
