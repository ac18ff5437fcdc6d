# SPDX-License-Identifier: Apache-2.0
"""Scores a results file for a row: numbers, interval over videos, and what the report shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visbench.benchmark.rows import points

if TYPE_CHECKING:
    from visbench.evaluation import Annotations, EvaluationResult

RESAMPLES = 1000
SEED = 0
"""The same draws for every row, so that rows of the same videos can be averaged and subtracted."""

_RESAMPLED = ("AP",)


def score(
    results: str | Path,
    annotations: str | Path | Annotations,
    metric: str | Sequence[str] = "youtube_vis",
    class_agnostic: bool = False,
    progress: Callable[[int], object] | None = None,
) -> EvaluationResult:
    """Evaluate a results file with everything that rows and report need.

    Args:
        results: Results file.
        annotations: Annotation file, or a loaded one.
        metric: One or several metrics of :mod:`visbench.evaluation`.
        class_agnostic: Put all categories of a video in one pool.
        progress: Called with the number of predictions so far.

    Raises:
        InputError: If a file has a defect.
    """
    # It takes a second to import, which the table of finished rows does without.
    from visbench.evaluation import evaluate

    return evaluate(
        annotations,
        results,
        metric,
        class_agnostic=class_agnostic,
        progress=progress,
        breakdown=True,
        bootstrap=RESAMPLES,
        seed=SEED,
        per_video=True,
    )


def row_numbers(result: EvaluationResult) -> dict[str, Any]:
    """Return the fields of a row that an evaluation gives: numbers and ``details``."""
    metrics = {
        f"{metric}/{name}": value
        for metric, values in result.metrics.items()
        for name, value in values.items()
    }
    return {**points(metrics), "details": {"metrics": metrics, **intervals(result)}}


def intervals(result: EvaluationResult) -> dict[str, Any]:
    """Return ``interval`` and ``resampled`` of a row's ``details``, in points.

    The interval holds 95 % of the resamples of the videos; what is undefined is None.
    """
    metric = next((name for name, values in result.metrics.items() if "AP" in values), None)
    if result.bootstrap is None or metric is None:
        return {}
    limits = result.bootstrap.intervals.get(metric, {})
    samples = result.bootstrap.samples.get(metric, {})
    names = [name for name in _RESAMPLED if name in limits]
    return {
        "interval": {name: [_points(value) for value in limits[name]] for name in names},
        "resampled": {
            name: [None if value != value else round(100 * value, 2) for value in samples[name]]
            for name in names
        },
    }


def _points(fraction: float) -> float | None:
    return None if fraction < 0 else 100 * fraction
