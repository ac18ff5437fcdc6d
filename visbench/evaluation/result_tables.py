# SPDX-License-Identifier: Apache-2.0
"""Tables of results for the terminal, in points (0 to 100)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.table import Table

from visbench.evaluation.average_precision import IOU_THRESHOLDS
from visbench.evaluation.error_analysis import KINDS

if TYPE_CHECKING:
    from visbench.evaluation.analysis import Bootstrap
    from visbench.evaluation.error_repairs import ErrorResult
    from visbench.evaluation.hota import HotaResult

__all__ = [
    "breakdown_tables",
    "category_table",
    "error_table",
    "hota_table",
    "interval_table",
    "metric_table",
    "oracle_table",
    "video_table",
]

_COLUMNS = 8
_SHORT = ("AP", "AP50", "AP75", "AR1", "AR10")
MEANINGS = {
    "wrong_class": "right masks, wrong category",
    "association": "identity switch or fragment",
    "wrong_mask": "right category, poor masks",
    "wrong_class_and_mask": "both wrong",
    "duplicate": "object found before",
    "background": "no object",
    "missed": "object without a trace",
}

Values = Mapping[str, float]


def points(value: float) -> str:
    """Return a fraction as points; a dash for -1 (undefined)."""
    return "-" if value == -1 else f"{100 * value:.2f}"


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", min_width=min(len(title), 80))


def metric_table(metric: str, values: Values) -> Table:
    """Return the numbers of a metric: in a row, or in two columns if there are many."""
    names = list(values)
    title = f"{metric} (points, 0 to 100)"
    if len(names) <= _COLUMNS:
        return _rows(title, {"": values})
    table = _table(title)
    for heading in ("precision", "recall"):
        table.add_column(heading)
        table.add_column("", justify="right")
    left = [name for name in names if name.startswith("AP")]
    right = [name for name in names if not name.startswith("AP")]
    for row in range(max(len(left), len(right))):
        cells: list[str] = []
        for column in (left, right):
            name = column[row] if row < len(column) else ""
            cells += [name, points(values[name]) if name else ""]
        table.add_row(*cells)
    return table


def _rows(title: str, rows: Mapping[str, Values], heading: str = "") -> Table:
    """Return one row of numbers per key; the keys are left out if there is one without a name."""
    table = _table(title)
    named = list(rows) != [""]
    if named:
        table.add_column(heading)
    for name in next(iter(rows.values()), {}):
        # Rich breaks lines at blanks only.
        table.add_column(name.replace("_", " "), justify="right")
    for key, values in rows.items():
        numbers = [points(value) for value in values.values()]
        table.add_row(*([key, *numbers] if named else numbers))
    return table


def shorten(values: Values) -> Values:
    """Return the numbers that fit beside one another."""
    if len(values) <= _COLUMNS:
        return values
    return {name: values[name] for name in _SHORT if name in values}


def category_table(metric: str, values: Mapping[int, Values], names: Mapping[int, str]) -> Table:
    """Return the numbers of each category."""
    first = ", ".join(next(iter(values.values())))
    table = _table(f"{metric}: {first} per category")
    table.add_column("id", justify="right")
    table.add_column("category")
    for name in next(iter(values.values())):
        table.add_column(name, justify="right")
    for category, numbers in values.items():
        cells = [points(value) for value in numbers.values()]
        table.add_row(str(category), names.get(category, ""), *cells)
    return table


def hota_table(result: HotaResult, values: Values) -> Table:
    """Return the averages over categories and the numbers of all of them in one pool."""
    rows = {"class average": values, "class-agnostic": result.class_agnostic}
    return _rows("hota (points, 0 to 100)", rows)


def error_table(result: ErrorResult, values: Values) -> Table:
    """Return what AP is lost to."""
    ap, iou = points(values["AP"]), f"{IOU_THRESHOLDS[0]:.1f}"
    table = _table(
        f"errors: AP is {ap}; points gained by repairing each kind, alone and in turn;\n"
        f"numbers of false predictions and lost objects at IoU {iou}"
    )
    table.add_column("kind", no_wrap=True)
    for heading in ("alone", "in turn", "false", "lost"):
        table.add_column(heading, justify="right")
    table.add_column("meaning")
    for kind in KINDS:
        counts = [
            str(int(part[kind][0])) if kind in part else ""
            for part in (result.false_positives, result.lost_objects)
        ]
        gains = points(result.gains[kind]), points(result.steps[kind])
        table.add_row(kind, *gains, *counts, MEANINGS[kind])
    return table


def interval_table(metric: str, values: Values, bootstrap: Bootstrap) -> Table:
    """Return each number with its confidence interval."""
    share = f"{100 * bootstrap.confidence:.0f} %"
    table = _table(f"{metric}: {share} interval over videos, {bootstrap.resamples} resamples")
    for heading in ("", "value", "low", "high"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, limits in bootstrap.intervals[metric].items():
        table.add_row(name, points(values[name]), *map(points, limits))
    return table


def oracle_table(metric: str, values: Values, oracle: Values) -> Table:
    """Return the numbers with true identities beside those of the method."""
    table = _table(f"{metric}: the same masks with the identities of the ground truth")
    for heading in ("", "as predicted", "true identities", "lost to association"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, best in oracle.items():
        undefined = best == -1 or values[name] == -1
        lost = "-" if undefined else f"{100 * (best - values[name]):.2f}"
        table.add_row(name, points(values[name]), points(best), lost)
    return table


def breakdown_tables(
    metric: str, splits: Mapping[str, Mapping[str, Mapping[str, float]]]
) -> list[Table]:
    """Return one table per split."""
    return [
        _rows(f"{metric} by {split}", {g: shorten(v) for g, v in groups.items()}, split)
        for split, groups in splits.items()
    ]


def video_table(metric: str, per_video: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Table:
    """Return the numbers of every video."""
    rows = {video: shorten(numbers[metric]) for video, numbers in per_video.items()}
    return _rows(f"{metric} per video", rows, "video")
