# SPDX-License-Identifier: Apache-2.0
"""Measurements as a table for the terminal, a Markdown page and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from visbench.benchmark.rows import FAILED, FINISHED, Row
from visbench.benchmark.speed.plan import INITIAL
from visbench.benchmark.speed.stages import MEANINGS, STAGES
from visbench.benchmark.tables import failures, versions_text

TITLE = "Speed and memory"

CELL_NOTE = (
    "Stages in ms per frame: median / 95th percentile (share of the time of all stages). An "
    "offline method works on the whole video at once: where a stage has no time of its own in "
    "each frame, it is the mean alone."
)
RATE_NOTE = (
    "frames/s online: one frame per step as it arrives, read, prepared and processed in turn; the "
    "stages are those of this run and add up to it. frames/s whole: the whole video as a test runs "
    "it, the next frames read by a thread meanwhile. ms/frame: median / 95th percentile online."
)
MEMORY_NOTE = (
    "Memory: peak of a process that measures nothing else (host: resident, libraries included; "
    "GPU: allocated by PyTorch)."
)
INITIAL_NOTE = (
    "weights 'initial': no checkpoint was given. The time of the backbone does not depend on "
    "it, but what is detected does, and with it the time of association and mask encoding: compare "
    "instances/frame."
)


@dataclass(frozen=True)
class Column:
    """A column: its title, its text for a row and whether a narrow terminal leaves it out first."""

    title: str
    text: Callable[[Row], str]
    right: bool = True
    rank: int = 0


def _number(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _detail(name: str, digits: int = 1) -> Callable[[Row], str]:
    return lambda row: _number(row.details.get(name), digits)


def _range(values: dict[str, float]) -> str:
    return "{p50_ms:.1f} / {p95_ms:.1f}".format(**values) if "p50_ms" in values else "-"


def _stage(stage: str) -> Callable[[Row], str]:
    def text(row: Row) -> str:
        values = row.details.get("stages", {}).get(stage)
        if not values:
            return "-"
        times = _range(values) if "p50_ms" in values else f"{values['mean_ms']:.1f}"
        return f"{times} ({100 * values['share']:.0f} %)"

    return text


COLUMNS = (
    Column("method", lambda row: row.method, right=False),
    Column("config", lambda row: row.config_name, right=False, rank=5),
    Column("weights", lambda row: str(row.details["weights"]), right=False, rank=2),
    Column("size", lambda row: f"{row.details['height']}x{row.details['width']}", rank=3),
    Column("frames", lambda row: str(row.details["frames"])),
    Column("instances/frame", _detail("instances_per_frame"), rank=1),
    Column("frames/s online", _detail("fps_online", 2)),
    Column("frames/s whole", _detail("fps_whole", 2)),
    Column("ms/frame", lambda row: _range(row.details.get("frame", {}))),
    *(Column(stage, _stage(stage)) for stage in STAGES),
    Column("host MiB", lambda row: _number(row.host_memory_mb, 0)),
    Column("GPU MiB", lambda row: _number(row.device_memory_mb, 0)),
    Column("device", lambda row: row.device, right=False, rank=6),
    Column("threads", lambda row: str(row.details["threads"]), rank=7),
    Column("measurement", lambda row: str(row.details["measurement"]), rank=4),
)
"""All columns, in the order of the Markdown page."""


def terminal_table(rows: Sequence[Row], width: int = 160) -> Table:
    """Return the table for a terminal.

    Args:
        rows: Rows of measurements.
        width: Width of the terminal; a narrow one leaves out columns that the files have.
    """
    table = Table(title=TITLE, title_justify="left")
    columns = _fitting(rows, width)
    for column in columns:
        table.add_column(column.title, justify="right" if column.right else "left")
    for row in rows:
        style = "red" if row.status == FAILED else ""
        table.add_row(*(column.text(row) for column in columns), style=style)
    return table


def _fitting(rows: Sequence[Row], width: int) -> list[Column]:
    columns = [
        column
        for column in COLUMNS
        if column.title != "GPU MiB" or any(column.text(row) != "-" for row in rows)
    ]
    for rank in sorted({column.rank for column in COLUMNS} - {0}, reverse=True):
        if 1 + sum(3 + _width(column, rows) for column in columns) <= width:
            break
        columns = [column for column in columns if column.rank != rank]
    return columns


def _width(column: Column, rows: Sequence[Row]) -> int:
    return max(map(len, [column.title, *map(column.text, rows)]))


def notes(rows: Sequence[Row]) -> list[str]:
    """Return what a reader of the table must know.

    Args:
        rows: Rows of measurements.
    """
    finished = [row for row in rows if row.status == FINISHED]
    found = [CELL_NOTE, RATE_NOTE, MEMORY_NOTE]
    if any(row.details["weights"] == INITIAL for row in finished):
        found.append(INITIAL_NOTE)
    found += [_busy(row) for row in finished if (row.details.get("load") or 0) > _busy_from(row)]
    kept = {row.method: row.details["note"] for row in finished if row.details.get("note")}
    found += [f"{method}: {note}." for method, note in kept.items()]
    places = dict.fromkeys(f"{row.device} on {row.machine}; {versions_text(row)}" for row in rows)
    return [*found, *places]


def _busy_from(row: Row) -> float:
    """Return the load above which more runs than the measurements of a command."""
    return float(row.details["threads"]) + 1


def _busy(row: Row) -> str:
    return (
        f"{row.config_name}, {row.details['frames']} frames: other work was on the machine (load "
        f"{row.details['load']:.1f}), so its times are too long."
    )


def markdown(rows: Sequence[Row]) -> str:
    """Return the measurements as a Markdown page.

    Args:
        rows: Rows of measurements.
    """
    text = [f"# {TITLE}", "", _line([column.title for column in COLUMNS])]
    text.append(_line(["---:" if column.right else "---" for column in COLUMNS]))
    text += [_line([column.text(row) for column in COLUMNS]) for row in rows]
    text += ["", "## How it was measured", "", *(f"- {note}" for note in notes(rows))]
    text += ["", "## Stages", "", *(f"- {stage}: {MEANINGS[stage]}." for stage in STAGES)]
    failed = failures(rows)
    if failed:
        text += ["", "## Failed", "", *(f"- {line}" for line in failed)]
    return "\n".join(text) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


_FIGURES = ("mean_ms", "p50_ms", "p95_ms", "share")
_DETAILS = ("weights", "video", "height", "width", "frames", "threads", "measurement", "load")
_RATES = ("online", "precision", "instances_per_frame", "fps_online", "fps_whole", "total_s")
_FIELDS = ("host_memory_mb", "device_memory_mb", "parameters_m")
_IDENTITY = ("status", "reason", "checkpoint", "device", "machine", "config_hash", "date")

CSV_COLUMNS = (
    *("method", "config", *_DETAILS, *_RATES, "frame_p50_ms", "frame_p95_ms"),
    *(f"{stage.replace(' ', '_')}_{figure}" for stage in STAGES for figure in _FIGURES),
    *(*_FIELDS, *_IDENTITY, "versions", "note"),
)
"""Columns of the CSV file: one line per measurement; ``share`` is a fraction."""


def csv_text(rows: Sequence[Row]) -> str:
    """Return the measurements as CSV with :data:`CSV_COLUMNS`; empty where unknown.

    Args:
        rows: Rows of measurements.
    """
    output = io.StringIO()
    writer = csv.DictWriter(output, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _cell(value) for name, value in _record(row).items()})
    return output.getvalue()


def _record(row: Row) -> dict[str, Any]:
    details = row.details
    record = {name: getattr(row, name) for name in ("method", "config", *_FIELDS, *_IDENTITY)}
    record.update({name: details.get(name) for name in (*_DETAILS, *_RATES, "note")})
    record["versions"] = versions_text(row)
    for figure in ("p50_ms", "p95_ms"):
        record[f"frame_{figure}"] = details.get("frame", {}).get(figure)
    for stage in STAGES:
        values = details.get("stages", {}).get(stage, {})
        for figure in _FIGURES:
            record[f"{stage.replace(' ', '_')}_{figure}"] = values.get(figure)
    return record


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else str(value)
