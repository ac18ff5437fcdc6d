# SPDX-License-Identifier: Apache-2.0
"""AP after errors are repaired, as defined in :mod:`visbench.evaluation.error_analysis`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from visbench.evaluation.average_precision import IOU_THRESHOLDS
from visbench.evaluation.error_analysis import FOUND, KINDS, REPAIRED, VideoErrors
from visbench.evaluation.ranking import Ranking, nan_mean

__all__ = ["ErrorAnalysis", "ErrorResult"]

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]

_MISSED = KINDS.index("missed")


@dataclass(frozen=True)
class ErrorResult:
    """Details of the error analysis.

    Attributes:
        gains: AP gained when one kind of error is repaired, by kind; -1 if AP is undefined.
        steps: AP gained by each kind when all are repaired one after another; sums to 1 - AP.
        false_positives: ``(T,)`` number of false positives at each IoU threshold, by kind.
        lost_objects: ``(T,)`` number of objects that were not found, by kind.
        videos: The reason of every single error.
    """

    gains: Mapping[str, float]
    steps: Mapping[str, float]
    false_positives: Mapping[str, Int64]
    lost_objects: Mapping[str, Int64]
    videos: Sequence[VideoErrors]


class ErrorAnalysis:
    """AP of all videos before and after repairs.

    Args:
        videos: The errors of each video, by ascending video id.
        categories: Category ids that are averaged; None for all that have objects.
    """

    def __init__(
        self, videos: Sequence[VideoErrors], categories: Collection[int] | None = None
    ) -> None:
        self.videos = videos
        self.categories = categories

    def average_precision(
        self, repaired: Collection[int] = (), weights: Float64 | None = None
    ) -> Float64:
        """Return AP after some kinds of errors are repaired.

        Args:
            repaired: Indices into :data:`KINDS`.
            weights: ``(B, V)`` how often each video counts; once if None.

        Returns:
            ``(B,)``; NaN where no category has an object.
        """
        if weights is None:
            weights = np.ones((1, len(self.videos)))
        chosen = [
            k
            for k, category in enumerate(self._known.tolist())
            if self.categories is None or category in self.categories
        ]
        values = np.full((len(chosen), len(IOU_THRESHOLDS), len(weights)), np.nan)
        for t in range(len(IOU_THRESHOLDS)):
            entries, positives = self._entries(t, repaired), self._positives(t, repaired)
            for row, k in enumerate(chosen):
                values[row, t] = self._category(entries, positives[k], k, weights)
        return nan_mean(values.mean(axis=1))

    def _category(self, entries: _Entries, positives: Float64, k: int, weights: Float64) -> Float64:
        rows = entries.categories == self._known[k]
        ranking = Ranking(entries.hit[rows], entries.false[rows], entries.video[rows], positives)
        value = ranking.average_precision(weights)
        # Objects that count before the repair but not after it leave nothing to lose.
        value[np.isnan(value)] = 1.0
        return np.where(weights @ self._all_positives[k] > 0, value, np.nan)

    @cached_property
    def _known(self) -> Int64:
        """Categories with objects, ascending."""
        parts = [video.gt_categories[video.counted] for video in self.videos]
        known: Int64 = np.unique(np.concatenate([np.zeros(0, np.int64), *parts]))
        return known

    def _count(self, chosen: Sequence[Bool]) -> Float64:
        """Return ``(K, V)``: objects of each known category in each video."""
        numbers = np.zeros((len(self._known), len(self.videos)))
        for v, (video, mask) in enumerate(zip(self.videos, chosen, strict=True)):
            np.add.at(numbers[:, v], np.searchsorted(self._known, video.gt_categories[mask]), 1)
        return numbers

    @cached_property
    def _all_positives(self) -> Float64:
        return self._count([video.counted for video in self.videos])

    def _positives(self, t: int, repaired: Collection[int]) -> Float64:
        if _MISSED not in repaired:
            return self._all_positives
        return self._count([v.counted & (v.losses[t] != _MISSED) for v in self.videos])

    @cached_property
    def _flat(self) -> _Flat:
        return _Flat.of(self.videos)

    def _entries(self, t: int, repaired: Collection[int]) -> _Entries:
        flat = self._flat
        kinds, targets = flat.kinds[t], flat.targets[t]
        gone = np.isin(kinds, list(repaired))
        hit, categories = kinds == FOUND, flat.categories
        repairable = np.flatnonzero(gone & (targets >= 0))
        if len(repairable):
            objects, first = np.unique(targets[repairable], return_index=True)
            hit, categories = hit.copy(), categories.copy()
            hit[repairable[first]] = True
            categories[repairable[first]] = flat.gt_categories[objects]
        return _Entries(hit, (kinds >= 0) & ~gone, flat.video, categories)

    def gains(self, weights: Float64 | None = None) -> dict[str, Float64]:
        """Return AP, and the gain of each kind of error alone, each ``(B,)``."""
        base = self.average_precision((), weights)
        gains = {
            name: self.average_precision((kind,), weights) - base for kind, name in enumerate(KINDS)
        }
        return {"AP": base, **gains}

    def steps(self) -> dict[str, float]:
        """Return the gain of each kind when all are repaired one after another."""
        values = [self.average_precision(range(n))[0] for n in range(len(KINDS) + 1)]
        return {
            name: _plain(after - before)
            for name, before, after in zip(KINDS, values, values[1:], strict=False)
        }

    def result(self) -> ErrorResult:
        """Return gains, steps and the numbers of errors."""
        gains = {name: _plain(value[0]) for name, value in self.gains().items() if name in KINDS}
        flat, names = self._flat, list(enumerate(KINDS))
        return ErrorResult(
            gains,
            self.steps(),
            {name: (flat.kinds == k).sum(axis=1) for k, name in names if k != _MISSED},
            {
                name: (flat.losses == k).sum(axis=1)
                for k, name in names
                if k in (*REPAIRED, _MISSED)
            },
            list(self.videos),
        )


def _plain(value: float) -> float:
    return -1.0 if np.isnan(value) else float(value)


@dataclass(frozen=True)
class _Entries:
    """Predictions of all categories in order of their scores, after repairs."""

    hit: Bool
    false: Bool
    video: Int64
    categories: Int64


@dataclass(frozen=True)
class _Flat:
    """All predictions in order of their scores, all objects; targets index all objects."""

    kinds: Int64
    targets: Int64
    losses: Int64
    categories: Int64
    gt_categories: Int64
    video: Int64

    @classmethod
    def of(cls, videos: Sequence[VideoErrors]) -> _Flat:
        none = np.zeros((len(IOU_THRESHOLDS), 0), np.int64)
        empty = np.zeros(0, np.int64)
        starts = np.cumsum([0, *(len(video.gt_ids) for video in videos)])
        targets = [
            np.where(video.targets >= 0, video.targets + start, -1)
            for video, start in zip(videos, starts, strict=False)
        ]
        counts = [len(video.scores) for video in videos]
        scores = np.concatenate([np.zeros(0), *(video.scores for video in videos)])
        order = np.argsort(-scores, kind="stable")
        return cls(
            np.concatenate([none, *(video.kinds for video in videos)], axis=1)[:, order],
            np.concatenate([none, *targets], axis=1)[:, order],
            np.concatenate([none, *(video.losses for video in videos)], axis=1),
            np.concatenate([empty, *(video.categories for video in videos)])[order],
            np.concatenate([empty, *(video.gt_categories for video in videos)]),
            np.repeat(np.arange(len(videos)), counts)[order],
        )
