# SPDX-License-Identifier: Apache-2.0
"""What an evaluation returns."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

from visbench.evaluation.average_precision import Cell, PrecisionRecall

__all__ = ["EvaluationResult"]


@dataclass(frozen=True)
class EvaluationResult:
    """The numbers of one evaluation and what they were made of.

    Attributes:
        metrics: Metric to name to number: fractions at full precision, -1 where undefined.
        curves: Precision, recall and score arrays, by metric (not for DAVIS).
        cells: Compared tracks of every video and category, by kind of track (``masks``,
            ``boxes``): IoU matrices, scores and areas.
        categories: Category names by id.
        warnings: Remarks on the input.
        skipped: Records that were left out (``tolerant`` only).
        details: Further results by metric; for ``davis`` a list of
            :class:`~visbench.evaluation.davis.SequenceResult`.
    """

    metrics: dict[str, dict[str, float]]
    curves: Mapping[str, PrecisionRecall] = field(default_factory=dict)
    cells: Mapping[str, Sequence[Cell]] = field(default_factory=dict)
    categories: Mapping[int, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, dict[str, float]]:
        """Return metric to name to number, ready for JSON."""
        return {metric: dict(values) for metric, values in self.metrics.items()}

    def tables(self, per_category: bool = True) -> list[Table]:
        """Return one table per metric, and one with the AP of each category, in points (0-100)."""
        tables = [_metric_table(name, values) for name, values in self.metrics.items()]
        if per_category:
            tables += [
                self._category_table(name, curves)
                for name, curves in self.curves.items()
                if len(curves.categories) > 1
            ]
        return tables

    def summary(self) -> str:
        """Return the tables of all metrics as text, in points (0 to 100)."""
        console = Console(file=io.StringIO(), width=100, highlight=False)
        for table in self.tables(per_category=False):
            console.print(table)
        output = console.file
        assert isinstance(output, io.StringIO)
        return output.getvalue().rstrip()

    def _category_table(self, metric: str, curves: PrecisionRecall) -> Table:
        table = Table(title=f"{metric}: AP per category", title_justify="left", min_width=36)
        table.add_column("id", justify="right")
        table.add_column("category")
        table.add_column("AP", justify="right")
        for category, value in curves.per_category().items():
            table.add_row(str(category), self.categories.get(category, ""), _points(value))
        return table


def _metric_table(metric: str, values: Mapping[str, float]) -> Table:
    table = Table(title=f"{metric} (points, 0 to 100)", title_justify="left")
    for name in list(values)[:_COLUMNS]:
        table.add_column(name, justify="right")
    names = list(values)
    if len(names) <= _COLUMNS:
        table.add_row(*(_points(values[name]) for name in names))
        return table
    long = Table(title=f"{metric} (points, 0 to 100)", title_justify="left")
    long.add_column("precision")
    long.add_column("", justify="right")
    long.add_column("recall")
    long.add_column("", justify="right")
    left = [name for name in names if name.startswith("AP")]
    right = [name for name in names if not name.startswith("AP")]
    for row in range(max(len(left), len(right))):
        cells: list[str] = []
        for column in (left, right):
            name = column[row] if row < len(column) else ""
            cells += [name, _points(values[name]) if name else ""]
        long.add_row(*cells)
    return long


_COLUMNS = 8


def _points(value: float) -> str:
    return "-" if value == -1 else f"{100 * value:.2f}"
