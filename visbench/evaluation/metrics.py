# SPDX-License-Identifier: Apache-2.0
"""All metrics on tracks, and the numbers of those built on precision and recall, as tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from visbench.evaluation.average_precision import LIMITS, PrecisionRecall

__all__ = ["METRICS", "Metric", "Statistic", "summarize"]


@dataclass(frozen=True)
class Statistic:
    """One number: the mean over a slice of the precision or recall array.

    Attributes:
        array: The array that is averaged.
        threshold: Index of the IoU threshold; None for all ten.
        area: Name of the area range.
        level: Name of the occlusion range.
        limit: Predictions per video and category.
    """

    array: Literal["precision", "recall"]
    threshold: int | None = None
    area: str = "all"
    level: str = "all"
    limit: int = LIMITS[-1]


@dataclass(frozen=True)
class Metric:
    """A metric: what it compares, how it divides the objects, and its numbers in order.

    Only metrics on precision and recall of tracks have ``statistics``.
    """

    tracks: Literal["masks", "boxes"]
    areas: tuple[str, ...]
    occlusions: tuple[str, ...]
    statistics: Mapping[str, Statistic]


_PRECISION = {
    "AP": Statistic("precision"),
    "AP50": Statistic("precision", threshold=0),
    "AP75": Statistic("precision", threshold=5),
}
_PRECISION_BY_AREA = {
    "APs": Statistic("precision", area="small"),
    "APm": Statistic("precision", area="medium"),
    "APl": Statistic("precision", area="large"),
}
_RECALL = {
    "AR1": Statistic("recall", limit=1),
    "AR10": Statistic("recall", limit=10),
    "AR100": Statistic("recall", limit=100),
}
_RECALL_BY_AREA = {
    "ARs": Statistic("recall", area="small"),
    "ARm": Statistic("recall", area="medium"),
    "ARl": Statistic("recall", area="large"),
}
_LEVELS = ("light", "medium", "heavy")
_AREAS = ("all", "small", "medium", "large")

METRICS: Mapping[str, Metric] = {
    "youtube_vis": Metric(
        "masks", _AREAS, (), {**_PRECISION, **_PRECISION_BY_AREA, **_RECALL, **_RECALL_BY_AREA}
    ),
    "ovis": Metric(
        "masks",
        _AREAS,
        ("all", *_LEVELS),
        {
            **_PRECISION,
            **_PRECISION_BY_AREA,
            **{f"AP_{level}": Statistic("precision", level=level) for level in _LEVELS},
            **_RECALL,
            **_RECALL_BY_AREA,
            **{f"AR_{level}": Statistic("recall", level=level) for level in _LEVELS},
        },
    ),
    "imagenet_vid": Metric("boxes", ("all",), (), {**_PRECISION, **_RECALL}),
    "hota": Metric("masks", (), (), {}),
    "errors": Metric("masks", (), (), {}),
}


def summarize(metric: Metric, curves: PrecisionRecall) -> dict[str, float]:
    """Return the numbers of a metric as fractions; -1 where nothing is defined."""
    return {name: _mean(statistic, curves) for name, statistic in metric.statistics.items()}


def _mean(statistic: Statistic, curves: PrecisionRecall) -> float:
    values = curves.precision if statistic.array == "precision" else curves.recall
    values = values[..., LIMITS.index(statistic.limit)]
    if curves.occlusions:
        values = values[..., curves.occlusions.index(statistic.level)]
    values = values[..., curves.areas.index(statistic.area)]
    if statistic.threshold is not None:
        values = values[statistic.threshold]
    defined = values[values > -1]
    return float(np.mean(defined)) if defined.size else -1.0
