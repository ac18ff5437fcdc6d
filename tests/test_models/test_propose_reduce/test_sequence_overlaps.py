# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sequence_problems import brute_force_iou, overlaps_of, random_sequences

from visbench.models.propose_reduce import sequence_overlaps
from visbench.models.propose_reduce.association import (
    SequenceOverlaps,
    deduplicate_masks,
    pack_masks,
)

seeds = st.integers(0, 2**32 - 1)


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_iou_is_that_of_brute_force(seed: int) -> None:
    masks = random_sequences(seed)
    overlaps = overlaps_of(masks)
    rows = [overlaps.row(index) for index in range(len(masks))]
    np.testing.assert_array_equal(np.stack(rows), brute_force_iou(masks))


@pytest.mark.parametrize("words", [1, 7, 1 << 16])
def test_words_and_buffers_have_no_borders(words: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequence_overlaps, "WORDS_AT_ONCE", words)
    masks = random_sequences(0, size=(9, 200), frames=3)
    overlaps = overlaps_of(masks)
    rows = [overlaps.row(index) for index in range(len(masks))]
    np.testing.assert_array_equal(np.stack(rows), brute_force_iou(masks))


@given(seeds, st.data())
@settings(max_examples=20, deadline=None)
def test_parts_of_rows_and_of_the_sequences(seed: int, data: st.DataObject) -> None:
    masks = random_sequences(seed, frames=4)
    expected, overlaps = brute_force_iou(masks), overlaps_of(masks)
    members = st.lists(st.integers(0, len(masks) - 1), min_size=1, unique=True)
    kept = data.draw(members)
    part = overlaps.subset(kept)
    assert len(part) == len(kept)
    for index, member in enumerate(kept):
        among = data.draw(st.lists(st.integers(0, len(kept) - 1), unique=True))
        others = np.array(kept)[among] if among else []
        np.testing.assert_array_equal(part.row(index, among), [expected[member][j] for j in others])
        np.testing.assert_array_equal(overlaps.row(member), expected[member])


def test_every_pair_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[tuple[int, int]] = []
    count = sequence_overlaps._Layout.intersections

    def watched(layout: object, row: int, others: np.ndarray) -> np.ndarray:
        counted.extend((min(row, other), max(row, other)) for other in others.tolist())
        return count(layout, row, others)

    monkeypatch.setattr(sequence_overlaps._Layout, "intersections", watched)
    overlaps = overlaps_of(random_sequences(1, number=5, frames=2))
    assert not counted
    overlaps.row(2, [0, 4])
    assert sorted(counted) == [(0, 2), (2, 4)]
    part = overlaps.subset([4, 2, 1])
    for index in range(3):
        part.row(index)
    for index in range(5):
        overlaps.row(index)
    assert len(counted) == len(set(counted)) == 15


def test_nothing_to_compare() -> None:
    assert len(SequenceOverlaps([])) == 0
    empty = overlaps_of(np.zeros((2, 3, 4, 5), dtype=bool))
    assert empty.row(0).tolist() == [0.0, 0.0]
    assert SequenceOverlaps([[], []]).row(1).tolist() == [0.0, 0.0]


def test_different_lengths_and_sizes_are_told() -> None:
    long, wide = (pack_masks(np.ones(shape)) for shape in ((3, 4, 5), (2, 4, 6)))
    with pytest.raises(ValueError, match=r"different lengths \[2, 3\]"):
        SequenceOverlaps([long, long[:2]])
    with pytest.raises(ValueError, match=r"different sizes \[\(4, 5\), \(4, 6\)\]"):
        SequenceOverlaps([long[:2], wide])


@given(seeds, st.sampled_from([0.1, 0.2, 0.5, 1.0]))
@settings(max_examples=30, deadline=None)
def test_deduplication_is_that_of_brute_force(seed: int, threshold: float) -> None:
    masks = random_sequences(seed, frames=1)[:, 0]
    iou = brute_force_iou(masks)
    expected: list[int] = []
    for index in range(len(masks)):
        if all(iou[index, other] < threshold for other in expected):
            expected.append(index)
    assert deduplicate_masks(masks, threshold) == expected


def test_deduplication_keeps_the_first_and_all_empty_masks() -> None:
    masks = np.zeros((4, 2, 5), dtype=bool)
    masks[0, 0, 0] = masks[2, 0] = True  # an IoU of exactly 0.2
    assert deduplicate_masks(masks, 0.2) == [0, 1, 3]
    assert deduplicate_masks(masks, 0.21) == [0, 1, 2, 3]
    assert deduplicate_masks(masks[:0], 0.2) == []


@pytest.mark.parametrize("threshold", [0.0, -0.1, 1.1, float("nan")])
def test_thresholds_that_mean_nothing_are_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="iou_threshold must be above 0"):
        deduplicate_masks(np.ones((1, 2, 2)), threshold)
