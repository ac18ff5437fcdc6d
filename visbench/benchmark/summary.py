# SPDX-License-Identifier: Apache-2.0
"""Lines of a table: the runs that differ by their seed only, as mean and spread."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from visbench.benchmark.published import Published, published_of
from visbench.benchmark.rows import FINISHED, Row

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


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
        return None if self.samples is None else _interval(self.samples)

    @cached_property
    def samples(self) -> npt.NDArray[np.float64] | None:
        """The AP in every resample of the videos, averaged over the runs; None if not known."""
        found = [row.details.get("resampled", {}).get("AP") for row in self.rows]
        if None in found or len({len(samples) for samples in found}) != 1:
            return None
        import numpy as np

        mean: npt.NDArray[np.float64] = np.array(found, np.float64).mean(axis=0)
        return mean

    def lead(self, other: Line) -> tuple[float, float, float] | None:
        """Return by how many points of AP this line is ahead of another on the same videos.

        Args:
            other: A line of the same data set.

        Returns:
            The difference of the means and the limits of its 95 % interval over videos, which are
            drawn alike for both; None if it is not known.
        """
        ours, theirs = self.mean("AP"), other.mean("AP")
        if ours is None or theirs is None or self.samples is None or other.samples is None:
            return None
        if len(self.samples) != len(other.samples):
            return None
        limits = _interval(self.samples - other.samples)
        return None if limits is None else (ours - theirs, *limits)

    @cached_property
    def published(self) -> list[Published]:
        """Figures with an AP of the config, or of the full-size config that it stands for.

        Papers score with classes, so class-agnostic rows have none.
        """
        if self.row.kind != "method" or self.row.class_agnostic:
            return []
        return [line for line in published_of(self.row.config) if "AP" in line.metrics]


def _interval(samples: npt.NDArray[np.float64]) -> tuple[float, float] | None:
    # These take a second to import, which a table without intervals does without.
    import numpy as np

    from visbench.evaluation.analysis import percentile_interval

    return None if np.isnan(samples).all() else percentile_interval(samples)


def leads(shown: Sequence[Line]) -> list[tuple[Line, Line, tuple[float, float, float]]]:
    """Return the best line of every data set, each other one, and by how much it is ahead.

    Args:
        shown: Lines of any kind; controls take no part.
    """
    found = []
    for dataset in dict.fromkeys(line.row.dataset for line in shown):
        rivals = [
            (ap, line)
            for line in shown
            if line.row.dataset == dataset and line.row.kind != "control"
            for ap in [line.mean("AP")]
            if ap is not None
        ]
        if not rivals:
            continue
        best = max(rivals, key=lambda rival: rival[0])[1]
        for _, line in rivals:
            lead = None if line is best else best.lead(line)
            if lead is not None:
                found.append((best, line, lead))
    return found


def lines(rows: Sequence[Row]) -> list[Line]:
    """Return the lines of a table in the order of their first rows.

    Runs on machines or devices of different kinds stay apart, as their times do not compare; a run
    that failed is a line of its own.

    Args:
        rows: Rows of any kind.
    """
    groups: dict[tuple[object, ...], list[Row]] = {}
    for position, row in enumerate(rows):
        # The same config has other paths from other folders.
        alike = (row.kind, row.method, row.config_name, row.config_hash, row.dataset)
        key = (*alike, row.device, row.machine)
        alone = row.kind != "method" or row.status != FINISHED
        groups.setdefault((*key, position) if alone else key, []).append(row)
    return [Line(tuple(group)) for group in groups.values()]
