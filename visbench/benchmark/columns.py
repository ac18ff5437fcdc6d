# SPDX-License-Identifier: Apache-2.0
"""Columns of the table: how each writes a line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from visbench.benchmark.rows import FAILED, METRICS
from visbench.benchmark.summary import Line


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Args:
        title: Its heading.
        text: Its text for a line; ``-`` where there is nothing.
        right: Whether it is aligned to the right.
        optional: Whether a terminal leaves it out if no line has a text.
    """

    title: str
    text: Callable[[Line], str]
    right: bool = True
    optional: bool = False


def number(name: str, digits: int = 1, scale: float = 1.0) -> Callable[[Line], str]:
    """Return what writes the mean of a number of a line.

    Args:
        name: Field of a row.
        digits: Digits after the point.
        scale: Factor, to change the unit.
    """

    def text(line: Line) -> str:
        value = line.mean(name)
        return "-" if value is None else f"{value * scale:.{digits}f}"

    return text


def _metric(name: str) -> Callable[[Line], str]:
    mean = number(name)

    def text(line: Line) -> str:
        deviation = line.deviation(name)
        return mean(line) if deviation is None else f"{mean(line)} ± {deviation:.1f}"

    return text


def _seed(line: Line) -> str:
    if line.row.kind != "method":
        return "-"
    return str(line.row.seed) if len(line.rows) == 1 else f"n={len(line.rows)}"


def _status(line: Line) -> str:
    row = line.row
    return row.status if row.kind == "method" or row.status == FAILED else row.kind


def _interval(line: Line) -> str:
    return "-" if line.interval is None else "{:.1f} to {:.1f}".format(*line.interval)


def published(line: Line) -> str:
    """Return the AP of the papers; several where sources differ."""
    return " / ".join(dict.fromkeys(f"{found.metrics['AP']:.1f}" for found in line.published))


def published_dataset(line: Line) -> str:
    """Return the data that the papers tested on."""
    return " / ".join(dict.fromkeys(found.dataset for found in line.published))


def published_source(line: Line) -> str:
    """Return the tables that the figures stand in."""
    return "; ".join(dict.fromkeys(found.place for found in line.published))


COLUMNS = (
    Column("method", lambda line: line.row.method, right=False),
    Column("config", lambda line: line.row.config_name or "-", right=False),
    Column("data", lambda line: line.row.dataset or "-", right=False),
    Column("seed", _seed),
    *(Column(name, _metric(name)) for name in METRICS),
    Column("params M", number("parameters_m", 2), optional=True),
    Column("GFLOPs/frame", number("gflops_per_frame", 2), optional=True),
    Column("training min", number("training_s", 1, 1 / 60), optional=True),
    Column("frames/s", number("fps"), optional=True),
    Column("host MiB", number("host_memory_mb", 0), optional=True),
    Column("GPU MiB", number("device_memory_mb", 0), optional=True),
    Column("AP 95 %", _interval, optional=True),
    Column("published AP", lambda line: published(line) or "-", optional=True),
    Column("published on", lambda line: published_dataset(line) or "-", False, True),
    Column("published in", lambda line: published_source(line) or "-", False, True),
    Column("status", _status, right=False),
)
"""All columns, in the order of the files."""
