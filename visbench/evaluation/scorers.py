# SPDX-License-Identifier: Apache-2.0
"""Each metric as an object that scores any part or any resample of the videos.

Nothing is matched anew for a resample; for a group of objects only what the group changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from visbench.evaluation.average_precision import (
    AREA_RANGES,
    IOU_THRESHOLDS,
    OCCLUSION_RANGES,
    Cell,
    PrecisionRecall,
    accumulate,
    outcome,
)
from visbench.evaluation.breakdown import Selection
from visbench.evaluation.error_analysis import KINDS, VideoErrors, classify
from visbench.evaluation.error_repairs import ErrorAnalysis, ErrorResult
from visbench.evaluation.frame_overlaps import Overlaps
from visbench.evaluation.hota import ALPHAS, HOTA_NAMES, HotaCounts, HotaResult, count, hota_numbers
from visbench.evaluation.metrics import Metric, Statistic, summarize
from visbench.evaluation.ranking import Ranking, nan_mean, rank

__all__ = ["ErrorScorer", "HotaScorer", "PrecisionScorer", "Scorer"]

Float64 = npt.NDArray[np.float64]

_EVERYTHING = Selection()


class Scorer(Protocol):
    """A metric that can be computed for parts of the data set."""

    def numbers(self, selection: Selection = _EVERYTHING) -> dict[str, float]:
        """Return the numbers for a part of the data set as fractions, -1 where undefined."""

    def resample(self, weights: Float64) -> dict[str, Float64]:
        """Return each number as ``(B,)`` for ``(B, V)`` weights of the videos, NaN if undefined."""


def _plain(value: float) -> float:
    return -1.0 if np.isnan(value) else float(value)


def _chosen(value: int, allowed: frozenset[int] | None) -> bool:
    return allowed is None or value in allowed


class PrecisionScorer:
    """AP and AR of tracks.

    Args:
        metric: What the numbers are.
        cells: Compared tracks, by ascending video id.
        categories: Category ids, ascending.
        videos: Video ids, ascending.
        official_bugs: An object with annotation id 0 is never found.
    """

    def __init__(
        self,
        metric: Metric,
        cells: Sequence[Cell],
        categories: Sequence[int],
        videos: Sequence[int],
        official_bugs: bool = False,
    ) -> None:
        self.metric = metric
        self.cells = cells
        self.categories = categories
        self.index = {video_id: index for index, video_id in enumerate(videos)}
        self.official_bugs = official_bugs

    def of(self, cells: Sequence[Cell]) -> PrecisionScorer:
        """Return the same scorer for other tracks."""
        videos = list(self.index)
        return PrecisionScorer(self.metric, cells, self.categories, videos, self.official_bugs)

    def curves(self) -> PrecisionRecall:
        """Return precision and recall of all categories."""
        return self._accumulate(self.cells, self.categories)

    def _accumulate(self, cells: Sequence[Cell], categories: Sequence[int]) -> PrecisionRecall:
        metric = self.metric
        return accumulate(
            cells,
            categories,
            metric.areas,
            metric.occlusions,
            official_bugs=self.official_bugs,
        )

    def numbers(self, selection: Selection = _EVERYTHING) -> dict[str, float]:
        """Return the numbers for a part of the data set as fractions, -1 where undefined."""
        cells = [cell for cell in self.cells if _chosen(cell.video_id, selection.videos)]
        used = {cell.category_id for cell in cells if len(cell.gt_ids)}
        categories = [k for k in sorted(used) if _chosen(k, selection.categories)]
        cells = [cell for cell in cells if cell.category_id in set(categories)]
        if selection.objects is not None:
            cells = [_ignore_others(cell, selection.objects) for cell in cells]
        return summarize(self.metric, self._accumulate(cells, categories))

    def resample(self, weights: Float64) -> dict[str, Float64]:
        """Return each number as ``(B,)`` for ``(B, V)`` weights of the videos, NaN if undefined."""
        used = {cell.category_id for cell in self.cells if len(cell.gt_ids)}
        categories = [k for k in self.categories if k in used]
        members = [[c for c in self.cells if c.category_id == k] for k in categories]
        known: dict[Statistic, Float64] = {}
        for statistic in self.metric.statistics.values():
            whole = replace(statistic, threshold=None)
            if whole not in known:
                parts = [self._category(cells, whole, weights) for cells in members]
                shape = len(categories), len(IOU_THRESHOLDS), len(weights)
                known[whole] = np.array(parts, np.float64).reshape(shape)
        return {
            name: _over_thresholds(known[replace(statistic, threshold=None)], statistic.threshold)
            for name, statistic in self.metric.statistics.items()
        }

    def _category(
        self, cells: Sequence[Cell], statistic: Statistic, weights: Float64
    ) -> list[Float64]:
        ranges = AREA_RANGES[statistic.area], OCCLUSION_RANGES[statistic.level]
        outcomes = [outcome(cell, *ranges, official_bugs=self.official_bugs) for cell in cells]
        videos = [self.index[cell.video_id] for cell in cells]
        score: Callable[[Ranking, Float64], Float64] = (
            Ranking.average_precision if statistic.array == "precision" else Ranking.recall
        )
        rankings = rank(outcomes, videos, len(self.index), statistic.limit)
        return [score(ranking, weights) for ranking in rankings]


def _over_thresholds(values: Float64, threshold: int | None) -> Float64:
    """Average ``(K, T, B)`` over categories, and over thresholds unless one is given."""
    if threshold is not None:
        return nan_mean(values[:, threshold])
    return nan_mean(values.mean(axis=1))


def _ignore_others(cell: Cell, objects: frozenset[int]) -> Cell:
    """Return a cell where other objects are outside of every range of occlusion."""
    kept = np.isin(cell.gt_ids, list(objects))
    return replace(cell, gt_occlusion=np.where(kept, cell.gt_occlusion, np.inf))


class HotaScorer:
    """HOTA, DetA, AssA, LocA and IDF1.

    Args:
        overlaps: Returns all predictions and objects of a video.
        videos: Video ids, ascending.
        score_threshold: Leave out predictions of a lower score.
    """

    def __init__(
        self,
        overlaps: Callable[[int], Overlaps],
        videos: Sequence[int],
        score_threshold: float | None = None,
    ) -> None:
        self.overlaps = overlaps
        self.videos = videos
        self.score_threshold = score_threshold
        self._counts = self._count(_EVERYTHING)

    def _count(self, selection: Selection) -> dict[int, tuple[list[int], HotaCounts]]:
        """Return indices of videos and their contributions, for every category with objects."""
        parts: dict[int, tuple[list[int], list[HotaCounts]]] = {}
        for index, video_id in enumerate(self.videos):
            if not _chosen(video_id, selection.videos):
                continue
            overlaps = self.overlaps(video_id)
            used = np.union1d(overlaps.categories, overlaps.gt_categories)
            for category in used.tolist():
                if _chosen(category, selection.categories):
                    part = overlaps.of_category(category)
                    counts = count(part, self.score_threshold, selection.objects)
                    indices, contributions = parts.setdefault(category, ([], []))
                    indices.append(index)
                    contributions.append(counts)
        return {
            category: (indices, HotaCounts.stack(contributions))
            for category, (indices, contributions) in sorted(parts.items())
            if any(part.objects > 0 for part in contributions)
        }

    def _numbers(
        self, counts: Mapping[int, tuple[list[int], HotaCounts]], weights: Float64
    ) -> Float64:
        """Return ``(B, 5)`` averages over categories."""
        parts = [part.weigh(weights[:, indices]).numbers() for indices, part in counts.values()]
        shape = len(parts), len(weights), len(HOTA_NAMES)
        return nan_mean(np.array(parts, np.float64).reshape(shape))

    def numbers(self, selection: Selection = _EVERYTHING) -> dict[str, float]:
        """Return the numbers for a part of the data set as fractions, -1 where undefined."""
        weights = np.ones((1, len(self.videos)))
        if selection.objects is not None:
            return hota_numbers(self._numbers(self._count(selection), weights)[0])
        if selection.videos is not None:
            weights *= [video_id in selection.videos for video_id in self.videos]
        counts = {k: v for k, v in self._counts.items() if _chosen(k, selection.categories)}
        return hota_numbers(self._numbers(counts, weights)[0])

    def resample(self, weights: Float64) -> dict[str, Float64]:
        """Return each number as ``(B,)`` for ``(B, V)`` weights of the videos, NaN if undefined."""
        return dict(zip(HOTA_NAMES, self._numbers(self._counts, weights).T, strict=True))

    def result(self) -> HotaResult:
        """Return the numbers of every category and what they are made of."""
        sums = {
            category: part.weigh(np.ones((1, len(indices))))
            for category, (indices, part) in self._counts.items()
        }
        per_category = {k: hota_numbers(part.numbers()[0]) for k, part in sums.items()}
        counts = {k: part.item(0) for k, part in sums.items()}
        return HotaResult(ALPHAS, counts, per_category, self._class_agnostic())

    def _class_agnostic(self) -> dict[str, float]:
        if not self.videos:
            return hota_numbers(np.full(len(HOTA_NAMES), np.nan))
        pools = (self.overlaps(video_id).pooled() for video_id in self.videos)
        parts = HotaCounts.stack([count(pool, self.score_threshold) for pool in pools])
        return hota_numbers(parts.weigh(np.ones((1, len(self.videos)))).numbers()[0])


class ErrorScorer:
    """AP, and what it would gain without each kind of error.

    Args:
        overlaps: Returns all predictions and objects of a video.
        videos: Video ids, ascending.
    """

    def __init__(self, overlaps: Callable[[int], Overlaps], videos: Sequence[int]) -> None:
        self.overlaps = overlaps
        self.videos = videos
        self._errors = self._classify(_EVERYTHING)
        self._analysis = self._analyse(self._errors, _EVERYTHING)

    def _classify(self, selection: Selection) -> list[VideoErrors]:
        chosen = [video_id for video_id in self.videos if _chosen(video_id, selection.videos)]
        return [classify(self.overlaps(video_id), selection.objects) for video_id in chosen]

    @staticmethod
    def _analyse(errors: Sequence[VideoErrors], selection: Selection) -> ErrorAnalysis:
        return ErrorAnalysis(errors, selection.categories)

    def numbers(self, selection: Selection = _EVERYTHING) -> dict[str, float]:
        """Return the numbers for a part of the data set as fractions, -1 where undefined."""
        if selection.objects is not None:
            errors = self._classify(selection)
        else:
            errors = [v for v in self._errors if _chosen(v.video_id, selection.videos)]
        gains = self._analyse(errors, selection).gains()
        return {name: _plain(gains[name][0]) for name in ("AP", *KINDS)}

    def resample(self, weights: Float64) -> dict[str, Float64]:
        """Return each number as ``(B,)`` for ``(B, V)`` weights of the videos, NaN if undefined."""
        return self._analysis.gains(weights)

    def result(self) -> ErrorResult:
        """Return gains, steps, and the reason of every error."""
        return self._analysis.result()
