# SPDX-License-Identifier: Apache-2.0
"""Average precision and recall of ranked predictions, for many weightings of the videos at once.

A resample of the videos only changes how often each of them counts, not what is matched. So the
sums of true and false positives up to each hit are matrix products of weights and counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from visbench.evaluation.average_precision import RECALL_POINTS, Outcome

__all__ = ["Ranking", "nan_mean", "rank"]

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Ranking:
    """N predictions of a category in order of their scores, at one IoU threshold.

    Attributes:
        hit: ``(N,)`` true positives.
        false: ``(N,)`` false positives; what is neither is ignored.
        video: ``(N,)`` index of the video.
        positives: ``(V,)`` number of objects in each video.
    """

    hit: Bool
    false: Bool
    video: Int64
    positives: Float64

    def average_precision(self, weights: Float64) -> Float64:
        """Return the interpolated average precision.

        A video of weight w counts as w copies whose predictions follow one another directly.

        Args:
            weights: ``(B, V)``, how often each video counts.

        Returns:
            ``(B,)`` in [0, 1]; NaN where no object counts.
        """
        total = weights @ self.positives
        videos, local = np.unique(self.video, return_inverse=True)
        hits = np.flatnonzero(self.hit)
        if not len(hits):
            return np.where(total > 0, 0.0, np.nan)
        shape = len(videos), len(hits)
        true, false = np.zeros(shape), np.zeros(shape)
        true[local[hits], np.arange(len(hits))] = 1
        wrong = np.flatnonzero(self.false)
        wrong = wrong[wrong < hits[-1]]
        np.add.at(false, (local[wrong], np.searchsorted(hits, wrong)), 1)
        chosen = weights[:, videos]
        found = np.cumsum(chosen @ true, axis=1)
        spoiled = np.cumsum(chosen @ false, axis=1)
        precision = found / (found + spoiled + np.spacing(1))
        precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        recall = found / np.where(total > 0, total, np.nan)[:, None]
        # A recall point takes the precision at the first hit that reaches it. NaN sorts last.
        reached = np.searchsorted(RECALL_POINTS, recall, side="right")
        points = np.diff(reached, axis=1, prepend=0)
        average: Float64 = (points * precision).sum(axis=1) / len(RECALL_POINTS)
        return np.where(total > 0, average, np.nan)

    def recall(self, weights: Float64) -> Float64:
        """Return ``(B,)`` the share of objects that were found; NaN where no object counts."""
        found = np.bincount(self.video[self.hit], minlength=len(self.positives))
        total = weights @ self.positives
        share: Float64 = np.full(len(total), np.nan)
        np.divide(weights @ found, total, out=share, where=total > 0)
        return share


def rank(
    outcomes: Sequence[Outcome], videos: Sequence[int], number: int, limit: int
) -> list[Ranking]:
    """Order the predictions of a category over all videos.

    Args:
        outcomes: What became of the predictions, by ascending video.
        videos: Index of the video of each outcome.
        number: Number of videos V.
        limit: Predictions per video that count.

    Returns:
        One ranking per IoU threshold.
    """
    positives = np.zeros(number)
    positives[list(videos)] = [part.positives for part in outcomes]
    scores = np.concatenate([part.scores[:limit] for part in outcomes])
    order = np.argsort(-scores, kind="stable")
    counts = [len(part.scores[:limit]) for part in outcomes]
    video = np.repeat(np.array(videos, np.int64), counts)[order]
    hit = np.concatenate([part.hit[:, :limit] for part in outcomes], axis=1)[:, order]
    ignored = np.concatenate([part.ignored[:, :limit] for part in outcomes], axis=1)[:, order]
    return [
        Ranking(hit_row & ~skip, ~hit_row & ~skip, video, positives)
        for hit_row, skip in zip(hit, ignored, strict=True)
    ]


def nan_mean(values: Float64, axis: int = 0) -> Float64:
    """Return the mean of what is not NaN, NaN where there is nothing (without a warning)."""
    defined = ~np.isnan(values)
    number = defined.sum(axis=axis)
    total = np.where(defined, values, 0.0).sum(axis=axis)
    mean: Float64 = np.full(total.shape, np.nan)
    np.divide(total, number, out=mean, where=number > 0)
    return mean
