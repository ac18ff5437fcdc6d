# SPDX-License-Identifier: Apache-2.0
"""The comparison as a table for the terminal and as a Markdown page."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from visbench.benchmark.columns import COLUMNS, Column, number
from visbench.benchmark.controls import CONTROLS_NOTE
from visbench.benchmark.rows import FAILED, Row
from visbench.benchmark.scoring import RESAMPLES
from visbench.benchmark.summary import Line, leads, lines
from visbench.benchmark.terms import term_notes

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

SEEDS_NOTE = (
    "n: number of seeds; mean ± sample standard deviation over them. Numbers without ± are of one "
    "seed: differences of the size that another seed makes are not differences of methods."
)
INTERVAL_NOTE = (
    f"AP 95 %: interval over {RESAMPLES} resamples of the videos with replacement, of the mean AP "
    "where there are several seeds: how much of the AP is the choice of videos. The spread over "
    "seeds comes on top."
)
PUBLISHED_NOTE = (
    "Published: AP that the paper or its public code reports for the config, or for the full-size "
    "config that a small one stands for. Not measured here, and on the data named beside it; it "
    "compares with no other column unless the data are the same"
)


_DISPENSABLE = (
    *("published in", "published on", "config", "GPU MiB", "data", "host MiB", "GFLOPs/frame"),
    *("params M", "AR1", "AP75", "AR10", "published AP", "training min", "AP 95 %", "seed"),
)
"""Columns that a narrow terminal leaves out, in this order."""

_KINDS = ("method", "foreign", "control")


def ordered(rows: Sequence[Row]) -> list[Row]:
    """Return the rows by data set, in each the methods in their order, then others, then controls.

    Args:
        rows: The rows.
    """
    datasets = list(dict.fromkeys(row.dataset for row in rows))
    return sorted(rows, key=lambda row: (datasets.index(row.dataset), _rank(row)))


def _rank(row: Row) -> int:
    return _KINDS.index(row.kind) if row.kind in _KINDS else len(_KINDS)


def terminal_tables(rows: Sequence[Row], width: int = 160) -> list[Table]:
    """Return one table per data set for a terminal.

    Args:
        rows: The rows.
        width: Width of the terminal.
    """
    datasets = dict.fromkeys(row.dataset for row in rows)
    return [
        terminal_table([row for row in rows if row.dataset == dataset], width)
        for dataset in datasets
    ]


def terminal_table(rows: Sequence[Row], width: int = 160) -> Table:
    """Return the table for a terminal.

    Args:
        rows: The rows; controls come last, set apart by a line.
        width: Width of the terminal; a narrow one leaves out columns that the files have.
    """
    shown = lines(ordered(rows))
    datasets = {row.dataset for row in rows if row.dataset}
    title = "Track AP in points (0 to 100)"
    if len(datasets) == 1:
        title += f" on {next(iter(datasets))}"
    columns = _fitting(shown, width, {"data"} if len(datasets) == 1 else set())
    table = Table(title=Text(title), title_justify="left")
    for column in columns:
        table.add_column(column.title, justify="right" if column.right else "left", no_wrap=True)
    for position, line in enumerate(shown):
        row, following = line.row, shown[position + 1 : position + 2]
        last = any((row.kind, row.dataset) != (n.row.kind, n.row.dataset) for n in following)
        style = "red" if row.status == FAILED else "dim" if row.kind == "control" else ""
        # Texts that are no markup: names may have brackets.
        cells = [Text(column.text(line)) for column in columns]
        table.add_row(*cells, style=style, end_section=last)
    return table


def _fitting(shown: Sequence[Line], width: int, hidden: set[str]) -> list[Column]:
    def left() -> list[Column]:
        return [column for column in COLUMNS if column.title not in hidden]

    def needed() -> int:
        cells = [[column.title, *map(column.text, shown)] for column in left()]
        return 1 + sum(3 + max(map(len, texts)) for texts in cells)

    hidden = hidden | {
        column.title
        for column in COLUMNS
        if column.optional and all(column.text(line) == "-" for line in shown)
    }
    for title in _DISPENSABLE:
        if needed() > width:
            hidden = hidden | {title}
    return left()


def failures(rows: Sequence[Row]) -> list[str]:
    """Return one line per failed row: what, why and where more is said."""
    return [
        f"{row.method} ({row.config or row.dataset}, seed {row.seed}) failed: "
        # A reason of several lines would break a list.
        + " ".join(row.reason.split())
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
    text = [f"# {title}", "", _line([column.title for column in COLUMNS])]
    text.append(_line(["---:" if column.right else "---" for column in COLUMNS]))
    for line in lines(rows):
        cells = [column.text(line).replace("|", "\\|") for column in COLUMNS]
        if line.row.kind == "control":
            cells[0] = f"*{cells[0]}*"
        text.append(_line(cells))
    text.append("")
    for heading, items in _sections(rows).items():
        if items:
            text += [f"## {heading}", "", *(f"- {item}" for item in items), ""]
    return "\n".join(text).rstrip("\n") + "\n"


def _sections(rows: Sequence[Row]) -> dict[str, list[str]]:
    """Return what stands under the table, by heading."""
    controls = any(row.kind == "control" for row in rows)
    return {
        "Terms": term_notes(rows),
        "Differences": _differences(rows),
        "Runs": _runs(rows),
        "Failed": failures(rows),
        "Overlay videos": [
            f"{row.method}, seed {row.seed}: `{row.overlay}`" for row in rows if row.overlay
        ],
        "How it was measured": [
            *NOTES,
            *_remarks(rows),
            *([CONTROLS_NOTE] if controls else []),
            *_places(rows),
        ],
    }


def table_notes(rows: Sequence[Row]) -> list[str]:
    """Return what a reader of the table must know: terms, seeds, intervals, published figures.

    Args:
        rows: The rows.
    """
    return [*term_notes(rows), *_remarks(rows)]


def _remarks(rows: Sequence[Row]) -> list[str]:
    shown = lines(rows)
    remarks = []
    if any(len(line.rows) > 1 for line in shown):
        remarks.append(SEEDS_NOTE)
    if any(line.interval for line in shown):
        remarks.append(INTERVAL_NOTE)
    places: dict[str, dict[str, None]] = {}
    for line in shown:
        for found in line.published:
            figure = f"{line.row.method}: {found.metrics['AP']:.1f} on {found.dataset}"
            places.setdefault(figure, {})[found.place] = None
    if places:
        figures = [f"{figure} ({'; '.join(where)})" for figure, where in places.items()]
        remarks.append(f"{PUBLISHED_NOTE}. {'; '.join(figures)}.")
    return remarks


def _differences(rows: Sequence[Row]) -> list[str]:
    """Return how far the best of each data set is ahead, with the interval over videos."""
    return [
        f"{_named(best)} on {best.row.dataset}: {lead:.1f} points of AP ahead of {_named(line)}; "
        f"95 % of the resamples of the videos: {low:.1f} to {high:.1f}"
        + (" (undecided)" if low <= 0 <= high else "")
        for best, line, (lead, low, high) in leads(lines(rows))
    ]


def _named(line: Line) -> str:
    config = line.row.config_name
    return f"{line.row.method} ({config})" if config else line.row.method


def _runs(rows: Sequence[Row]) -> list[str]:
    """Return the AP of every single run where a line of the table has several."""
    return [
        f"{line.row.method} on {line.row.dataset}: "
        + ", ".join(f"seed {row.seed} {number('AP')(Line((row,)))}" for row in line.rows)
        for line in lines(rows)
        if len(line.rows) > 1
    ]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _places(rows: Sequence[Row]) -> list[str]:
    """Return machine, device and versions once for all rows that share them."""
    places: dict[str, list[str]] = {}
    for row in rows:
        if row.kind == "method" and row.machine:
            place = f"{row.device} on {row.machine}; {versions_text(row)}"
            places.setdefault(place, []).append(row.method)
    if len(places) == 1:
        return list(places)
    return [f"{', '.join(dict.fromkeys(methods))}: {place}" for place, methods in places.items()]


def versions_text(row: Row) -> str:
    """Return the versions of a row in one line."""
    return ", ".join(f"{package} {number}" for package, number in row.versions.items())
