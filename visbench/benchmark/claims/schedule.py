# SPDX-License-Identifier: Apache-2.0
"""What to run next, and what it will cost.

Order. A claim without a pair of rows comes first: its first pair tells most, the direction. Then
come claims whose interval still includes zero (or that have one pair only), those with the fewest
pairs first: Student's factor falls from 12.7 with two pairs to 4.3 with three and 3.2 with four, so
that one more pair narrows a short series most. Last come decided claims that have fewer pairs than
asked for. Among equals the pair goes first that costs least from here, counting what other claims
have already run.

Cost. The seconds of training and test of a run are the median over earlier rows, of the first of
these that has any: the same config on the same machine, any config on the same machine, the same
config anywhere, any row; else :data:`DEFAULT_COST`. A training that is done or planned costs
nothing more.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from visbench.benchmark.claims.data import Claim
from visbench.benchmark.claims.unit import Run, Unit
from visbench.benchmark.claims.verdict import NOT_RUN, UNDECIDED, Verdict
from visbench.benchmark.rows import Row
from visbench.engine.errors import UserError

DEFAULT_COST = {"training": 300.0, "test": 60.0}
"""Seconds where no row tells more: what the demo tier is sized for."""

_UNITS = {"s": 1, "m": 60, "h": 3600}


def budget_seconds(text: str) -> float:
    """Return the seconds of a budget.

    Args:
        text: Hours, minutes and seconds, e.g. ``90m``, ``1h30m`` or ``45s``.

    Raises:
        UserError: If it is none.

    Examples:
        >>> budget_seconds("1h30m")
        5400.0
    """
    if not re.fullmatch(r"(\d+(\.\d+)?[hms])+", text):
        raise UserError(f"budget {text!r} is no time; write hours, minutes, seconds as in 1h30m")
    parts = re.findall(r"(\d+(?:\.\d+)?)([hms])", text)
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


class CostModel:
    """Predicts seconds from the rows so far.

    Args:
        rows: Rows with ``training_s`` and ``details["test_s"]``.
        machine: This machine, see :func:`visbench.benchmark.machine.machine`; rows that begin
            with it are this machine's.
    """

    def __init__(self, rows: Iterable[Row], machine: str) -> None:
        self._rows = list(rows)
        self._machine = machine

    def add(self, row: Row) -> None:
        """Learn from a new row."""
        self._rows.append(row)

    def training(self, run: Run) -> float:
        """Return predicted seconds of a run's training."""
        return self._predict(run, lambda row: row.training_s, "training")

    def test(self, run: Run) -> float:
        """Return predicted seconds of a run's test."""
        return self._predict(run, lambda row: row.details.get("test_s"), "test")

    def unit(self, unit: Unit, trained: bool) -> float:
        """Return predicted seconds of a unit.

        Args:
            unit: The unit.
            trained: Whether its training is done.
        """
        training = 0.0 if trained else self.training(unit.runs[0])
        return training + sum(self.test(run) for run in unit.runs)

    def _predict(self, run: Run, seconds: Callable[[Row], float | None], what: str) -> float:
        known = [(row, value) for row in self._rows if (value := seconds(row)) is not None]
        name = Path(run.config).stem
        own = [pair for pair in known if Path(pair[0].config).stem == name]
        here = [pair for pair in known if pair[0].machine.startswith(self._machine)]
        both = [pair for pair in own if pair in here]
        for group in (both, here, own, known):
            if group:
                return statistics.median(value for _, value in group)
        return DEFAULT_COST[what]


@dataclass(frozen=True)
class Candidate:
    """A pair that could be run next.

    Args:
        claim: Its claim.
        seed: Its seed.
        units: What is still to be run for it; empty if all is planned already.
        costs: Predicted seconds of each unit.
    """

    claim: Claim
    seed: int
    units: tuple[Unit, ...]
    costs: tuple[float, ...]

    def seconds(self, free: int) -> float:
        """Return predicted seconds until the pair is complete, with so many free slots."""
        return max(self.costs) if free >= len(self.costs) else sum(self.costs)


class Schedule:
    """Chooses pairs; remembers what is planned.

    Args:
        runs: By claim and seed, the runs of its two configs.
        costs: Predicts seconds.
        trained: Whether a run's training is done.
    """

    def __init__(
        self,
        runs: Mapping[tuple[str, int], tuple[Run, Run]],
        costs: CostModel,
        trained: Callable[[Run], bool],
    ) -> None:
        self._runs = runs
        self._costs = costs
        self._trained = trained
        self._planned: set[str] = set()
        self._trainings: set[str] = set()
        self._over: set[str] = set()

    def candidates(self, verdicts: Sequence[Verdict], done: set[str]) -> list[Candidate]:
        """Return the next pair of every claim that wants one, the most undecided first.

        Args:
            verdicts: Verdicts as of now, in the order of the claims.
            done: Names of the runs that have rows.
        """
        found = []
        for index, verdict in enumerate(verdicts):
            candidate = self._next(verdict, done)
            if candidate is not None:
                pairs = verdict.n + self._on_the_way(verdict, done)
                tier = 0 if pairs == 0 else 1 if verdict.outcome in (UNDECIDED, NOT_RUN) else 2
                found.append(((tier, pairs, sum(candidate.costs), index), candidate))
        return [candidate for _, candidate in sorted(found, key=lambda entry: entry[0])]

    def plan(self, candidate: Candidate) -> None:
        """Note that a candidate's units are going to be run."""
        for unit in candidate.units:
            self._planned |= {run.name for run in unit.runs}
            self._trainings.add(unit.training_name)

    def ended(self, unit: Unit) -> None:
        """Note that a unit has ended; runs of it without a row are not tried again."""
        self._over |= {run.name for run in unit.runs}

    def _next(self, verdict: Verdict, done: set[str]) -> Candidate | None:
        paired = {pair.seed for pair in verdict.pairs}
        for (claim, seed), runs in self._runs.items():
            if claim != verdict.claim.id or seed in paired:
                continue
            missing = [run for run in dict.fromkeys(runs) if run.name not in done]
            if any(run.name in self._over for run in missing):
                continue
            missing = [run for run in missing if run.name not in self._planned]
            if missing:
                units = _units(missing)
                costs = [self._costs.unit(unit, self._has_training(unit)) for unit in units]
                return Candidate(verdict.claim, seed, tuple(units), tuple(costs))
        return None

    def _on_the_way(self, verdict: Verdict, done: set[str]) -> int:
        paired = {pair.seed for pair in verdict.pairs}
        complete = done | (self._planned - self._over)
        return sum(
            1
            for (claim, seed), runs in self._runs.items()
            if claim == verdict.claim.id
            and seed not in paired
            and all(run.name in complete for run in runs)
        )

    def _has_training(self, unit: Unit) -> bool:
        return unit.training_name in self._trainings or self._trained(unit.runs[0])


def _units(runs: Sequence[Run]) -> list[Unit]:
    by_training: dict[str, list[Run]] = {}
    for run in runs:
        by_training.setdefault(run.training_name, []).append(run)
    return [Unit(tuple(group)) for group in by_training.values()]
