# SPDX-License-Identifier: Apache-2.0
"""Plotly figures of a report; colours of text and grid follow the theme of the page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from visbench.benchmark.report.breakdowns import Numbers
from visbench.benchmark.report.collect import Collection, Group, Run
from visbench.benchmark.training_logs import Curve, read_scalars
from visbench.engine.errors import UserError
from visbench.evaluation.error_analysis import KINDS

COLOURS = (
    *("#2f7ebc", "#c8551b", "#1b8a5a", "#b2509a"),
    *("#857512", "#7566c9", "#a5653a", "#6a7784"),
)
"""Alike in luminance, so that all have a contrast of at least 3:1 on a white and on a dark page."""
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star", "x", "triangle-down")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")

CURVE_POINTS = 300
"""A training curve is thinned out to at most so many points."""
_CURVES = ("loss", "grad_norm", "lr")


def require_plotly() -> ModuleType:
    """Return ``plotly.graph_objects``.

    Raises:
        UserError: If plotly is not installed.
    """
    try:
        from plotly import graph_objects
    except ImportError as error:
        raise UserError("the report needs plotly: pip install 'visbench[report]'") from error
    module: ModuleType = graph_objects
    return module


def plotly_script() -> str:
    """Return Plotly's JavaScript, to be inlined once."""
    require_plotly()
    from plotly.offline import get_plotlyjs

    script: str = get_plotlyjs()
    return script


def as_data(figure: Any) -> dict[str, Any]:
    """Return a figure as plain data for Plotly's JavaScript."""
    figure.update_layout(
        template="none",
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        margin={"l": 56, "r": 16, "t": 16, "b": 48},
        font={"family": "system-ui, sans-serif", "size": 13},
        legend={
            "orientation": "h",
            "yanchor": "bottom",
            "y": 1.02,
            "x": 0,
            "traceorder": "normal",
        },
    )
    figure.update_yaxes(automargin=True, title_standoff=12)
    content: dict[str, Any] = json.loads(figure.to_json())
    return content


class Styles:
    """Colour, symbol and dash of every method, the same in all figures.

    Args:
        labels: Names of the methods.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self._positions = {label: position for position, label in enumerate(dict.fromkeys(labels))}

    def colour(self, label: str) -> str:
        """Return the colour of a method."""
        return COLOURS[self._positions[label] % len(COLOURS)]

    def dash(self, label: str) -> str:
        """Return the dash of a method's line."""
        return DASHES[self._positions[label] % len(DASHES)]


def speed_figure(collection: Collection, styles: Styles) -> Any | None:
    """Draw AP against frames per second: one colour per method, one symbol per data set.

    Returns:
        The figure; None if no run has both.
    """
    figure = require_plotly().Figure()
    for group in collection.groups:
        ap, fps = group.spread("AP"), group.spread("fps")
        if ap is None or fps is None:
            continue
        several = len(collection.datasets) > 1
        symbol = SYMBOLS[collection.datasets.index(group.dataset) % len(SYMBOLS)]
        name = f"{group.label}, {group.dataset}" if several else group.label
        figure.add_scatter(
            x=[fps.mean],
            y=[ap.mean],
            error_x={"array": [fps.deviation or 0], "visible": fps.deviation is not None},
            error_y={"array": [ap.deviation or 0], "visible": ap.deviation is not None},
            mode="markers+text",
            text=[plain(group.label)],
            textposition="bottom right",
            marker={"size": 13, "symbol": symbol, "color": styles.colour(group.label)},
            name=plain(name),
            hovertemplate="%{y:.1f} AP at %{x:.1f} frames/s<extra>%{fullData.name}</extra>",
            cliponaxis=False,
        )
    if not figure.data:
        return None
    figure.update_xaxes(title="frames per second (log scale)", type="log")
    figure.update_yaxes(title="AP (points)", rangemode="tozero")
    return figure


def error_figure(groups: Sequence[Group], numbers: Numbers) -> Any | None:
    """Draw what AP is lost to: bars of AP and of the gains of repairs, which fill 100 points.

    Returns:
        The figure; None if no group has an error analysis.
    """
    known = [group for group in groups if numbers.error(group, KINDS[0]) is not None]
    if not known:
        return None
    figure = require_plotly().Figure()
    methods = [plain(group.label) for group in known]
    for bar, pattern in zip(_error_bars(known, numbers), _PATTERNS, strict=True):
        _add_bar(figure, methods, bar, pattern)
    figure.update_layout(barmode="stack", bargap=0.35, height=110 + 56 * len(known))
    figure.update_xaxes(title="points; all bars end at 100", range=[0, 100])
    figure.update_yaxes(autorange="reversed")
    return figure


class _Bar(NamedTuple):
    """One kind of points of all methods."""

    name: str
    colour: str
    values: list[float | None]


_PATTERNS = ("", "", "/", "", "\\", "", "x", ".")
"""One per bar, so that neighbours differ without colours too."""


def _error_bars(groups: Sequence[Group], numbers: Numbers) -> list[_Bar]:
    bars = [_Bar("AP", "#6a7784", [_mean(group.spread("AP")) for group in groups])]
    for kind, colour in zip(KINDS, COLOURS, strict=False):
        values = [_mean(numbers.error(group, kind)) for group in groups]
        bars.append(_Bar(kind.replace("_", " "), colour, values))
    return bars


def _add_bar(figure: Any, methods: Sequence[str], bar: _Bar, pattern: str) -> None:
    figure.add_bar(
        y=methods,
        x=bar.values,
        name=bar.name,
        orientation="h",
        marker={
            "color": bar.colour,
            "pattern": {"shape": pattern, "fillmode": "overlay", "solidity": 0.12},
        },
        text=[f"{value:.0f}" if value and value >= 3 else "" for value in bar.values],
        textfont={"color": "#ffffff", "weight": 700},
        textangle=0,
        insidetextanchor="middle",
        hovertemplate="%{x:.1f} points<extra>%{fullData.name}</extra>",
    )


def _mean(spread: Any) -> float | None:
    return None if spread is None else float(spread.mean)


def training_figure(collection: Collection, styles: Styles) -> Any | None:
    """Draw the training curves of all runs; a menu chooses the quantity.

    Returns:
        The figure; None if no run has a log.
    """
    curves = [
        (group, run, scalars)
        for group in collection.groups
        for run in group.runs
        if (scalars := _curves(run.logs))
    ]
    names = list(dict.fromkeys(name for *_, scalars in curves for name in scalars))
    if not names:
        return None
    names.sort(key=lambda name: (name not in _CURVES, not name.startswith("loss"), name))
    figure = require_plotly().Figure()
    owners = []
    for name in names:
        for group, run, scalars in curves:
            if name in scalars:
                _add_curve(figure, group, run, scalars[name], styles)
                owners.append(name)
    for trace, owner in zip(figure.data, owners, strict=True):
        trace.visible = owner == names[0]
    figure.update_layout(updatemenus=[_menu(names, owners)])
    figure.update_xaxes(title="iteration")
    figure.update_yaxes(title=plain(names[0]))
    return figure


def _menu(names: Sequence[str], owners: Sequence[str]) -> dict[str, Any]:
    """Return a menu of the quantities, each of which shows the curves that it owns."""
    buttons = [
        {
            "label": plain(name),
            "method": "update",
            "args": [
                {"visible": [owner == name for owner in owners]},
                {"yaxis.title.text": plain(name)},
            ],
        }
        for name in names
    ]
    return {"buttons": buttons, "x": 1, "xanchor": "right", "y": 1.18, "yanchor": "top"}


def _add_curve(
    figure: Any, group: Group, run: Run, curve: Mapping[int, float], styles: Styles
) -> None:
    steps = sorted(curve)
    stride = -(-len(steps) // CURVE_POINTS)
    steps = steps[::stride] if (len(steps) - 1) % stride == 0 else [*steps[::stride], steps[-1]]
    figure.add_scatter(
        x=steps,
        y=[curve[step] for step in steps],
        mode="lines" if len(steps) > 1 else "markers",
        line={"color": styles.colour(group.label), "dash": styles.dash(group.label), "width": 2},
        name=plain(group.label),
        legendgroup=group.key,
        showlegend=run is group.runs[0],
        text=f"seed {run.row.seed}",
        hovertemplate="%{y:.4g} at iteration %{x}, %{text}<extra>%{fullData.name}</extra>",
    )


def _curves(logs: Sequence[Path]) -> dict[str, Curve]:
    """Return losses, gradient norm, learning rate and AP of a training."""
    return {name: curve for name, curve in read_scalars(logs).items() if _is_curve(name)}


def _is_curve(name: str) -> bool:
    return name in _CURVES or name.startswith("loss") or name.endswith("/AP")


def plain(text: str) -> str:
    """Return a text that Plotly shows as it is: it reads a subset of HTML in labels."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
