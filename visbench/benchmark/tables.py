# SPDX-License-Identifier: Apache-2.0
"""The comparison as a table: terminal, Markdown, CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from visbench.benchmark.controls import CONTROLS_NOTE
from visbench.benchmark.rows import FAILED, METRICS, Row

CSV_COLUMNS = (
    *("method", "config", "dataset", "seed", *METRICS),
    *("parameters_m", "gflops_per_frame", "training_s", "fps"),
    *("host_memory_mb", "device_memory_mb", "training_memory_mb"),
    *("kind", "status", "reason", "log", "checkpoint", "overlay"),
    *("device", "machine", "versions", "config_hash", "date"),
)
"""Columns of the CSV file, in this order: fields of :class:`~visbench.benchmark.rows.Row`."""

FLOPS_NOTE = (
    "GFLOPs: torch.utils.flop_counter on the network for one validation frame at test size; a "
    "multiplication and an addition count as two; convolutions, matrix products and attention are "
    "counted, other operators are not."
)

NOTES = (
    "AP, AP50, AP75, AR1 and AR10 are the track metrics of YouTube-VIS in points (0 to 100) on the "
    "validation split, by the weights of the last iteration.",
    FLOPS_NOTE,
    "Training: minutes in training iterations, without validation. Frames/s: all validation "
    "videos one after the other, reading of frames included, evaluation and drawing not. Memory: "
    "peak of the test process (host: resident; GPU: allocated by PyTorch). Times and memory "
    "compare within one run on one machine only.",
)


@dataclass(frozen=True)
class _Column:
    title: str
    text: Callable[[Row], str]
    right: bool = True


def _number(name: str, digits: int = 1, scale: float = 1.0) -> Callable[[Row], str]:
    def text(row: Row) -> str:
        value = getattr(row, name)
        return "-" if value is None else f"{value * scale:.{digits}f}"

    return text


def _status(row: Row) -> str:
    return "control" if row.kind == "control" and row.status != FAILED else row.status


_COLUMNS = (
    _Column("method", lambda row: row.method, right=False),
    _Column("config", lambda row: Path(row.config).stem if row.config else "-", right=False),
    _Column("data", lambda row: row.dataset or "-", right=False),
    _Column("seed", lambda row: str(row.seed) if row.kind == "method" else "-"),
    *(_Column(name, _number(name)) for name in METRICS),
    _Column("params M", _number("parameters_m", 2)),
    _Column("GFLOPs/frame", _number("gflops_per_frame", 2)),
    _Column("training min", _number("training_s", 1, 1 / 60)),
    _Column("frames/s", _number("fps")),
    _Column("host MiB", _number("host_memory_mb", 0)),
    _Column("GPU MiB", _number("device_memory_mb", 0)),
    _Column("status", _status, right=False),
)

_DISPENSABLE = (
    *("config", "seed", "GPU MiB", "data", "host MiB", "GFLOPs/frame", "params M"),
    *("AR1", "AP75", "AR10"),
)
"""Columns that a narrow terminal leaves out, in this order."""


def ordered(rows: Sequence[Row]) -> list[Row]:
    """Return methods in their order, then controls."""
    return sorted(rows, key=lambda row: row.kind != "method")


def terminal_table(rows: Sequence[Row], width: int = 160) -> Table:
    """Return the table for a terminal.

    Args:
        rows: The rows; controls come last, set apart by a line.
        width: Width of the terminal; a narrow one leaves out columns that the files have.
    """
    rows = ordered(rows)
    datasets = {row.dataset for row in rows if row.dataset}
    title = "Track AP in points (0 to 100)"
    if len(datasets) == 1:
        title += f" on {next(iter(datasets))}"
    columns = _fitting(rows, width, {"data"} if len(datasets) == 1 else set())
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column.title, justify="right" if column.right else "left", no_wrap=True)
    for position, row in enumerate(rows):
        last = position + 1 < len(rows) and rows[position + 1].kind != row.kind
        style = "red" if row.status == FAILED else "dim" if row.kind == "control" else ""
        table.add_row(*(column.text(row) for column in columns), style=style, end_section=last)
    return table


def _fitting(rows: Sequence[Row], width: int, hidden: set[str]) -> list[_Column]:
    def shown() -> list[_Column]:
        return [column for column in _COLUMNS if column.title not in hidden]

    def needed() -> int:
        cells = [[column.title, *map(column.text, rows)] for column in shown()]
        return 1 + sum(3 + max(map(len, texts)) for texts in cells)

    for title in _DISPENSABLE:
        if needed() > width:
            hidden = hidden | {title}
    return shown()


def failures(rows: Sequence[Row]) -> list[str]:
    """Return one line per failed row: what, why and where more is said."""
    return [
        f"{row.method} ({row.config or row.dataset}, seed {row.seed}) failed: {row.reason}"
        + (f"; log: {row.log}" if row.log else "")
        for row in rows
        if row.status == FAILED
    ]


def markdown(rows: Sequence[Row], title: str = "Comparison") -> str:
    """Return the comparison as a Markdown page.

    Args:
        rows: The rows.
        title: Heading of the page.
    """
    rows = ordered(rows)
    lines = [f"# {title}", "", _line([column.title for column in _COLUMNS])]
    lines.append(_line(["---:" if column.right else "---" for column in _COLUMNS]))
    for row in rows:
        cells = [column.text(row).replace("|", "\\|") for column in _COLUMNS]
        if row.kind == "control":
            cells[0] = f"*{cells[0]}*"
        lines.append(_line(cells))
    lines.append("")
    failed = failures(rows)
    if failed:
        lines += ["## Failed", "", *(f"- {line}" for line in failed), ""]
    overlays = [row for row in rows if row.overlay]
    if overlays:
        lines += ["## Overlay videos", ""]
        lines += [f"- {row.method}, seed {row.seed}: `{row.overlay}`" for row in overlays]
        lines.append("")
    lines += ["## How it was measured", ""]
    lines += [f"- {note}" for note in NOTES]
    if any(row.kind == "control" for row in rows):
        lines.append(f"- {CONTROLS_NOTE}")
    lines += [f"- {place}" for place in _places(rows)]
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _places(rows: Sequence[Row]) -> list[str]:
    """Return machine, device and versions once for all rows that share them."""
    places: dict[str, list[str]] = {}
    for row in rows:
        if row.kind == "method" and row.machine:
            place = f"{row.device} on {row.machine}; {_versions(row)}"
            places.setdefault(place, []).append(row.method)
    if len(places) == 1:
        return list(places)
    return [f"{', '.join(dict.fromkeys(methods))}: {place}" for place, methods in places.items()]


def _versions(row: Row) -> str:
    return ", ".join(f"{package} {number}" for package, number in row.versions.items())


def csv_text(rows: Sequence[Row]) -> str:
    """Return the comparison as CSV with :data:`CSV_COLUMNS`; AP in points, empty if unknown.

    Args:
        rows: The rows.
    """
    output = io.StringIO()
    writer = csv.writer(output, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for row in ordered(rows):
        writer.writerow([_csv_value(row, column) for column in CSV_COLUMNS])
    return output.getvalue()


def _csv_value(row: Row, column: str) -> str:
    value = _versions(row) if column == "versions" else getattr(row, column)
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else str(value)
