# SPDX-License-Identifier: Apache-2.0
"""Figures of results; plotly is loaded when the first one is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from visbench.evaluation.average_precision import IOU_THRESHOLDS, RECALL_POINTS

if TYPE_CHECKING:
    from visbench.evaluation.result import EvaluationResult

__all__ = ["plot"]

_SHOWN_THRESHOLDS = (0, 5, 9)


def plot(result: EvaluationResult, metric: str | None = None) -> Any:
    """Draw a metric.

    Args:
        result: What to draw.
        metric: One of the metrics that were computed; the first if None.

    Returns:
        A ``plotly.graph_objects.Figure``.

    Raises:
        ImportError: plotly is not installed.
        ValueError: The metric was not computed.
    """
    name = next(iter(result.metrics)) if metric is None else metric
    if name not in result.metrics:
        known = ", ".join(result.metrics)
        raise ValueError(f"metric {name!r} was not computed; there is {known}")
    try:
        from plotly import graph_objects
    except ImportError as error:
        raise ImportError("plot() needs plotly: pip install 'visbench[report]'") from error
    figure = graph_objects.Figure()
    draw = {"hota": _draw_hota, "errors": _draw_errors, "davis": _draw_davis}.get(name)
    if draw is None:
        _draw_precision(figure, result, name)
    else:
        draw(figure, result)
    figure.update_layout(title=name, template="plotly_white")
    return figure


def _draw_precision(figure: Any, result: EvaluationResult, metric: str) -> None:
    """Draw precision over recall, averaged over categories: all sizes, 100 predictions."""
    curves = result.curves[metric]
    values = curves.precision[:, :, :, 0, ..., -1]
    if curves.occlusions:
        values = values[..., 0]
    values = values[:, :, (values > -1).all(axis=(0, 1))]
    if values.shape[2]:
        lines = values.mean(axis=2)
        for t in _SHOWN_THRESHOLDS:
            label = f"IoU {IOU_THRESHOLDS[t]:.2f}"
            figure.add_scatter(x=RECALL_POINTS, y=lines[t], mode="lines", name=label)
        figure.add_scatter(x=RECALL_POINTS, y=lines.mean(axis=0), mode="lines", name="mean of ten")
    figure.update_xaxes(title="recall", range=[0, 1])
    figure.update_yaxes(title="precision", range=[0, 1.02])


def _draw_hota(figure: Any, result: EvaluationResult) -> None:
    """Draw the measures over the threshold, averaged over categories."""
    details = result.details["hota"]
    curves = [counts.curves() for counts in details.counts.values()]
    if curves:
        means = np.mean(curves, axis=0)
        for column, name in enumerate(("HOTA", "DetA", "AssA", "LocA")):
            figure.add_scatter(x=details.alphas, y=means[:, column], mode="lines", name=name)
    figure.update_xaxes(title="threshold alpha", range=[0, 1])
    figure.update_yaxes(title="score", range=[0, 1.02])


def _draw_errors(figure: Any, result: EvaluationResult) -> None:
    details = result.details["errors"]
    for label, values in (("alone", details.gains), ("one after another", details.steps)):
        heights = [100 * value if value != -1 else None for value in values.values()]
        figure.add_bar(x=list(values), y=heights, name=label)
    figure.update_yaxes(title="AP gained by repair (points)")


def _draw_davis(figure: Any, result: EvaluationResult) -> None:
    objects = [
        (f"{Path(sequence.name).name} {found.gt_id}", found)
        for sequence in result.details["davis"]
        for found in sequence.matches
    ]
    labels = [label for label, _ in objects]
    figure.add_bar(x=labels, y=[100 * found.j_mean for _, found in objects], name="J")
    figure.add_bar(x=labels, y=[100 * found.f_mean for _, found in objects], name="F")
    figure.update_yaxes(title="mean over frames (points)", range=[0, 100])
