# SPDX-License-Identifier: Apache-2.0
"""Measures what the rows lack, each in a process of its own, and writes the tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from rich.console import Console

from visbench.benchmark.compare import make_console, only_one, prepare_report, write_files
from visbench.benchmark.live import LiveProgress
from visbench.benchmark.processes import Event, run_worker
from visbench.benchmark.rows import FAILED, Row
from visbench.benchmark.speed.plan import Measurement, SpeedRows
from visbench.benchmark.speed.tables import csv_text, markdown, notes, terminal_table
from visbench.benchmark.tables import failures

WORKER = "visbench.benchmark.speed.worker"


def speed(
    measurements: Sequence[Measurement],
    work_dir: str | Path,
    report: str | Path | None = None,
    again: bool = False,
    console: Console | None = None,
    worker: str = WORKER,
) -> int:
    """Measure, and write one table.

    Finished rows of the same machine and code are taken over; one that fails gets a row with the
    reason, the others go on. Callers hold the work folder, see :func:`holding`.

    Args:
        measurements: What to measure, see :func:`~visbench.benchmark.speed.plan.plan`.
        work_dir: Folder of rows, logs and, by default, tables.
        report: Path of the tables without ending; ``<work_dir>/speed`` by default.
        again: Whether to measure anew what has a row; the new row gets the next number.
        console: Where progress and table are shown; standard output by default.
        worker: Python module that measures.

    Returns:
        The exit status: 0, or 1 if a measurement failed.
    """
    console = console or make_console()
    work_dir = Path(work_dir)
    store = SpeedRows(work_dir / "rows")
    target = Path(report) if report is not None else work_dir / "speed"
    prepare_report(target)
    rows: list[Row] = []
    for measurement in measurements:
        known = store.of(measurement)
        if again or not known:
            row = store.numbered(_measure(measurement, work_dir / "logs", console, worker))
            store.add(row)
            known = [*known, row]
        rows += known
        write_files(target, {".md": markdown(rows), ".csv": csv_text(rows)})
    console.print(terminal_table(rows, console.width))
    for note in notes(rows):
        console.print(note, style="dim", markup=False, highlight=False, soft_wrap=True)
    for line in failures(rows):
        console.print(line, style="red", markup=False, soft_wrap=True)
    console.print(f"report: {target}.md and {target}.csv", soft_wrap=True)
    return 1 if any(row.status == FAILED for row in rows) else 0


holding = only_one
"""Refuses a second command in the same work folder; measurements would disturb each other."""


def _measure(measurement: Measurement, logs: Path, console: Console, worker: str) -> Row:
    """Return the row of a measurement, finished or failed."""
    fields: dict[str, Any] = {}
    with LiveProgress(console) as live:
        live.start(measurement.title)

        def listen(event: Event) -> None:
            if "result" in event:
                fields.update(event["result"])
            elif "method" in event:
                fields.update(event)
            else:
                live.update(event)

        arguments = [json.dumps(measurement.to_dict())]
        threads = dict.fromkeys(
            ("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(measurement.place.threads)
        )
        outcome = run_worker(
            arguments, logs / f"{measurement.key}.log", listen, worker, environment=threads
        )
    date = datetime.now(timezone.utc).isoformat(timespec="seconds")
    error = outcome.error or ("" if "details" in fields else "the process reported no result")
    if error:
        fields = {name: fields[name] for name in ("method",) if name in fields}
        fields |= {"status": FAILED, "reason": error}
    return measurement.row(**fields, log=str(outcome.log), date=date)
