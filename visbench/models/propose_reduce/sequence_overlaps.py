# SPDX-License-Identifier: Apache-2.0
"""How much sequences of masks overlap, counted where their boxes overlap and nowhere else."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from visbench.models.propose_reduce.packed_masks import (
    WORD,
    Integers,
    MaskSequence,
    Words,
    count_bits,
    pack_masks,
)

__all__ = ["SequenceOverlaps", "deduplicate_masks"]

WORDS_AT_ONCE = 1 << 16
"""Bounds the buffers of a comparison (0.5 MB each), so that they stay in the processor's cache."""


@dataclass(frozen=True, eq=False)
class _Layout:
    """All words of N sequences of T frames in one array, and where each mask lies in it.

    Args:
        words: All words of all masks.
        start: ``(N, T)`` position of a mask's first word.
        box: ``(4, N, T)`` x1, y1, x2 and y2 in pixels, ends exclusive.
        area: ``(N,)`` foreground pixels of all frames.
    """

    words: Words
    start: Integers
    box: Integers
    area: Integers

    @classmethod
    def of(cls, sequences: Sequence[MaskSequence]) -> _Layout:
        masks = [mask for sequence in sequences for mask in sequence]
        shape = (len(sequences), len(sequences[0]) if sequences else 0)
        sizes = np.array([mask.words.size for mask in masks], dtype=np.int64)
        words = [mask.words.reshape(-1) for mask in masks]
        boxes = np.array([mask.box for mask in masks], dtype=np.int64).reshape(-1, 4)
        areas = np.array([mask.area for mask in masks], dtype=np.int64)
        return cls(
            np.concatenate(words) if words else np.zeros(0, dtype=np.uint64),
            (np.cumsum(sizes) - sizes).reshape(shape),
            np.ascontiguousarray(boxes.T).reshape(4, *shape),
            areas.reshape(shape).sum(axis=1),
        )

    def intersections(self, row: int, others: Integers) -> Integers:
        """Return the pixels that sequence ``row`` shares with each of ``others`` in all."""
        left, top = np.maximum(self.box[:2, row, None], self.box[:2, others])
        right, bottom = np.minimum(self.box[2:, row, None], self.box[2:, others])
        position, frame = np.nonzero((left < right) & (top < bottom))
        pair = position, frame
        first, last = left[pair] // WORD, (right[pair] - 1) // WORD
        # One run per pair of masks and word column: there both have consecutive words.
        repeats = last - first + 1
        run = np.repeat(np.arange(len(position)), repeats)
        column = np.arange(len(run)) - np.repeat(np.cumsum(repeats) - repeats, repeats) + first[run]
        row_top, length = top[pair][run], (bottom - top)[pair][run]
        ours = self._word(np.full(len(run), row), frame[run], column, row_top)
        theirs = self._word(others[position[run]], frame[run], column, row_top)
        shared = self._shared(ours, theirs, length)
        # Sums of whole numbers far below 2^53 are exact.
        total = np.bincount(position[run], weights=shared, minlength=len(others))
        return total.astype(np.int64)

    def _word(self, index: Integers, frame: Integers, column: Integers, row: Integers) -> Integers:
        """Return the position of words by sequence, frame, word column and row of the canvas."""
        x1, y1, _, y2 = self.box[:, index, frame]
        within: Integers = (column - x1 // WORD) * (y2 - y1) + row - y1
        return self.start[index, frame] + within

    def _shared(self, ours: Integers, theirs: Integers, length: Integers) -> Integers:
        """Return the common bits of runs of ``length`` words that start at ours and theirs."""
        shared = np.zeros(len(length), dtype=np.int64)
        ends = np.cumsum(length)
        begin = 0
        while begin < len(length):
            done = ends[begin - 1] if begin else 0
            # At least one run, however long it is.
            end = max(begin + 1, int(np.searchsorted(ends, done + WORDS_AT_ONCE, side="right")))
            part = slice(begin, end)
            starts = ends[part] - length[part] - done
            within = np.arange(ends[end - 1] - done)
            common = self.words[np.repeat(ours[part] - starts, length[part]) + within]
            common &= self.words[np.repeat(theirs[part] - starts, length[part]) + within]
            shared[part] = np.add.reduceat(count_bits(common), starts, dtype=np.int64)
            begin = end
        return shared


@dataclass(frozen=True, eq=False)
class _Counted:
    """Intersections computed so far, by sequence; -1 where unknown."""

    rows: dict[int, Integers] = field(default_factory=dict)

    def row(self, index: int, count: int) -> Integers:
        if index not in self.rows:
            row = np.full(count, -1, dtype=np.int64)
            for other, known in self.rows.items():
                row[other] = known[index]
            self.rows[index] = row
        return self.rows[index]


class SequenceOverlaps:
    """IoU of N mask sequences with each other (paper Eq. 3), computed when asked for.

    The IoU of two sequences is the sum of the intersections of all frames divided by the sum of
    the unions; 0 if both are empty in all frames. Every pair is counted at most once.

    Args:
        sequences: N sequences with the same number of frames and the same mask size.

    Raises:
        ValueError: If lengths or sizes differ.

    Examples:
        >>> masks = np.zeros((2, 1, 4), bool)
        >>> masks[0, 0, :3] = masks[1, 0, 1:] = True
        >>> SequenceOverlaps([[mask] for mask in pack_masks(masks)]).row(0).tolist()
        [1.0, 0.5]
    """

    def __init__(self, sequences: Sequence[MaskSequence]) -> None:
        _check(sequences)
        self._layout = _Layout.of(sequences)
        self._counted = _Counted()
        self._members: Integers = np.arange(len(sequences))

    def __len__(self) -> int:
        return len(self._members)

    def row(self, index: int, among: npt.ArrayLike | None = None) -> npt.NDArray[np.float64]:
        """Return the IoU of one sequence with all or some sequences.

        Args:
            index: A sequence, 0 to N - 1.
            among: ``(m,)`` indices of the sequences to compare with; all N by default.

        Returns:
            ``(N,)`` or ``(m,)`` IoU, 0 to 1.
        """
        wanted = self._members if among is None else self._members[np.asarray(among, np.int64)]
        own = int(self._members[index])
        areas = self._layout.area
        known = self._counted.row(own, len(areas))
        missing = wanted[known[wanted] < 0]
        if len(missing):
            known[missing] = self._layout.intersections(own, missing)
        shared = known[wanted]
        union = areas[own] + areas[wanted] - shared
        iou = np.zeros(len(wanted))
        np.divide(shared, union, out=iou, where=union > 0)
        return iou

    def subset(self, indices: npt.ArrayLike) -> SequenceOverlaps:
        """Return the overlaps of some sequences, in this order; pairs counted are shared."""
        part = copy.copy(self)
        part._members = self._members[np.asarray(indices, np.int64)]
        return part


def _check(sequences: Sequence[MaskSequence]) -> None:
    lengths = {len(sequence) for sequence in sequences}
    if len(lengths) > 1:
        raise ValueError(
            f"sequences of different lengths {sorted(lengths)}: each needs one mask per frame of "
            "the video, an empty one where the object is absent"
        )
    sizes = {mask.size for sequence in sequences for mask in sequence}
    if len(sizes) > 1:
        raise ValueError(
            f"masks of different sizes {sorted(sizes)}: all frames of a video must have one size; "
            "resize them, or process the parts of the video one by one"
        )


def deduplicate_masks(masks: Any, iou_threshold: float) -> list[int]:
    """Return the masks that overlap no earlier kept mask, in the order given.

    Args:
        masks: ``(n, H, W)`` booleans or integers, array or tensor, the most wanted first.
        iou_threshold: A mask goes if its IoU with a kept one is at least this, above 0 to 1.

    Returns:
        Ascending indices. Empty masks overlap nothing and stay.

    Raises:
        ValueError: If the threshold is out of range or ``masks`` does not have three dimensions.
    """
    if not 0 < iou_threshold <= 1:
        raise ValueError(f"iou_threshold must be above 0 and at most 1, got {iou_threshold}")
    overlaps = SequenceOverlaps([[mask] for mask in pack_masks(masks)])
    kept: list[int] = []
    for index in range(len(overlaps)):
        if not (overlaps.row(index, kept) >= iou_threshold).any():
            kept.append(index)
    return kept
