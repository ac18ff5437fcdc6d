# SPDX-License-Identifier: Apache-2.0
"""What an evaluation can tell beyond its numbers: breakdown, confidence, videos, oracle."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from visbench.evaluation.annotations import Annotations
from visbench.evaluation.average_precision import Cell
from visbench.evaluation.breakdown import Selection, make_splits
from visbench.evaluation.frame_overlaps import Overlaps
from visbench.evaluation.identity_oracle import with_true_identities
from visbench.evaluation.metrics import METRICS
from visbench.evaluation.scorers import PrecisionScorer, Scorer

__all__ = [
    "CONFIDENCE",
    "AnalysisOptions",
    "Bootstrap",
    "analyse",
    "bootstrap",
    "break_down",
    "percentile_interval",
    "resamples",
    "score_videos",
]

Float64 = npt.NDArray[np.float64]

CONFIDENCE = 0.95
"""Confidence of the bootstrap intervals."""

_ORACLES = ("ids",)
_MAX_WEIGHTS = 20_000_000


@dataclass(frozen=True)
class AnalysisOptions:
    """What to compute beyond the numbers of the metrics.

    Attributes:
        hota_score_threshold: Predictions with a lower score are left out of HOTA and IDF1; None
            keeps all, as the reference implementation does. See :mod:`visbench.evaluation.hota`.
        oracle: ``"ids"`` for AP with the identities of the ground truth, see
            :mod:`visbench.evaluation.identity_oracle`; needs ``youtube_vis`` or ``ovis``.
        breakdown: Numbers by class, video length, object size, motion and occlusion, see
            :mod:`visbench.evaluation.breakdown`.
        bootstrap: Number of resamples of the videos for confidence intervals; 0 for none.
        seed: Of the resampling.
        per_video: Numbers of every single video.
    """

    hota_score_threshold: float | None = None
    oracle: str | None = None
    breakdown: bool = False
    bootstrap: int = 0
    seed: int = 0
    per_video: bool = False

    def check(self, metrics: Iterable[str]) -> None:
        """Check that the metrics allow what is asked for.

        Raises:
            ValueError: They do not, or an option is out of range.
        """
        if self.bootstrap < 0:
            raise ValueError(f"bootstrap must be at least 0 resamples, found {self.bootstrap}")
        if self.seed < 0:
            raise ValueError(f"seed must be at least 0, found {self.seed}")
        if self.oracle is None:
            return
        if self.oracle not in _ORACLES:
            raise ValueError(f"unknown oracle {self.oracle!r}; there is {', '.join(_ORACLES)}")
        if not any(_has_oracle(name) for name in metrics):
            raise ValueError(
                "oracle 'ids' links predicted masks anew and gives their AP: "
                "ask for metric youtube_vis or ovis"
            )

    def needs_frames(self, metrics: Iterable[str]) -> bool:
        """Tell whether masks have to be compared frame by frame."""
        return self.oracle is not None or not {"hota", "errors"}.isdisjoint(metrics)


def _has_oracle(name: str) -> bool:
    return name in METRICS and bool(METRICS[name].statistics) and METRICS[name].tracks == "masks"


@dataclass(frozen=True)
class Bootstrap:
    """Percentile intervals from resampling whole videos with replacement (Efron, 1979).

    Videos, not objects, are drawn, because the errors within one are not independent. A number that
    is undefined in a resample takes no part in its interval.

    Attributes:
        resamples: Number of resamples.
        seed: Of the resampling.
        confidence: Share of the resamples between the limits.
        intervals: Lowest and highest value by metric and name; -1 where undefined.
        samples: The number in every resample, ``(resamples,)`` by metric and name; NaN where
            undefined. Two results of the same videos and seed have the same draws, so samples can
            be averaged over seeds of a training or subtracted.
    """

    resamples: int
    seed: int
    confidence: float
    intervals: Mapping[str, Mapping[str, tuple[float, float]]] = field(default_factory=dict)
    samples: Mapping[str, Mapping[str, Float64]] = field(
        default_factory=dict, repr=False, compare=False
    )

    def to_dict(self) -> dict[str, object]:
        """Return everything but the samples, ready for JSON."""
        return {
            "resamples": self.resamples,
            "seed": self.seed,
            "confidence": self.confidence,
            "intervals": {
                metric: {name: list(limits) for name, limits in values.items()}
                for metric, values in self.intervals.items()
            },
        }


def resamples(videos: int, number: int, seed: int) -> Float64:
    """Draw videos with replacement.

    Args:
        videos: Number of videos V, all of them equally likely.
        number: Number of resamples B.
        seed: The same seed gives the same resamples.

    Returns:
        ``(B, V)``, how often each video was drawn; each row sums to V.
    """
    if not videos:
        return np.zeros((number, 0))
    generator = np.random.default_rng(seed)
    return generator.multinomial(videos, np.full(videos, 1 / videos), number).astype(np.float64)


def bootstrap(
    scores: Mapping[str, Callable[[Float64], Mapping[str, Float64]]],
    videos: int,
    number: int,
    seed: int = 0,
) -> Bootstrap:
    """Return confidence intervals of all numbers.

    Args:
        scores: For each metric, what gives its numbers ``(B,)`` for ``(B, V)`` weights of videos.
        videos: Number of videos V.
        number: Number of resamples.
        seed: Of the resampling.
    """
    weights = resamples(videos, number, seed)
    step = max(1, _MAX_WEIGHTS // max(1, videos))
    samples = {}
    for metric, score in scores.items():
        parts = [score(weights[start : start + step]) for start in range(0, number, step)]
        samples[metric] = {
            name: np.concatenate([part[name] for part in parts]) for name in parts[0]
        }
    intervals = {
        metric: {name: percentile_interval(values) for name, values in found.items()}
        for metric, found in samples.items()
    }
    return Bootstrap(number, seed, CONFIDENCE, intervals, samples)


def percentile_interval(values: Float64) -> tuple[float, float]:
    """Return the limits that hold :data:`CONFIDENCE` of the samples; -1 if all are NaN."""
    values = values[~np.isnan(values)]
    if not len(values):
        return -1.0, -1.0
    low, high = np.quantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def break_down(
    scorers: Mapping[str, Scorer], splits: Mapping[str, Mapping[str, Selection]]
) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
    """Return the numbers of every group: metric, split, group, name."""
    return {
        metric: {
            split: {group: scorer.numbers(selection) for group, selection in groups.items()}
            for split, groups in splits.items()
        }
        for metric, scorer in scorers.items()
    }


def score_videos(
    scorers: Mapping[str, Scorer], videos: Sequence[int]
) -> dict[str, dict[str, dict[str, float]]]:
    """Return the numbers of every single video: video id, metric, name."""
    return {
        str(video_id): {
            metric: scorer.numbers(Selection(videos=frozenset([video_id])))
            for metric, scorer in scorers.items()
        }
        for video_id in videos
    }


def analyse(
    scorers: Mapping[str, Scorer],
    annotations: Annotations,
    options: AnalysisOptions,
    overlaps: Callable[[int], Overlaps],
    class_agnostic: bool = False,
) -> dict[str, Any]:
    """Compute what the options ask for.

    Args:
        scorers: The metrics.
        annotations: The annotation file.
        options: What to compute.
        overlaps: Returns all predictions and objects of a video.
        class_agnostic: Leave out the breakdown by class.

    Returns:
        Those of ``oracle_ids``, ``breakdown``, ``bootstrap`` and ``per_video`` that were asked for.
    """
    found: dict[str, Any] = {}
    videos = sorted(annotations.videos)
    if options.oracle is not None:
        found["oracle_ids"] = _with_true_identities(scorers, overlaps)
    if options.breakdown:
        found["breakdown"] = break_down(scorers, make_splits(annotations, class_agnostic))
    if options.bootstrap:
        functions = {name: scorer.resample for name, scorer in scorers.items()}
        found["bootstrap"] = bootstrap(functions, len(videos), options.bootstrap, options.seed)
    if options.per_video:
        found["per_video"] = score_videos(scorers, videos)
    return found


def _with_true_identities(
    scorers: Mapping[str, Scorer], overlaps: Callable[[int], Overlaps]
) -> dict[str, dict[str, float]]:
    numbers: dict[str, dict[str, float]] = {}
    linked: list[Cell] | None = None
    for name, scorer in scorers.items():
        if isinstance(scorer, PrecisionScorer) and scorer.metric.tracks == "masks":
            linked = _link(scorer.cells, overlaps) if linked is None else linked
            numbers[name] = scorer.of(linked).numbers()
    return numbers


def _link(cells: Sequence[Cell], overlaps: Callable[[int], Overlaps]) -> list[Cell]:
    linked: list[Cell] = []
    for video_id, group in groupby(cells, key=lambda cell: cell.video_id):
        of_video = overlaps(video_id)
        linked += [with_true_identities(cell, of_video) for cell in group]
    return linked
