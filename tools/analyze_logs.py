#!/usr/bin/env python
# SPDX-License-Identifier: Apache-2.0
"""Draw and tabulate losses and metrics of several trainings."""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from dataclasses import astuple, fields
from pathlib import Path

from rich.console import Console
from rich.table import Table

from visbench.benchmark.training_logs import (
    DEFAULT_NAMES,
    CurveSummary,
    plot_curves,
    read_log,
    summarise,
)
from visbench.engine.commands import run_command
from visbench.engine.errors import UserError
from visbench.engine.outputs import prepare_output_file

_EPILOG = """\
A run is a work folder; its sessions (a training that was resumed has several) make one curve. Best
is the largest value of a metric and the smallest of anything else.

examples:
  # table of loss and AP
  python tools/analyze_logs.py work_dirs/idol_demo_movingshapes work_dirs/iai_demo_movingshapes
  # and curves; every loss, smoothed over five logged values
  python tools/analyze_logs.py work_dirs/a work_dirs/b --curves 'loss*' '*/AP*' --smooth 5 \\
      --out curves.png
  # names for the legend, numbers for a spreadsheet
  python tools/analyze_logs.py a=work_dirs/run_1 b=work_dirs/run_2 --csv curves.csv

exit status: 0, or 1 if a log is missing, a file cannot be written, or no curve has such a name
(those there are are listed)
"""


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", metavar="RUN",
                        help="work folder or scalars.json, as [NAME=]PATH")  # fmt: skip
    parser.add_argument("--curves", nargs="+", default=list(DEFAULT_NAMES), metavar="NAME",
                        help="names of curves, with * (default: loss and */AP)")  # fmt: skip
    parser.add_argument("--out", type=Path, metavar="FILE",
                        help="draw the curves into this image (.png, .svg, .pdf)")  # fmt: skip
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the table to this file")
    parser.add_argument("--smooth", type=int, default=1, metavar="N",
                        help="mean of so many logged values for losses (default: 1)")  # fmt: skip
    args = parser.parse_args(arguments)
    if args.smooth < 1:
        parser.error("--smooth must be at least 1")
    return args


def analyze(args: argparse.Namespace) -> None:
    """Read, draw and print as the command line says."""
    prepare_output_file(args.out, "--out")
    prepare_output_file(args.csv, "--csv")
    named = [_name_and_path(run) for run in args.runs]
    logs = [read_log(path, name) for name, path in named]
    rows = summarise(logs, args.curves)
    if args.out is not None:
        try:
            plot_curves(logs, args.curves, args.out, args.smooth)
        except ImportError as error:
            raise UserError(str(error)) from error
    if args.csv is not None:
        write_csv(args.csv, rows)
    Console().print(table(rows))


def _name_and_path(run: str) -> tuple[str | None, str]:
    name, separator, path = run.partition("=")
    return (name, path) if separator and not Path(run).exists() else (None, run)


def table(rows: Sequence[CurveSummary]) -> Table:
    """Return the rows for a terminal."""
    result = Table()
    for column in ("curve", "run", "values", "last", "at", "best", "at"):
        result.add_column(column, justify="left" if column in ("curve", "run") else "right")
    for row in rows:
        last, best = f"{row.last:.4g}", f"{row.best:.4g}"
        steps = str(row.last_step), str(row.best_step)
        result.add_row(row.curve, row.run, str(row.points), last, steps[0], best, steps[1])
    return result


def write_csv(path: Path, rows: Sequence[CurveSummary]) -> None:
    """Write the rows with all digits."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow([field.name for field in fields(CurveSummary)])
        writer.writerows(astuple(row) for row in rows)


def main(arguments: list[str] | None = None) -> int:
    """Run the tool; return the exit status."""
    args = parse_args(arguments)
    return run_command(lambda: analyze(args))


if __name__ == "__main__":
    sys.exit(main())
