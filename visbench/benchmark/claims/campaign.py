# SPDX-License-Identifier: Apache-2.0
"""Runs what claims lack, as long as the budget allows, and judges them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from visbench.benchmark.claims.data import Claim, ClaimBook
from visbench.benchmark.claims.executors import Executor
from visbench.benchmark.claims.rows import ClaimRows, code_version, run_digest
from visbench.benchmark.claims.schedule import Candidate, CostModel, Schedule
from visbench.benchmark.claims.training import key_of, write_derived
from visbench.benchmark.claims.unit import Run, Terms, Unit
from visbench.benchmark.claims.verdict import Verdict, verdict
from visbench.benchmark.identity import code_version as current_version
from visbench.benchmark.machine import machine
from visbench.benchmark.processes import run_worker
from visbench.benchmark.rows import FAILED, Row


@dataclass(frozen=True)
class Judge:
    """Which rows count, see :func:`~visbench.benchmark.claims.verdict.verdict`.

    Args:
        include_unversioned: Whether rows of unknown config or code count.
        only_current: Whether rows of this version of the code count alone.
    """

    include_unversioned: bool = False
    only_current: bool = False

    def verdicts(self, claims: Sequence[Claim], rows: Sequence[Row]) -> list[Verdict]:
        """Return the verdicts of claims."""
        version = current_version() if self.only_current else None
        return [verdict(claim, rows, self.include_unversioned, version) for claim in claims]


def plan_runs(
    claims: Sequence[Claim], seeds: Sequence[int], book: ClaimBook, terms: Terms
) -> dict[tuple[str, int], tuple[Run, Run]]:
    """Return the two runs of every claim and seed; derived configs are written.

    Raises:
        UserError: If a config is broken, or its batch cannot be shared by the devices.
    """
    keys: dict[tuple[Path, str], str] = {}
    folder = (terms.work_dir / "configs").resolve()
    runs: dict[tuple[str, int], tuple[Run, Run]] = {}

    def run(config: Path, claim: Claim, seed: int) -> Run:
        data = claim.data
        if (config, data.name) not in keys:
            keys[config, data.name] = key_of(config, data, book)
        digest = run_digest(config, data)

        def file(devices: int) -> str:
            path = folder / f"{digest}-{devices}" / config.name
            return str(write_derived(path, config, data.options, devices))

        return Run(
            config=str(config),
            file=file(terms.devices_per_run),
            test_file=file(1),
            seed=seed,
            dataset=data.dataset,
            digest=digest,
            training=keys[config, data.name],
        )

    for seed in dict.fromkeys(seeds):
        for claim in claims:
            runs[claim.id, seed] = (run(claim.a, claim, seed), run(claim.b, claim, seed))
    return runs


class Campaign:
    """Starts pairs of runs, the most undecided claims first.

    Args:
        claims: The claims.
        runs: See :func:`plan_runs`.
        terms: How units are run.
        judge: Which rows count.
        executor: Where units run.
        console: Where lines are shown.
        budget_s: Seconds; no pair is started that is predicted to end later. None: no limit.
        clock: Returns seconds.
    """

    def __init__(
        self,
        claims: Sequence[Claim],
        runs: dict[tuple[str, int], tuple[Run, Run]],
        terms: Terms,
        judge: Judge,
        executor: Executor,
        console: Console,
        budget_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._claims = claims
        self._judge = judge
        self._executor = executor
        self._console = console
        self._budget_s = budget_s
        self._clock = clock
        self._rows = ClaimRows(terms.rows).all()
        self._costs = CostModel(self._rows, machine())
        self._schedule = Schedule(runs, self._costs, terms.trained)
        self._queue: list[Unit] = []
        self._running: list[Unit] = []
        self._begin = clock()
        self.failed: list[Row] = []

    def run(self) -> None:
        """Run until nothing is left or nothing fits the budget.

        Raises:
            KeyboardInterrupt: After running units have been ended.
        """
        try:
            self._fill()
            while self._running:
                for unit, rows in self._executor.finished():
                    self._end(unit, rows)
                self._fill()
        except BaseException:
            self._executor.cancel()
            raise
        finally:
            self._executor.close()

    @property
    def _elapsed(self) -> float:
        return self._clock() - self._begin

    def _fill(self) -> None:
        while len(self._running) < self._executor.slots:
            unit = next((unit for unit in self._queue if self._startable(unit)), None)
            if unit is None:
                candidate = self._choose()
                if candidate is None:
                    return
                self._schedule.plan(candidate)
                self._queue += candidate.units
                continue
            self._queue.remove(unit)
            self._running.append(unit)
            self._executor.submit(unit)

    def _startable(self, unit: Unit) -> bool:
        """Return whether no other unit is at the unit's training."""
        return all(unit.training_name != other.training_name for other in self._running)

    def _choose(self) -> Candidate | None:
        done = {row.file_name for row in self._rows if code_version(row) == current_version()}
        verdicts = self._judge.verdicts(self._claims, self._rows)
        free = self._executor.slots - len(self._running)
        too_long: Candidate | None = None
        for candidate in self._schedule.candidates(verdicts, done):
            if not any(self._startable(unit) for unit in candidate.units):
                continue
            if self._fits(candidate.seconds(free)):
                return candidate
            too_long = too_long or candidate
        if too_long is not None and not self._running:
            self._console.print(
                f"stopped: {too_long.claim.id} with seed {too_long.seed} would take "
                f"{too_long.seconds(free) / 60:.1f} minutes; "
                f"{max(0.0, (self._budget_s or 0) - self._elapsed) / 60:.1f} of the budget are left"
            )
        return None

    def _fits(self, seconds: float) -> bool:
        return self._budget_s is None or self._elapsed + seconds <= self._budget_s

    def _end(self, unit: Unit, rows: Sequence[Row]) -> None:
        self._running.remove(unit)
        self._schedule.ended(unit)
        for row in rows:
            if row.status == FAILED:
                self.failed.append(row)
                text, style = f"failed: {row.reason}; log: {row.log or '-'}", "red"
            else:
                self._rows.append(row)
                self._costs.add(row)
                text, style = f"AP {'-' if row.AP is None else f'{row.AP:.1f}'}", "green"
            name = f"{Path(row.config).stem} seed {row.seed}"
            self._console.print(f"{name}: {text}", style=style, markup=False, soft_wrap=True)


def make_data(runs: Sequence[Run], terms: Terms, console: Console) -> None:
    """Write procedural data before several runs ask for it at once."""
    files = list(dict.fromkeys(run.test_file for run in runs))
    console.print(f"{len(set(runs))} runs in question; preparing the data")
    log = terms.work_dir / "data.log"
    run_worker(["data", *files], log, lambda event: None, terms.worker, own_stderr=True)
