# SPDX-License-Identifier: Apache-2.0
"""Confidence intervals and numbers per sequence for DAVIS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from visbench.evaluation.analysis import AnalysisOptions, bootstrap
from visbench.evaluation.davis import SequenceResult, summarize_sequences
from visbench.evaluation.result import EvaluationResult

__all__ = ["analyse_sequences"]

Float64 = npt.NDArray[np.float64]


def analyse_sequences(result: EvaluationResult, options: AnalysisOptions) -> EvaluationResult:
    """Add what the options ask for to the numbers of DAVIS.

    Args:
        result: Numbers with the sequences in ``details["davis"]``.
        options: ``bootstrap`` resamples sequences with all their objects, ``per_video`` gives the
            numbers of every sequence. For ``breakdown`` there is a warning: label maps have no
            categories.

    Raises:
        ValueError: An option is out of range.
    """
    options.check(result.metrics)
    sequences: Sequence[SequenceResult] = result.details["davis"]
    found: dict[str, Any] = {}
    if options.breakdown:
        warning = "davis: there is no breakdown, label maps have no categories or tracks"
        found["warnings"] = [*result.warnings, warning]
    if options.bootstrap:
        found["bootstrap"] = bootstrap(
            {"davis": lambda weights: _resample(sequences, weights)},
            len(sequences),
            options.bootstrap,
            options.seed,
        )
    if options.per_video:
        found["per_video"] = {
            Path(sequence.name).name: {"davis": summarize_sequences([sequence])}
            for sequence in sequences
        }
    return replace(result, **found)


def _resample(sequences: Sequence[SequenceResult], weights: Float64) -> dict[str, Float64]:
    """Return the numbers ``(B,)`` for ``(B, S)`` weights of the sequences."""
    names = list(summarize_sequences([]))
    means = [summarize_sequences([sequence]) for sequence in sequences]
    counts = np.array([len(sequence.matches) for sequence in sequences], np.float64)
    # A mean over all objects is a mean over sequences weighted by their objects.
    values = np.array([[mean[name] for name in names] for mean in means]).reshape(-1, len(names))
    shares = weights * counts
    total = shares.sum(axis=1, keepdims=True)
    mean = np.full((len(weights), len(names)), np.nan)
    np.divide(shares @ values, total, out=mean, where=total > 0)
    return dict(zip(names, mean.T, strict=True))
