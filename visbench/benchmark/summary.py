# SPDX-License-Identifier: Apache-2.0
"""Lines of a table: the runs that differ by their seed only, as mean and spread."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from visbench.benchmark.published import Published, published_of
from visbench.benchmark.rows import FINISHED, Row


@dataclass(frozen=True)
class Line:
    """Runs of one config on one data set, or one row of another kind.

    Args:
        rows: At least one row; several differ by their seed.
    """

    rows: tuple[Row, ...]

    @property
    def row(self) -> Row:
        """The first row: what all have in common."""
        return self.rows[0]

    @property
    def seeds(self) -> list[int]:
        """The seeds of the runs."""
        return [row.seed for row in self.rows]

    def values(self, name: str) -> list[float]:
        """Return a number of every run that has it."""
        found = [getattr(row, name) for row in self.rows]
        return [value for value in found if value is not None]

    def mean(self, name: str) -> float | None:
        """Return the mean of a number over the runs; None if no run has it."""
        values = self.values(name)
        return statistics.fmean(values) if values else None

    def deviation(self, name: str) -> float | None:
        """Return the sample standard deviation over the runs; None for fewer than two."""
        values = self.values(name)
        return statistics.stdev(values) if len(values) > 1 else None

    @cached_property
    def interval(self) -> tuple[float, float] | None:
        """Limits of the AP, by resampling the videos of all runs alike; None if not known.

        Of several runs it is the interval of their mean AP: it says how much the choice of videos
        matters, and the standard deviation how much the seed does.
        """
        if len(self.rows) == 1:
            low, high = self.row.details.get("interval", {}).get("AP", (None, None))
            return None if low is None or high is None else (low, high)
        samples = [row.details.get("resampled", {}).get("AP") for row in self.rows]
        if None in samples or len({len(sample) for sample in samples}) != 1:
            return None
        import numpy as np

        from visbench.evaluation.analysis import percentile_interval

        low, high = percentile_interval(np.array(samples, np.float64).mean(axis=0))
        return None if low < 0 else (low, high)

    @cached_property
    def published(self) -> list[Published]:
        """Figures with an AP of the config, or of the full-size config that it stands for."""
        if self.row.kind != "method":
            return []
        return [line for line in published_of(self.row.config) if "AP" in line.metrics]


def lines(rows: Sequence[Row]) -> list[Line]:
    """Return the lines of a table in the order of their first rows.

    Runs on machines or devices of different kinds stay apart, as their times do not compare; a run
    that failed is a line of its own.

    Args:
        rows: Rows of any kind.
    """
    groups: dict[tuple[object, ...], list[Row]] = {}
    for position, row in enumerate(rows):
        alike = (row.kind, row.method, row.config, row.config_hash, row.dataset)
        key = (*alike, row.device, row.machine)
        alone = row.kind != "method" or row.status != FINISHED
        groups.setdefault((*key, position) if alone else key, []).append(row)
    return [Line(tuple(group)) for group in groups.values()]
