# SPDX-License-Identifier: Apache-2.0
"""Verdicts: what the paired differences over seeds say about a claim."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scipy.special import stdtrit

from visbench.benchmark.claims.data import Claim
from visbench.benchmark.claims.rows import RunKey, code_version, known_version, metric_value
from visbench.benchmark.rows import FINISHED, Row

REPRODUCED = "reproduced"
NOT_REPRODUCED = "not reproduced"
UNDECIDED = "undecided"
NOT_RUN = "not run"
OUTCOMES = (REPRODUCED, NOT_REPRODUCED, UNDECIDED, NOT_RUN)
LEVEL = 0.95


@dataclass(frozen=True)
class Pair:
    """Both rows of a claim with one seed and one version of the code.

    Args:
        seed: The seed.
        version: Version of the code.
        a: Metric of the first config, in points.
        b: Metric of the second config, in points.
    """

    seed: int
    version: str
    a: float
    b: float

    @property
    def difference(self) -> float:
        """Return ``a - b`` in points."""
        return self.a - self.b


@dataclass(frozen=True)
class Verdict:
    """What the rows say about a claim.

    Args:
        claim: The claim.
        pairs: One pair per seed.
    """

    claim: Claim
    pairs: tuple[Pair, ...]

    @property
    def n(self) -> int:
        """Return the number of pairs."""
        return len(self.pairs)

    @property
    def mean(self) -> float | None:
        """Return the mean of ``a - b`` in points; None without pairs."""
        return statistics.fmean(pair.difference for pair in self.pairs) if self.pairs else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Return the 95 % interval of the mean of ``a - b``; None below two pairs."""
        return t_interval([pair.difference for pair in self.pairs])

    @property
    def outcome(self) -> str:
        """Return one of :data:`OUTCOMES`."""
        if not self.pairs:
            return NOT_RUN
        interval = self.interval
        if interval is None:
            return UNDECIDED
        low, high = sorted(self.claim.sign * bound for bound in interval)
        if low > 0:
            return REPRODUCED
        return NOT_REPRODUCED if high < 0 else UNDECIDED

    @property
    def versions(self) -> tuple[str, ...]:
        """Return the versions of the code of its pairs."""
        return tuple(dict.fromkeys(pair.version for pair in self.pairs))


def t_interval(values: Sequence[float], level: float = LEVEL) -> tuple[float, float] | None:
    """Return Student's interval of the mean.

    Args:
        values: The sample.
        level: Probability that the interval covers the mean of normally distributed values.

    Returns:
        Lower and upper bound; None for fewer than two values.
    """
    n = len(values)
    if n < 2:
        return None
    mean = statistics.fmean(values)
    half = float(stdtrit(n - 1, (1 + level) / 2)) * statistics.stdev(values) / math.sqrt(n)
    return mean - half, mean + half


def verdict(
    claim: Claim,
    rows: Iterable[Row],
    include_unversioned: bool = False,
    only_version: str | None = None,
) -> Verdict:
    """Judge a claim by rows.

    Rows count if they are of the claim's configs as they are now, on its data, and of a known
    version of the code. Two rows make a pair if seed and version agree; of several pairs with one
    seed the newest counts, as they are not independent.

    Args:
        claim: The claim.
        rows: Rows of any runs.
        include_unversioned: Whether rows count too whose config is known by name only or whose
            version of the code is not known, e.g. those of older tables.
        only_version: Count rows of this version of the code alone.
    """
    rows = [row for row in rows if row.status == FINISHED and row.kind == "method"]
    if only_version is not None:
        rows = [row for row in rows if code_version(row) == only_version]
    sides = [
        _by_seed_and_version(rows, RunKey.of(config, claim.data), claim, include_unversioned)
        for config in (claim.a, claim.b)
    ]
    newest: dict[int, tuple[str, Pair]] = {}
    for seed, version in sides[0].keys() & sides[1].keys():
        (date_a, a), (date_b, b) = sides[0][seed, version], sides[1][seed, version]
        found = (max(date_a, date_b), Pair(seed, version, a, b))
        if seed not in newest or found[0] > newest[seed][0]:
            newest[seed] = found
    return Verdict(claim, tuple(newest[seed][1] for seed in sorted(newest)))


def _by_seed_and_version(
    rows: Iterable[Row], key: RunKey, claim: Claim, include_unversioned: bool
) -> dict[tuple[int, str], tuple[str, float]]:
    """Return date and value by seed and version; the current config first, then the newest."""
    found: dict[tuple[int, str], tuple[bool, str, float]] = {}
    for row in rows:
        value = metric_value(row, claim.metric)
        if value is None or not key.fits_by_name(row):
            continue
        current = row.config_hash == key.digest
        if not include_unversioned and not (current and known_version(row)):
            continue
        place = (row.seed, code_version(row))
        if place not in found or (current, row.date) > found[place][:2]:
            found[place] = (current, row.date, value)
    return {place: (date, value) for place, (_, date, value) in found.items()}
