# SPDX-License-Identifier: Apache-2.0
"""What an evaluation returns."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from visbench.evaluation.average_precision import Cell, PrecisionRecall
from visbench.evaluation.result_tables import (
    breakdown_tables,
    category_table,
    error_table,
    hota_table,
    interval_table,
    metric_table,
    oracle_table,
    video_table,
)

if TYPE_CHECKING:
    from visbench.evaluation.analysis import Bootstrap

__all__ = ["EvaluationResult"]

Numbers = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class EvaluationResult:
    """The numbers of one evaluation and what they were made of.

    Attributes:
        metrics: Metric to name to number: fractions at full precision, -1 where undefined.
        curves: Precision, recall and score arrays, by metric (AP and AR of tracks only).
        cells: Compared tracks of every video and category, by kind of track (``masks``,
            ``boxes``): IoU matrices, scores and areas.
        categories: Category names by id.
        warnings: Remarks on the input.
        skipped: Records that were left out (``tolerant`` only).
        details: Further results by metric; for ``davis`` a list of
            :class:`~visbench.evaluation.davis.SequenceResult`, for ``hota`` a
            :class:`~visbench.evaluation.hota.HotaResult`, for ``errors`` an
            :class:`~visbench.evaluation.error_repairs.ErrorResult`.
        oracle_ids: Metric to name to number, with the identities of the ground truth.
        breakdown: Metric to split to group to name to number.
        bootstrap: Confidence intervals over videos.
        per_video: Video id (DAVIS: sequence) to metric to name to number.
    """

    metrics: dict[str, dict[str, float]]
    curves: Mapping[str, PrecisionRecall] = field(default_factory=dict)
    cells: Mapping[str, Sequence[Cell]] = field(default_factory=dict)
    categories: Mapping[int, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    details: Mapping[str, Any] = field(default_factory=dict)
    oracle_ids: Numbers | None = None
    breakdown: Mapping[str, Mapping[str, Numbers]] | None = None
    bootstrap: Bootstrap | None = None
    per_video: Mapping[str, Numbers] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return metric to name to number, ready for JSON.

        What was asked for besides follows under ``oracle_ids``, ``breakdown``, ``bootstrap`` and
        ``per_video``.
        """
        content: dict[str, Any] = {name: dict(values) for name, values in self.metrics.items()}
        for name in ("oracle_ids", "breakdown", "per_video"):
            block = getattr(self, name)
            if block is not None:
                content[name] = _copy(block)
        if self.bootstrap is not None:
            content["bootstrap"] = self.bootstrap.to_dict()
        return content

    def tables(self, per_category: bool = True) -> list[Table]:
        """Return the tables of everything that was computed, in points (0 to 100).

        Args:
            per_category: Add the AP (HOTA: all numbers) of each category.
        """
        tables = [self._table(name, values) for name, values in self.metrics.items()]
        if per_category:
            tables += self._category_tables()
        if self.bootstrap is not None:
            tables += [
                interval_table(name, values, self.bootstrap)
                for name, values in self.metrics.items()
                if name in self.bootstrap.intervals
            ]
        tables += [
            oracle_table(name, self.metrics[name], values)
            for name, values in (self.oracle_ids or {}).items()
        ]
        for name, splits in (self.breakdown or {}).items():
            tables += breakdown_tables(name, splits)
        if self.per_video is not None:
            tables += [video_table(name, self.per_video) for name in self.metrics]
        return tables

    def _table(self, metric: str, values: Mapping[str, float]) -> Table:
        if metric == "errors":
            return error_table(self.details[metric], values)
        if metric == "hota" and len(self.details[metric].per_category) > 1:
            return hota_table(self.details[metric], values)
        return metric_table(metric, values)

    def _category_tables(self) -> Iterator[Table]:
        for name, curves in self.curves.items():
            if len(curves.categories) > 1:
                values = {k: {"AP": value} for k, value in curves.per_category().items()}
                yield category_table(name, values, self.categories)
        if "hota" in self.details and len(self.details["hota"].per_category) > 1:
            yield category_table("hota", self.details["hota"].per_category, self.categories)

    def summary(self) -> str:
        """Return the tables as text, in points (0 to 100), with intervals where asked for."""
        console = Console(file=io.StringIO(), width=100, highlight=False)
        for table in self.tables(per_category=False):
            console.print(table)
        output = console.file
        assert isinstance(output, io.StringIO)
        return output.getvalue().rstrip()

    def rows(self) -> list[dict[str, Any]]:
        """Return all numbers as one flat list.

        Returns:
            Records with ``metric``, ``split``, ``group``, ``name``, ``value``, ``low``, ``high``.
            ``split`` is ``all`` for the numbers themselves, ``oracle_ids``, ``video``, or a split
            of the breakdown. Values are fractions, None where undefined; ``low`` and ``high`` are
            the limits of the interval, None where there is none.
        """
        rows = [*_rows(self.metrics, "all", "")]
        if self.bootstrap is not None:
            for row in rows:
                limits = self.bootstrap.intervals.get(row["metric"], {}).get(row["name"])
                if limits is not None:
                    row["low"], row["high"] = map(_defined, limits)
        rows += _rows(self.oracle_ids or {}, "oracle_ids", "")
        for metric, splits in (self.breakdown or {}).items():
            for split, groups in splits.items():
                for group, values in groups.items():
                    rows += _rows({metric: values}, split, group)
        for video, numbers in (self.per_video or {}).items():
            rows += _rows(numbers, "video", video)
        return rows

    def to_pandas(self) -> Any:
        """Return :meth:`rows` as a pandas ``DataFrame``.

        Raises:
            ImportError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise ImportError(
                "to_pandas() needs pandas: pip install 'visbench[report]' (rows() does without)"
            ) from error
        return pandas.DataFrame(self.rows())

    def plot(self, metric: str | None = None) -> Any:
        """Draw a metric.

        Precision over recall for AP, the five numbers over the threshold for HOTA, the AP gained
        per kind of error, J and F per object for DAVIS.

        Args:
            metric: One of the metrics that were computed; the first if None.

        Returns:
            A ``plotly.graph_objects.Figure``; ``.show()`` or ``.write_html(path)`` it.

        Raises:
            ImportError: plotly is not installed.
            ValueError: The metric was not computed.
        """
        # Here, because the extra dependency is loaded there.
        from visbench.evaluation.plots import plot

        return plot(self, metric)


def _copy(block: Any) -> Any:
    return {key: _copy(value) for key, value in block.items()} if _is_map(block) else block


def _is_map(value: Any) -> bool:
    return isinstance(value, Mapping)


def _defined(value: float) -> float | None:
    return None if value == -1 else value


def _rows(numbers: Numbers, split: str, group: str) -> list[dict[str, Any]]:
    return [
        {
            "metric": metric,
            "split": split,
            "group": group,
            "name": name,
            "value": _defined(value),
            "low": None,
            "high": None,
        }
        for metric, values in numbers.items()
        for name, value in values.items()
    ]
