# SPDX-License-Identifier: Apache-2.0
"""Trains, tests and compares methods; what is done stays done."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from visbench.benchmark.comparison import Comparison, Run
from visbench.benchmark.csv_files import csv_text, summary_csv
from visbench.benchmark.data_choice import OWN, DataChoice
from visbench.benchmark.foreign import ForeignResults
from visbench.benchmark.identity import config_hash
from visbench.benchmark.machine import check_device
from visbench.benchmark.rows import FAILED, Row
from visbench.benchmark.tables import (
    failures,
    markdown,
    ordered,
    table_notes,
    terminal_tables,
)
from visbench.engine.config_files import find_config
from visbench.engine.errors import UserError
from visbench.engine.outputs import prepare_output_folder
from visbench.files import write_file

__all__ = ["WORKER", "Run", "check_device", "compare", "plan", "write_report"]

WORKER = "visbench.benchmark.worker"
_LOG_WIDTH = 220


def compare(
    configs: Sequence[str | Path],
    work_dir: str | Path,
    report: str | Path | None = None,
    device: str | None = None,
    seeds: Sequence[int] = (0,),
    console: Console | None = None,
    worker: str = WORKER,
    datasets: Sequence[str] = (),
    foreign: ForeignResults | None = None,
) -> int:
    """Compare methods under one data path, one runner and one evaluator.

    Every config is trained once per seed and tested on every data set; a test is one row.
    Finished rows are taken over; interrupted runs go on from their newest checkpoint and their
    last finished video. A run that fails gets a row with the reason, the others go on.

    Args:
        configs: Config files, or names of configs of visbench or a plugin.
        work_dir: Folder of rows, runs and, by default, reports.
        report: Path of the report without ending; ``<work_dir>/report`` by default. ``.md``,
            ``.csv`` (one line per run) and ``-summary.csv`` (mean and spread over seeds) are
            written.
        device: ``cpu``, ``cuda``, ``cuda:N`` or ``mps``; the best one there is by default.
        seeds: Seeds; every config is run with each.
        console: Where progress and table are shown; standard output by default.
        worker: Python module that runs one phase.
        datasets: Data to test on, see :meth:`DataChoice.parse
            <visbench.benchmark.data_choice.DataChoice.parse>`; the validation data of each config
            by default.
        foreign: Results of other programs, which become rows too.

    Returns:
        The exit status: 0, or 1 if a run failed.

    Raises:
        UserError: If a config is missing or no Python, two configs share a name, a data set or
            foreign results cannot be used, a name of data stands for other data, or the device is
            not there; nothing has been trained then.
    """
    console = console or make_console()
    runs = plan(configs, seeds, datasets)
    comparison = Comparison(Path(work_dir), device, console, worker)
    comparison.check_names(list({run.choice.text: run.choice for run in runs}.values()))
    pending = [run for run in runs if comparison.finished(run) is None]
    if pending:
        check_device(device)
    if foreign is not None:
        foreign.check()
    report_path = Path(report) if report is not None else Path(work_dir) / "report"
    if report is not None:
        prepare_report(report)
    with only_one(Path(work_dir)):
        if foreign is not None:
            foreign.score(comparison.store, console)
        if pending:
            comparison.make_data(pending)
        rows = _all_rows(comparison, runs, foreign, report_path)
    _show(rows, report_path, console)
    return 1 if any(row.status == FAILED for row in rows) else 0


def _all_rows(
    comparison: Comparison, runs: Sequence[Run], foreign: ForeignResults | None, report: Path
) -> list[Row]:
    """Return the rows of runs, foreign results and controls; the report grows with every run."""
    rows: list[Row] = []
    try:
        for run in runs:
            rows.append(comparison.row(run))
            write_report(_unique(rows), report)
    finally:
        # Scored before the runs; an interruption loses none of it.
        if foreign is not None:
            foreign.keep(comparison.store, rows)
    controls = comparison.controls(rows, runs)
    others = foreign.rows(comparison.store, rows) if foreign is not None else []
    rows = _unique([*rows, *others, *controls])
    write_report(rows, report)
    return rows


def plan(
    configs: Sequence[str | Path], seeds: Sequence[int], datasets: Sequence[str] = ()
) -> list[Run]:
    """Return the runs of a comparison; the tests of a training follow one another.

    Args:
        configs: Config files.
        seeds: Seeds of each.
        datasets: Data to test on; the config's own if there are none.

    Raises:
        UserError: If a config is missing or no Python, two configs share a file name, or a data
            set is not written as it must be.
    """
    choices = list(dict.fromkeys(datasets))
    chosen = [DataChoice.parse(text) for text in choices] or [OWN]
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
        Run(path, seed, digest, choice)
        for path, digest in zip(paths, digests, strict=True)
        for seed in dict.fromkeys(seeds)
        for choice in chosen
    ]


def _unique(rows: Sequence[Row]) -> list[Row]:
    """Leave out rows that two choices of data share; a failure has no row to share."""
    found: dict[object, Row] = {}
    for position, row in enumerate(rows):
        found.setdefault(row.file_name if row.status != FAILED else position, row)
    return list(found.values())


def write_report(rows: Sequence[Row], path: Path) -> None:
    """Write the report.

    Args:
        rows: The rows.
        path: Path without ending: ``.md``, ``.csv`` and ``-summary.csv`` are added.
    """
    texts = {".md": markdown, ".csv": csv_text, "-summary.csv": summary_csv}
    write_files(path, {ending: text(rows) for ending, text in texts.items()})


def prepare_report(path: str | Path) -> None:
    """Make sure that a report of several files can be written, before the work on it begins.

    Args:
        path: Path without ending, as of :func:`write_files`.

    Raises:
        ConfigError: If it cannot.
    """
    prepare_output_folder(Path(path).parent, "--out")


def write_files(path: Path, texts: Mapping[str, str]) -> None:
    """Write ``<path><ending>`` for each ending; each appears only when it is complete."""
    for ending, text in texts.items():
        write_file(path.with_name(path.name + ending), text)


@contextmanager
def only_one(work_dir: Path) -> Iterator[None]:
    """Refuse a second command in the same work folder while one is running."""
    prepare_output_folder(work_dir, "--work-dir")
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


def make_console() -> Console:
    """Return the console of standard output; wide where that is a file."""
    console = Console()
    # A log file has no width: no column is left out there.
    return console if console.is_terminal else Console(width=_LOG_WIDTH)


def _show(rows: Sequence[Row], report: Path, console: Console) -> None:
    console.print()
    for table in terminal_tables(rows, console.width):
        console.print(table)
    for note in table_notes(rows):
        console.print(note, markup=False, highlight=False)
    for line in failures(ordered(rows)):
        console.print(line, style="red", markup=False, soft_wrap=True)
    for row in rows:
        if row.overlay:
            overlay = f"overlay of {row.method}: {row.overlay}"
            console.print(overlay, soft_wrap=True, markup=False)
    files = f"report: {report}.md, {report}.csv and {report}-summary.csv"
    console.print(files, soft_wrap=True, markup=False)
