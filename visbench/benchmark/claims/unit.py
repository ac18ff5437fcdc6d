# SPDX-License-Identifier: Apache-2.0
"""One unit of work: a training and the tests that need it. Runs here or in a cluster's job."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from visbench.benchmark.claims.rows import ClaimRows, without_places
from visbench.benchmark.identity import code_version
from visbench.benchmark.processes import Event, Outcome, run_worker
from visbench.benchmark.rows import FAILED, Row, RowExistsError, RowStore, row_name
from visbench.engine.errors import UserError

WORKER = "visbench.benchmark.worker"
LAUNCHER = "torch.distributed.run"
Listener = Callable[[str, Event], None]


@dataclass(frozen=True)
class Run:
    """A config with a seed, on the data of a claim.

    Args:
        config: The config that the row names.
        file: The config file to run: the same with the data's fields, for this many devices.
        test_file: As ``file``, for one device.
        seed: The seed.
        dataset: Name of the validation data.
        digest: See :func:`~visbench.benchmark.claims.rows.run_digest`.
        training: Key of its training, see :mod:`visbench.benchmark.claims.training`.
    """

    config: str
    file: str
    test_file: str
    seed: int
    dataset: str
    digest: str
    training: str

    @property
    def name(self) -> str:
        """Return the name of the run's folder."""
        return row_name(Path(self.config).stem, self.dataset, self.seed, self.digest)

    @property
    def training_name(self) -> str:
        """Return the name of the folder of its training, which other runs may share."""
        return f"{self.training}__seed{self.seed}__{code_version()}"


@dataclass(frozen=True)
class Unit:
    """Runs that share one training.

    Args:
        runs: The runs, at least one; the first one's config is trained.
    """

    runs: tuple[Run, ...]

    @property
    def training_name(self) -> str:
        """Return the name of the folder of the training."""
        return self.runs[0].training_name

    @property
    def title(self) -> str:
        """Return what to call it in a line."""
        names = ", ".join(Path(run.config).stem for run in self.runs)
        return f"{names} seed {self.runs[0].seed}"


@dataclass(frozen=True)
class Terms:
    """How units are run.

    Args:
        work_dir: Folder of trainings, runs and logs.
        rows: Folder of rows.
        device: ``cpu``, ``cuda``, ``cuda:N``, ``mps``; the best one by default.
        devices_per_run: Processes of a training, started by torchrun if there are several.
        environment: Variables of the worker processes.
        worker: Python module that runs one phase.
    """

    work_dir: Path
    rows: Path
    device: str | None = None
    devices_per_run: int = 1
    environment: Mapping[str, str] | None = None
    worker: str = WORKER

    def training_folder(self, run: Run) -> Path:
        """Return the folder of a run's training."""
        return self.work_dir / "trainings" / run.training_name

    def trained(self, run: Run) -> bool:
        """Return whether a run's training is finished."""
        return (self.training_folder(run) / "train.json").is_file()


def run_unit(unit: Unit, terms: Terms, listen: Listener | None = None) -> list[Row]:
    """Train, unless that is done, and test; every row is written as soon as it is there.

    Args:
        unit: What to run.
        terms: How.
        listen: Called with phase and event while a worker is running.

    Returns:
        A row for each run. Failed ones are kept in the work folder, not among the others.
    """
    listen = listen or (lambda phase, event: None)
    first = unit.runs[0]
    if not terms.trained(first):
        outcome = _train(first, terms, listen)
        if outcome.error:
            return [_failed(run, terms, "train", outcome) for run in unit.runs]
    return [_test(run, terms, listen) for run in unit.runs]


def failed_row(run: Run, terms: Terms, reason: str, log: str = "") -> Row:
    """Write and return the row of a run that failed."""
    row = Row(
        method=Path(run.config).stem,
        config=run.config,
        dataset=run.dataset,
        seed=run.seed,
        status=FAILED,
        reason=reason,
        log=log,
        config_hash=run.digest,
        device=terms.device or "",
        versions={"visbench": code_version()},
        date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )
    RowStore(terms.work_dir / "rows").add(row)
    return row


def _train(run: Run, terms: Terms, listen: Listener) -> Outcome:
    folder = terms.training_folder(run)
    words = ["train", run.file, "--run-dir", str(folder), "--seed", str(run.seed)]
    if terms.devices_per_run == 1:
        return _work(words, folder / "train.log", terms, lambda event: listen("train", event))
    launcher = ["--standalone", "--nproc_per_node", str(terms.devices_per_run), "-m", terms.worker]
    words = [*launcher, *words, "--launcher", "pytorch"]
    several = replace(terms, worker=LAUNCHER)
    return _work(words, folder / "train.log", several, lambda event: listen("train", event))


def _test(run: Run, terms: Terms, listen: Listener) -> Row:
    folder = terms.work_dir / "runs" / f"{run.name}__{code_version()}"
    folder.mkdir(parents=True, exist_ok=True)
    trained = (terms.training_folder(run) / "train.json").read_text(encoding="utf-8")
    (folder / "train.json").write_text(trained, encoding="utf-8")
    begun = any((folder / name).exists() for name in ("test", "test.json"))
    begin = time.monotonic()
    if not (folder / "test.json").is_file():
        words = ["test", run.test_file, "--run-dir", str(folder), "--seed", str(run.seed)]
        log = folder / "test.log"
        outcome = _work(words, log, terms, lambda event: listen("test", event))
        if outcome.error:
            return _failed(run, terms, "test", outcome)
    facts = json.loads((folder / "test.json").read_text(encoding="utf-8"))
    # Of a test that went on from an interrupted one only a part of the time is known.
    return _row(run, facts, terms, None if begun else time.monotonic() - begin)


def _work(words: list[str], log: Path, terms: Terms, on_event: Callable[[Event], None]) -> Outcome:
    if terms.device is not None:
        words = [*words, "--device", terms.device]
    return run_worker(words, log, on_event, terms.worker, environment=terms.environment)


def _row(run: Run, facts: dict[str, Any], terms: Terms, test_s: float | None) -> Row:
    details = {
        **facts.get("details", {}),
        "training": run.training,
        "test_s": test_s,
        "devices": terms.devices_per_run,
    }
    fields = {"config": run.config, "seed": run.seed, "config_hash": run.digest}
    row = without_places(Row.from_dict({**facts, **fields, "details": details}))
    if row.dataset != run.dataset:
        raise UserError(
            f"{run.file} was tested on {row.dataset}, the claims say {run.dataset}; mend 'dataset' "
            "or 'options' of the data in the file of claims"
        )
    # Another process may have been faster; its row is as good.
    with suppress(RowExistsError):
        ClaimRows(terms.rows).add(row)
    return row


def _failed(run: Run, terms: Terms, phase: str, outcome: Outcome) -> Row:
    return failed_row(run, terms, f"{phase}: {outcome.error}", os.fspath(outcome.log))
