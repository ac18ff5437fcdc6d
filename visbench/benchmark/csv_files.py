# SPDX-License-Identifier: Apache-2.0
"""The comparison as CSV: one file with a line per run, one with mean and spread over seeds."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from visbench.benchmark.columns import published, published_dataset, published_source
from visbench.benchmark.rows import METRICS, Row
from visbench.benchmark.summary import Line, lines
from visbench.benchmark.tables import ordered, versions_text
from visbench.benchmark.terms import TERMS

_ROW_COLUMNS = (
    *("method", "config", "dataset", "seed", *METRICS),
    *("parameters_m", "gflops_per_frame", "training_s", "fps"),
    *("host_memory_mb", "device_memory_mb", "training_memory_mb"),
    *("kind", "status", "reason", "log", "checkpoint", "overlay"),
    *("device", "machine", "versions", "config_hash", "date"),
    *("results", "annotations", "run_dir"),
)
_INTERVAL_COLUMNS = ("AP_low", "AP_high")
_PUBLISHED_COLUMNS = ("published_AP", "published_dataset", "published_source")
_TERM_COLUMNS = tuple(term.replace(" ", "_") for term in TERMS)

CSV_COLUMNS = (*_ROW_COLUMNS, *_INTERVAL_COLUMNS, *_PUBLISHED_COLUMNS, *_TERM_COLUMNS)
"""Columns of the CSV file, in this order: fields of :class:`~visbench.benchmark.rows.Row`, the
interval over videos, the figures of the papers, and what the training was given."""

_AVERAGED = ("parameters_m", "gflops_per_frame", "training_s", "fps")

SUMMARY_COLUMNS = (
    *("method", "config", "dataset", "kind", "status", "n", "seeds"),
    *(f"{name}_{part}" for name in METRICS for part in ("mean", "std")),
    *_INTERVAL_COLUMNS,
    *(f"{name}_mean" for name in _AVERAGED),
    *_PUBLISHED_COLUMNS,
    *("device", "machine", "versions", "config_hash"),
    *_TERM_COLUMNS,
)
"""Columns of the CSV file with one line per config and data set: mean and sample standard deviation
over seeds."""


def csv_text(rows: Sequence[Row]) -> str:
    """Return the comparison as CSV with :data:`CSV_COLUMNS`; AP in points, empty if unknown.

    Args:
        rows: The rows.
    """
    values = [{**_row_values(row), **_line_values(Line((row,)))} for row in ordered(rows)]
    return _csv(CSV_COLUMNS, values)


def summary_csv(rows: Sequence[Row]) -> str:
    """Return mean and spread over seeds as CSV with :data:`SUMMARY_COLUMNS`.

    Args:
        rows: The rows.
    """
    return _csv(SUMMARY_COLUMNS, [_summary_values(line) for line in lines(ordered(rows))])


def _csv(columns: Sequence[str], records: Sequence[Mapping[str, Any]]) -> str:
    output = io.StringIO()
    writer = csv.DictWriter(output, columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for record in records:
        writer.writerow({name: _cell(record.get(name)) for name in columns})
    return output.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _row_values(row: Row) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in _ROW_COLUMNS}
    return {**values, "versions": versions_text(row)}


def _line_values(line: Line) -> dict[str, Any]:
    """Return what is the same in both files: interval, published figures, terms."""
    figures = (published(line), published_dataset(line), published_source(line))
    terms = [line.row.terms.get(term) for term in TERMS]
    return {
        **dict(zip(_INTERVAL_COLUMNS, line.interval or (None, None), strict=True)),
        **dict(zip(_PUBLISHED_COLUMNS, figures, strict=True)),
        **dict(zip(_TERM_COLUMNS, terms, strict=True)),
    }


def _summary_values(line: Line) -> dict[str, Any]:
    numbers: dict[str, Any] = {}
    for name in METRICS:
        numbers[f"{name}_mean"], numbers[f"{name}_std"] = line.mean(name), line.deviation(name)
    numbers.update({f"{name}_mean": line.mean(name) for name in _AVERAGED})
    seeds = " ".join(map(str, line.seeds)) if line.row.kind == "method" else ""
    return {
        **_row_values(line.row),
        **numbers,
        **_line_values(line),
        "n": len(line.rows),
        "seeds": seeds,
    }
