# SPDX-License-Identifier: Apache-2.0
"""Trains, tests and compares methods; what is done stays done."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from rich.console import Console

from visbench.benchmark.controls import CONTROLS, CONTROLS_VERSION, has_controls
from visbench.benchmark.identity import config_hash
from visbench.benchmark.live import LiveProgress
from visbench.benchmark.processes import Outcome, run_worker
from visbench.benchmark.rows import FAILED, Row, RowStore
from visbench.benchmark.tables import csv_text, failures, markdown, terminal_table
from visbench.engine.config_files import find_config
from visbench.engine.errors import UserError

WORKER = "visbench.benchmark.worker"
_LOG_WIDTH = 220


@dataclass(frozen=True)
class Run:
    """One training and test: config, seed and the hash that tells changed configs apart."""

    config: Path
    seed: int
    digest: str

    @property
    def name(self) -> str:
        """Name of the run's folder."""
        return f"{self.config.stem}__seed{self.seed}__{self.digest}"


def compare(
    configs: Sequence[str | Path],
    work_dir: str | Path,
    report: str | Path | None = None,
    device: str | None = None,
    seeds: Sequence[int] = (0,),
    console: Console | None = None,
    worker: str = WORKER,
) -> int:
    """Compare methods under one data path, one runner and one evaluator.

    Every run is trained, tested on the validation data of its config and written as one row.
    Finished rows are taken over; interrupted runs go on from their newest checkpoint and their
    last finished video. A run that fails gets a row with the reason, the others go on.

    Args:
        configs: Config files, or names of configs of visbench or a plugin.
        work_dir: Folder of rows, runs and, by default, reports.
        report: Path of the report without ending; ``<work_dir>/report`` by default. ``.md`` and
            ``.csv`` are written.
        device: ``cpu``, ``cuda``, ``cuda:N`` or ``mps``; the best one there is by default.
        seeds: Seeds; every config is run with each.
        console: Where progress and table are shown; standard output by default.
        worker: Python module that runs one phase.

    Returns:
        The exit status: 0, or 1 if a run failed.

    Raises:
        UserError: If a config is missing or no Python, two configs share a name, or the device is
            not there; nothing has been run then.
    """
    console = console or _console()
    runs = plan(configs, seeds)
    comparison = _Comparison(Path(work_dir), device, console, worker)
    pending = [run for run in runs if comparison.finished(run) is None]
    if pending:
        _check_device(device)
    report_path = Path(report) if report is not None else Path(work_dir) / "report"
    with _only_one(Path(work_dir)):
        if pending:
            comparison.make_data(pending)
        rows: list[Row] = []
        for run in runs:
            rows.append(comparison.row(run))
            write_report(rows, report_path)
        rows += comparison.controls(rows, runs)
        write_report(rows, report_path)
    _show(rows, report_path, console)
    return 1 if any(row.status == FAILED for row in rows) else 0


def plan(configs: Sequence[str | Path], seeds: Sequence[int]) -> list[Run]:
    """Return the runs of a comparison.

    Raises:
        UserError: If a config is missing or no Python, or two configs share a file name.
    """
    paths = [find_config(config) for config in configs]
    stems = [path.stem for path in paths]
    for position, stem in enumerate(stems):
        if stem in stems[:position]:
            raise UserError(
                f"two configs are named {stem}: {paths[stems.index(stem)]} and {paths[position]}; "
                "rows are kept by name, so rename one or leave it out"
            )
    digests = [config_hash(path) for path in paths]
    return [
        Run(path, seed, digest)
        for path, digest in zip(paths, digests, strict=True)
        for seed in dict.fromkeys(seeds)
    ]


def write_report(rows: Sequence[Row], path: Path) -> None:
    """Write ``<path>.md`` and ``<path>.csv``; each appears only when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for ending, text in ((".md", markdown(rows)), (".csv", csv_text(rows))):
        target = path.with_name(path.name + ending)
        partial = target.with_name(f".{target.name}.partial")
        partial.write_text(text, encoding="utf-8")
        partial.replace(target)


class _Comparison:
    """The work folder of a comparison: ``rows/``, ``runs/`` and ``overlays/``."""

    def __init__(self, work_dir: Path, device: str | None, console: Console, worker: str) -> None:
        self.work_dir = work_dir
        self.device = device
        self.console = console
        self.worker = worker
        self.store = RowStore(work_dir / "rows")

    def finished(self, run: Run) -> Row | None:
        return self.store.finished(run.config, run.seed, run.digest)

    def make_data(self, runs: Sequence[Run]) -> None:
        """Write procedural data first, with its own progress bar; errors show up in the runs."""
        configs = list(dict.fromkeys(str(run.config) for run in runs))
        self.console.print(f"{len(runs)} runs to do; preparing the data")
        log = self.work_dir / "data.log"
        run_worker(["data", *configs], log, lambda event: None, self.worker, own_stderr=True)

    def row(self, run: Run) -> Row:
        """Return the row of a run: taken over, or trained and tested now."""
        row = self.finished(run)
        if row is not None:
            self.console.print(f"{run.config.stem} seed {run.seed}: finished before", style="dim")
            return row
        folder = self.work_dir / "runs" / run.name
        facts: dict[str, Any] = {"method": run.config.stem, "dataset": ""}
        for phase, result in (("train", "train.json"), ("test", "test.json")):
            if (folder / result).is_file():
                continue
            outcome = self._phase(phase, run, folder, facts)
            if outcome.error:
                return self._failed(run, facts, phase, outcome)
        return self._add(run, folder)

    def _phase(self, phase: str, run: Run, folder: Path, facts: dict[str, Any]) -> Outcome:
        words = [str(run.config), "--run-dir", str(folder), "--seed", str(run.seed)]
        if self.device is not None:
            words += ["--device", self.device]
        with LiveProgress(self.console) as live:
            title = f"{run.config.stem} seed {run.seed}: {phase}"
            return self._work(phase, words, folder / f"{phase}.log", live, title, facts)

    def _work(
        self,
        phase: str,
        words: Sequence[str],
        log: Path,
        live: LiveProgress,
        title: str,
        facts: dict[str, Any] | None = None,
    ) -> Outcome:
        live.start(title)

        def on_event(event: dict[str, Any]) -> None:
            if "stage" in event:
                live.update(event)
            elif facts is not None:
                facts.update(event)

        return run_worker([phase, *words], log, on_event, self.worker)

    def _failed(self, run: Run, facts: dict[str, Any], phase: str, outcome: Outcome) -> Row:
        row = Row(
            method=facts["method"],
            config=str(run.config),
            dataset=facts["dataset"],
            seed=run.seed,
            status=FAILED,
            reason=f"{phase}: {outcome.error}",
            log=str(outcome.log),
            config_hash=run.digest,
            device=self.device or "",
            date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        )
        self.store.add(row)
        self.console.print(failures([row])[0], style="red", markup=False, soft_wrap=True)
        return row

    def _add(self, run: Run, folder: Path) -> Row:
        facts = json.loads((folder / "test.json").read_text(encoding="utf-8"))
        row = Row.from_dict(
            {
                **facts,
                "config": str(run.config),
                "seed": run.seed,
                "config_hash": run.digest,
                "log": str(folder / "test.log"),
            }
        )
        if row.overlay:
            name = f"{run.config.stem}__seed{run.seed}__{run.digest}.mp4"
            target = self.work_dir / "overlays" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(row.overlay, target)
            row = replace(row, overlay=str(target))
        self.store.add(row)
        return row

    def controls(self, rows: Sequence[Row], runs: Sequence[Run]) -> list[Row]:
        """Return the floors and the control of every data set of the rows that has them."""
        datasets: dict[str, Run] = {}
        for row, run in zip(rows, runs, strict=True):
            if has_controls(row.dataset):
                datasets.setdefault(row.dataset, run)
        found: list[Row] = []
        for dataset, run in datasets.items():
            missing = [name for name in CONTROLS if self._control(name, dataset) is None]
            outcome = self._make_controls(dataset, run) if missing else None
            for name in CONTROLS:
                control = self._control(name, dataset)
                found.append(control or _failed_control(name, dataset, outcome))
        return found

    def _control(self, name: str, dataset: str) -> Row | None:
        return self.store.control(name, dataset, CONTROLS_VERSION)

    def _make_controls(self, dataset: str, run: Run) -> Outcome:
        log = self.work_dir / "runs" / f"controls__{dataset}.log"
        words = [str(run.config), "--rows", str(self.store.folder)]
        with LiveProgress(self.console) as live:
            return self._work("controls", words, log, live, f"controls of {dataset}")


def _failed_control(name: str, dataset: str, outcome: Outcome | None) -> Row:
    return Row(
        name,
        "",
        dataset,
        0,
        kind="control",
        status=FAILED,
        reason=outcome.error if outcome else "no result",
        log=str(outcome.log) if outcome else "",
        config_hash=CONTROLS_VERSION,
    )


def _check_device(device: str | None) -> None:
    # Importing torch takes seconds; without a wish there is nothing to check.
    if device not in (None, "cpu"):
        from visbench.engine.device import select_device

        select_device(device)


@contextmanager
def _only_one(work_dir: Path) -> Iterator[None]:
    """Refuse a second comparison in the same work folder while one is running."""
    work_dir.mkdir(parents=True, exist_ok=True)
    if sys.platform == "win32":
        yield
        return
    import fcntl

    with (work_dir / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(
                f"another comparison is running in {work_dir}; wait for it or use another "
                "--work-dir"
            ) from error
        yield


def _console() -> Console:
    console = Console()
    # A log file has no width: no column is left out there.
    return console if console.is_terminal else Console(width=_LOG_WIDTH)


def _show(rows: Sequence[Row], report: Path, console: Console) -> None:
    console.print()
    console.print(terminal_table(rows, console.width))
    for line in failures(rows):
        console.print(line, style="red", markup=False, soft_wrap=True)
    for row in rows:
        if row.overlay:
            console.print(f"overlay of {row.method}: {row.overlay}", soft_wrap=True)
    console.print(f"report: {report}.md and {report}.csv", soft_wrap=True)
