# SPDX-License-Identifier: Apache-2.0
"""Tables of a report: what stands in every cell, what it is sorted by and where it leads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from visbench.benchmark.columns import published
from visbench.benchmark.report.breakdowns import SPLITS, DatasetFacts, Numbers
from visbench.benchmark.report.collect import Collection, Group, Run, Spread, slug
from visbench.benchmark.report.gallery import Gallery
from visbench.benchmark.report.selection import video_for
from visbench.benchmark.rows import METRICS
from visbench.benchmark.speed.tables import COLUMNS as SPEED_COLUMNS
from visbench.evaluation.error_analysis import KINDS
from visbench.evaluation.result_tables import MEANINGS

_COSTS = (
    ("params M", "parameters_m", 2, 1.0),
    ("GFLOPs/frame", "gflops_per_frame", 2, 1.0),
    ("training min", "training_s", 1, 1 / 60),
    ("frames/s", "fps", 1, 1.0),
    ("host MiB", "host_memory_mb", 0, 1.0),
    ("GPU MiB", "device_memory_mb", 0, 1.0),
)


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: What stands in it.
        value: What the column is sorted by; None comes last.
        href: Anchor that it leads to.
        hint: What a tooltip says.
        share: Length of the bar behind the text, 0 to 1; None for no bar.
    """

    text: str
    value: float | str | None = None
    href: str = ""
    hint: str = ""
    share: float | None = None


@dataclass(frozen=True)
class Table:
    """A table that can be sorted by any column.

    Attributes:
        caption: What it shows.
        columns: Headings.
        rows: Cells; the first one of each row is its heading.
        words: Positions of the columns that hold words and are set to the left.
        published: Position of the column with published figures, if there is one.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    words: frozenset[int] = frozenset({0})
    published: int | None = None


class Links:
    """Says where the cells of a group lead: to its frames, else to its run.

    Args:
        galleries: The shown videos by data set.
        numbers: The computed numbers.
    """

    def __init__(self, galleries: Mapping[str, Gallery], numbers: Numbers) -> None:
        self._galleries = galleries
        self._numbers = numbers

    def to(self, group: Group, members: frozenset[int] | None = None) -> str:
        """Return the anchor of the frames that say most about a number of a group.

        Args:
            group: The group.
            members: Videos that the number is about; all if None.
        """
        gallery = self._galleries.get(group.dataset, Gallery())
        shown = [
            video.choice.video_id
            for video in gallery.videos
            if any(strip.group == group.key for strip in video.strips)
        ]
        ap = {video: _mean(self._numbers.video(group, video)) for video in shown}
        video = video_for(shown, ap, members)
        if video is None:
            video = video_for(shown, ap)
        if video is None:
            return run_anchor(group.runs[0])
        return strip_anchor(group.dataset, video, group.key)


def video_anchor(dataset: str, video_id: int) -> str:
    """Return the anchor of a video."""
    return f"video-{slug(dataset)}-{video_id}"


def strip_anchor(dataset: str, video_id: int, group: str) -> str:
    """Return the anchor of a method's frames of a video."""
    return f"{video_anchor(dataset, video_id)}--{group or 'truth'}"


def run_anchor(run: Run) -> str:
    """Return the anchor of a run."""
    return f"run-{run.key}"


def _mean(spread: Spread | None) -> float | None:
    return None if spread is None else spread.mean


def spread_text(spread: Spread | None, digits: int = 1, scale: float = 1.0) -> str:
    """Return ``mean ± deviation``, the mean alone for one number, a dash for none.

    Examples:
        >>> spread_text(Spread(40.123, 0.55, 3))
        '40.1 ± 0.6'
    """
    if spread is None:
        return "–"
    text = f"{spread.mean * scale:.{digits}f}"
    if spread.deviation is None:
        return text
    return f"{text} ± {spread.deviation * scale:.{digits}f}"


def comparison_table(collection: Collection, numbers: Numbers, links: Links) -> Table:
    """Return methods x data, over seeds, with published figures in a column of their own."""
    costs = [cost for cost in _COSTS if any(group.spread(cost[1]) for group in collection.groups)]
    first, *others = METRICS
    columns = ("method", "data", first, "95 % interval", "published AP", *others, "seeds")
    rows = []
    for group in collection.groups:
        href = links.to(group)
        seeds = ", ".join(str(run.row.seed) for run in group.runs)
        control = group.row.kind == "control"
        rows.append(
            (
                Cell(group.label, group.label, href, _config_hint(group)),
                Cell(group.dataset, group.dataset, href),
                _spread_cell(group.spread(first), href),
                _interval_cell(group, numbers, href),
                _published_cell(group, href),
                *(_spread_cell(group.spread(name), href) for name in others),
                Cell("–" if control else str(len(group.runs)), len(group.runs), href, seeds),
                *(_spread_cell(group.spread(n), href, d, s) for _, n, d, s in costs),
            )
        )
    names = (*columns, *(title for title, *_ in costs))
    return Table(
        "Methods on data: mean ± standard deviation over seeds, in points",
        names,
        tuple(rows),
        frozenset({0, 1}),
        names.index("published AP"),
    )


def _config_hint(group: Group) -> str:
    name = group.row.config_name
    return f"config {name}" if name else group.row.kind


def _spread_cell(
    spread: Spread | None, href: str, digits: int = 1, scale: float = 1.0, hint: str = ""
) -> Cell:
    value = None if spread is None else spread.mean
    return Cell(spread_text(spread, digits, scale), value, href, hint)


def _interval_cell(group: Group, numbers: Numbers, href: str) -> Cell:
    limits = numbers.interval(group)
    if limits is None:
        return Cell("–", None, href)
    return Cell("{:.1f} to {:.1f}".format(*limits), limits[0], href)


def _published_cell(group: Group, href: str) -> Cell:
    lines = group.line.published
    if not lines:
        return Cell("–", None, href, "no published figure belongs to this row")
    figures = dict.fromkeys(f"{line.metrics['AP']:.1f} on {line.dataset}" for line in lines)
    hint = f"published, not measured here: {'; '.join(figures)}"
    return Cell(published(group.line), max(line.metrics["AP"] for line in lines), href, hint)


def published_lines(collection: Collection) -> list[str]:
    """Return where the published figures of the table come from, one line per figure."""
    places: dict[str, dict[str, None]] = {}
    for group in collection.groups:
        for line in group.line.published:
            figure = (
                f"{group.label}: {line.metrics['AP']:.1f} AP on {line.dataset} with {line.backbone}"
            )
            places.setdefault(figure, {})[line.place] = None
    return [f"{figure}, as published in {'; '.join(where)}" for figure, where in places.items()]


def breakdown_tables(
    groups: Sequence[Group], numbers: Numbers, facts: DatasetFacts, links: Links
) -> list[Table]:
    """Return one table per split of a data set: parts x methods, AP."""
    shown = [group for group in groups if numbers.of(group)]
    tables = []
    for split in SPLITS:
        parts = facts.objects.get(split, {})
        rows = [
            (
                Cell(name, float(position), hint=f"{count} objects"),
                Cell(str(count), float(count)),
                *(
                    _spread_cell(
                        numbers.split(group, split, name),
                        links.to(group, facts.videos[split][name]),
                    )
                    for group in shown
                ),
            )
            for position, (name, count) in enumerate(parts.items())
        ]
        # Class-agnostic rows have no numbers by class.
        if any(found.splits.get(split) for group in shown for found in numbers.of(group)):
            rows = _with_bars(rows)
            columns = (split.replace("_", " "), "objects", *(group.label for group in shown))
            tables.append(Table(f"AP by {columns[0]}", columns, tuple(rows)))
    return tables


def _with_bars(rows: Sequence[tuple[Cell, ...]]) -> list[tuple[Cell, ...]]:
    """Return rows whose numbers have bars; the largest number fills its cell."""
    largest = max((float(cell.value or 0) for row in rows for cell in row[2:]), default=0.0)
    return [
        (
            *row[:2],
            *(replace(cell, share=float(cell.value or 0) / (largest or 1)) for cell in row[2:]),
        )
        for row in rows
    ]


def error_table(groups: Sequence[Group], numbers: Numbers, links: Links) -> Table | None:
    """Return kinds of errors x methods, in points gained by repairing them in turn."""
    shown = [group for group in groups if numbers.error(group, KINDS[0]) is not None]
    if not shown:
        return None
    rows = [
        (
            Cell(kind.replace("_", " "), float(position)),
            Cell(MEANINGS[kind], MEANINGS[kind]),
            *(_error_cell(group, numbers, kind, links.to(group)) for group in shown),
        )
        for position, kind in enumerate(KINDS)
    ]
    columns = ("kind", "meaning", *(group.label for group in shown))
    return Table("What AP is lost to, in points", columns, tuple(rows), frozenset({0, 1}))


def _error_cell(group: Group, numbers: Numbers, kind: str, href: str) -> Cell:
    errors = [found.errors for found in numbers.of(group) if found.errors is not None]
    alone = Spread.of([error.alone[kind] for error in errors])
    false = sum(error.false.get(kind, 0) for error in errors)
    lost = sum(error.lost.get(kind, 0) for error in errors)
    hint = f"alone {spread_text(alone)}; at IoU 0.5: {false} false predictions, {lost} lost objects"
    return _spread_cell(numbers.error(group, kind), href, hint=hint)


def run_table(collection: Collection, links: Links) -> Table:
    """Return every finished run by itself."""
    rows = []
    for group in collection.groups:
        for run in group.runs:
            if run.row.kind == "control":
                continue
            href = links.to(group)
            rows.append(
                (
                    Cell(group.label, group.label, href),
                    Cell(group.dataset, group.dataset, href),
                    Cell(str(run.row.seed), float(run.row.seed), href),
                    *(_number(getattr(run.row, name), href) for name in METRICS),
                    _number(run.row.fps, href),
                    Cell("details", run.key, run_anchor(run)),
                )
            )
    columns = ("method", "data", "seed", *METRICS, "frames/s", "run")
    words = frozenset({0, 1, len(columns) - 1})
    return Table("Every run, in points", columns, tuple(rows), words)


def _number(value: float | None, href: str) -> Cell:
    return Cell("–" if value is None else f"{value:.1f}", value, href)


def speed_table(collection: Collection) -> Table | None:
    """Return the measurements of ``benchmark.py speed``; None without any."""
    if not collection.speeds:
        return None
    return Table(
        "Time per stage, frames per second and memory",
        tuple(column.title for column in SPEED_COLUMNS),
        tuple(
            tuple(_leading_number(column.text(row)) for column in SPEED_COLUMNS)
            for row in collection.speeds
        ),
        frozenset(index for index, column in enumerate(SPEED_COLUMNS) if not column.right),
    )


def _leading_number(text: str) -> Cell:
    """Return a cell that is sorted by the number that its text begins with, else by its text."""
    first = text.split(" ", 1)[0]
    try:
        return Cell(text, float(first))
    except ValueError:
        return Cell("–", None) if text == "-" else Cell(text, text)
