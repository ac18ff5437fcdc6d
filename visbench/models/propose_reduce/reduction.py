# SPDX-License-Identifier: Apache-2.0
"""From redundant sequence proposals to results: non-maximum suppression on whole sequences.

A reducer is called with the overlaps and the class scores of N sequences and returns which it keeps
with which scores, so that reducers can follow each other. Score tables have one column per class,
background last; a foreground score of -1 marks a dropped pair of sequence and class.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from visbench.models.propose_reduce.packed_masks import Integers
from visbench.models.propose_reduce.sequence_overlaps import SequenceOverlaps
from visbench.registry import TASK_UTILS

__all__ = [
    "DROPPED",
    "CategoryAwareReduction",
    "Reducer",
    "Reduction",
    "SequenceNMS",
    "SequenceSoftNMS",
    "ranking_scores",
    "reduce_sequences",
]

DROPPED = -1.0

Scores = npt.NDArray[np.float32]


class Reduction(NamedTuple):
    """What is left.

    Attributes:
        kept: ``(m,)`` indices of sequences, the first selected first.
        scores: ``(m, C + 1)`` their class scores.
    """

    kept: Integers
    scores: Scores


class Reducer(Protocol):
    """A step of the reduction."""

    def __call__(self, overlaps: SequenceOverlaps, scores: Scores) -> Reduction:
        """Reduce N sequences with ``(N, C + 1)`` scores; ``kept`` refers to these N."""


def reduce_sequences(
    reducers: Sequence[Reducer], overlaps: SequenceOverlaps, scores: npt.ArrayLike
) -> Reduction:
    """Apply reducers one after the other.

    Args:
        reducers: Steps in order; without any, all sequences stay.
        overlaps: Overlaps of N sequences.
        scores: ``(N, C + 1)`` class scores, background last, finite.

    Returns:
        The sequences left, by their position among the N.

    Raises:
        ValueError: If the scores do not fit the sequences or are not finite.
    """
    table = np.array(scores, dtype=np.float32)
    if table.ndim != 2 or len(table) != len(overlaps) or table.shape[1] < 2:
        raise ValueError(
            f"scores must have the shape ({len(overlaps)}, classes + 1), got {table.shape}"
        )
    if not np.isfinite(table).all():
        raise ValueError("a sequence score is NaN or infinite: the model's outputs are not finite")
    kept: Integers = np.arange(len(table))
    for reducer in reducers:
        step = reducer(overlaps.subset(kept), table)
        kept, table = kept[step.kept], step.scores
    return Reduction(kept, table)


def ranking_scores(foreground: Scores) -> Scores:
    """Return the ``(N,)`` scores that rank sequences: their best foreground class.

    Args:
        foreground: ``(N, C)`` scores without the background.
    """
    best: Scores = foreground.max(axis=1, initial=-np.inf)
    return best


@TASK_UTILS.register_module()
class SequenceNMS:
    """Greedy suppression on whole sequences (paper, supplement, Algorithm 2).

    Repeatedly keeps the sequence with the best foreground score, the first one among equals, and
    removes all that overlap it. At least one sequence survives if there is any.

    Args:
        iou_threshold: Sequences with at least this IoU with a kept one are removed.
        score_threshold: Selection stops at a score below it, except for the first.
    """

    def __init__(self, iou_threshold: float = 0.5, score_threshold: float = 0.05) -> None:
        self.iou_threshold = _checked_iou("SequenceNMS", iou_threshold)
        self.score_threshold = score_threshold

    def __call__(self, overlaps: SequenceOverlaps, scores: Scores) -> Reduction:
        """Keep the best of overlapping sequences with their scores unchanged."""
        ranking = ranking_scores(scores[:, :-1])
        left = np.argsort(-ranking, kind="stable")
        kept: list[int] = []
        while len(left) and (ranking[left[0]] >= self.score_threshold or not kept):
            best, left = int(left[0]), left[1:]
            kept.append(best)
            left = left[overlaps.row(best, left) < self.iou_threshold]
        return Reduction(np.array(kept, dtype=np.int64), scores[kept])


def soft_nms(
    overlaps: SequenceOverlaps,
    scores: Scores,
    *,
    sigma: float,
    score_threshold: float,
    max_sequences: int,
) -> Reduction:
    """Select sequences one by one and lower the scores of those that overlap the selected.

    Args:
        overlaps: Overlaps of N sequences.
        scores: ``(N, C)`` foreground scores; the best of a row ranks the sequence, the first one
            among equals.
        sigma: After a selection the scores of every other sequence that is still to be selected
            and reaches the threshold are multiplied by ``exp(-IoU^2 / sigma)``.
        score_threshold: Selection stops at a score below it.
        max_sequences: Selection stops after so many.

    Returns:
        The selected sequences and their ``(m, C)`` lowered scores, in 32 bits as the reference.
    """
    scores = scores.copy()
    ranking = ranking_scores(scores)
    left = np.ones(len(scores), dtype=np.bool_)
    kept: list[int] = []
    while left.any() and len(kept) < max_sequences:
        best = int(np.where(left, ranking, -np.inf).argmax())
        if ranking[best] < score_threshold:
            break
        kept.append(best)
        left[best] = False
        lowered = np.flatnonzero(left & (ranking >= score_threshold))
        factor = np.exp(-(overlaps.row(best, lowered) ** 2) / sigma).astype(np.float32)
        table = scores[lowered]
        scores[lowered] = np.where(table == DROPPED, DROPPED, table * factor[:, None])
        ranking[lowered] = ranking_scores(scores[lowered])
    return Reduction(np.array(kept, dtype=np.int64), scores[kept])


@TASK_UTILS.register_module()
class SequenceSoftNMS:
    """Gaussian soft suppression, blind to classes: the reduction of the reference for DAVIS.

    All foreground scores of a sequence are lowered by the same factors, so the result can be
    reduced further (the reference returns one score per sequence). Nothing survives if all scores
    are below the threshold.

    Args:
        sigma: Scores are multiplied by ``exp(-IoU^2 / sigma)``; the reference's ``iou_thr``.
        score_threshold: Selection stops at a score below it.
        max_sequences: Selection stops after so many.
    """

    def __init__(
        self, sigma: float = 0.5, score_threshold: float = 0.001, max_sequences: int = 20
    ) -> None:
        self.settings = _checked_soft(type(self).__name__, sigma, score_threshold, max_sequences)

    def __call__(self, overlaps: SequenceOverlaps, scores: Scores) -> Reduction:
        """Keep the selected sequences in order of selection."""
        kept, foreground = soft_nms(overlaps, scores[:, :-1], **self.settings)
        return Reduction(kept, np.concatenate([foreground, scores[kept, -1:]], axis=1))


@TASK_UTILS.register_module()
class CategoryAwareReduction:
    """Gaussian soft suppression within each class; follows a :class:`SequenceNMS` at a high IoU.

    No sequence is dropped as a whole: a sequence keeps the lowered scores of the classes for which
    it was selected, and -1 for all others.

    Args:
        sigma: Scores are multiplied by ``exp(-IoU^2 / sigma)``; the reference's ``iou_thr``.
        score_threshold: Selection in a class stops at a score below it.
        max_sequences: Selection in a class stops after so many.
    """

    def __init__(
        self, sigma: float = 0.5, score_threshold: float = 0.001, max_sequences: int = 100
    ) -> None:
        self.settings = _checked_soft(type(self).__name__, sigma, score_threshold, max_sequences)

    def __call__(self, overlaps: SequenceOverlaps, scores: Scores) -> Reduction:
        """Keep all sequences in order with scores by class."""
        reduced = np.full_like(scores, DROPPED)
        reduced[:, -1] = scores[:, -1]
        for label in range(scores.shape[1] - 1):
            column = slice(label, label + 1)
            kept, lowered = soft_nms(overlaps, scores[:, column], **self.settings)
            reduced[kept, column] = lowered
        return Reduction(np.arange(len(scores)), reduced)


def _checked_iou(name: str, threshold: float) -> float:
    if not 0 < threshold <= 1:
        raise ValueError(f"{name}: iou_threshold must be above 0 and at most 1, got {threshold}")
    return threshold


def _checked_soft(name: str, sigma: float, threshold: float, limit: int) -> dict:
    if not sigma > 0:
        raise ValueError(f"{name}: sigma must be positive, got {sigma}")
    if not threshold >= 0:
        # Otherwise entries marked as dropped could be selected.
        raise ValueError(f"{name}: score_threshold must be at least 0, got {threshold}")
    if limit < 1:
        raise ValueError(f"{name}: max_sequences must be at least 1, got {limit}")
    return {"sigma": sigma, "score_threshold": threshold, "max_sequences": limit}
