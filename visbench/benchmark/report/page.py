# SPDX-License-Identifier: Apache-2.0
"""Puts a report together: numbers first, then pictures that fit, then one HTML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from visbench.benchmark.controls import CONTROLS_NOTE
from visbench.benchmark.report import plots, tables
from visbench.benchmark.report.breakdowns import Numbers
from visbench.benchmark.report.collect import Collection, Run, collect, slug
from visbench.benchmark.report.gallery import (
    Gallery,
    GalleryOptions,
    Pictures,
    fit_pictures,
    make_gallery,
)
from visbench.benchmark.report.timeline import MINIMUM_IOU
from visbench.benchmark.speed.tables import notes as speed_notes
from visbench.benchmark.tables import INTERVAL_NOTE, NOTES, PUBLISHED_NOTE, SEEDS_NOTE
from visbench.benchmark.terms import term_notes
from visbench.engine.errors import UserError
from visbench.engine.outputs import prepare_output_file
from visbench.files import write_file
from visbench.version import __version__
from visbench.visualization.palette import text_colour, track_colour

TEMPLATES = Path(__file__).parent / "templates"
_STRAYS = 6
"""Ids on no object that a timeline shows; the others are counted."""


@dataclass(frozen=True)
class ReportOptions:
    """What a report shows.

    Attributes:
        title: Heading of the page.
        max_mb: Largest size of the file in MB (10^6 bytes).
        gallery: What is shown of the videos.
        annotations: Annotation file by data set, for rows that do not name one.
    """

    title: str = "Comparison"
    max_mb: float = 10.0
    gallery: GalleryOptions = field(default_factory=GalleryOptions)
    annotations: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class DatasetPart:
    """What the page says of one data set."""

    name: str
    key: str
    breakdowns: list[tables.Table]
    errors: tables.Table | None
    error_plot: str
    gallery: Gallery


def write_html_report(
    work_dir: str | Path,
    out: str | Path | None = None,
    options: ReportOptions | None = None,
    console: Console | None = None,
) -> Path:
    """Write the comparison of a work folder as one HTML file that opens offline.

    Args:
        work_dir: Folder with ``rows/`` and ``runs/``.
        out: The file; ``<work_dir>/report.html`` by default.
        options: What is shown.
        console: Where progress is shown.

    Returns:
        The file.

    Raises:
        UserError: If there is no row, an extra is missing, the options name data that no row is
            of, or the size is too small for the text.
    """
    options = options or ReportOptions()
    target = Path(out) if out is not None else Path(work_dir) / "report.html"
    template = _environment().get_template("report.html.j2")
    script = plots.plotly_script()
    collection = collect(work_dir, options.annotations)
    _check_names(options, collection.datasets)
    prepare_output_file(target, "--out")
    with Progress(console=console or Console(stderr=True)) as progress:
        numbers = _evaluate(collection, progress)
        galleries = _galleries(collection, numbers, options, progress)
    page = _Page(collection, numbers, options, script)
    bare = template.render(page.context(galleries, {}))
    shown, pictures, _ = fit_pictures(galleries, _bytes_left(bare, options.max_mb))
    write_file(target, template.render(page.context(shown, pictures)))
    return target


def _bytes_left(bare: str, max_mb: float) -> int:
    """Return the bytes that pictures may take beside a page without any."""
    used = len(bare.encode())
    left = int(max_mb * 1e6) - used
    if left < 0:
        raise UserError(
            f"--max-mb {max_mb:g} is too small: the page needs {used / 1e6:.1f} MB without any "
            "picture (most of it is Plotly); give a larger --max-mb"
        )
    return left


def _check_names(options: ReportOptions, datasets: Sequence[str]) -> None:
    named = {"annotations": options.annotations, "image-folder": options.gallery.image_folders}
    for option, paths in named.items():
        for name in paths:
            if name not in datasets:
                raise UserError(
                    f"--{option} {name}: no row is of that data set; there are "
                    f"{', '.join(datasets) or 'none'}"
                )


def _environment() -> Any:
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError as error:
        raise UserError("the report needs jinja2: pip install 'visbench[report]'") from error
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _evaluate(collection: Collection, progress: Progress) -> Numbers:
    numbers = Numbers()
    runs = [run for run in collection.runs if run.results is not None]
    for run in progress.track(runs, description="evaluating"):
        numbers.add(run)
    return numbers


def _galleries(
    collection: Collection, numbers: Numbers, options: ReportOptions, progress: Progress
) -> dict[str, Gallery]:
    task = progress.add_task("drawing videos", total=None)
    galleries = {}
    for dataset in collection.datasets:
        groups = collection.on(dataset)
        galleries[dataset] = make_gallery(
            dataset, groups, numbers, options.gallery, lambda: progress.advance(task)
        )
    done = sum(len(gallery.videos) for gallery in galleries.values())
    progress.update(task, total=done, completed=done)
    return galleries


class _Page:
    """Everything the template is given.

    Args:
        collection: Rows and files.
        numbers: The computed numbers.
        options: What is shown.
        script: Plotly's JavaScript.
    """

    def __init__(
        self, collection: Collection, numbers: Numbers, options: ReportOptions, script: str
    ) -> None:
        self.collection = collection
        self.numbers = numbers
        self.options = options
        self.script = script
        self.styles = plots.Styles([group.label for group in collection.groups])
        self.figures: dict[str, Any] = {}
        self._figure("plot-speed", plots.speed_figure(collection, self.styles))
        self._figure("plot-training", plots.training_figure(collection, self.styles))
        for dataset in collection.datasets:
            groups = collection.on(dataset)
            key = f"plot-errors-{slug(dataset)}"
            self._figure(key, plots.error_figure(groups, numbers))

    def _figure(self, key: str, figure: Any | None) -> None:
        if figure is not None:
            self.figures[key] = plots.as_data(figure)

    def context(self, galleries: Mapping[str, Gallery], pictures: Pictures) -> dict[str, Any]:
        """Return the variables of the template."""
        links = tables.Links(galleries, self.numbers)
        return {
            "title": self.options.title,
            "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
            "version": __version__,
            "work_dir": str(self.collection.work_dir),
            "comparison": tables.comparison_table(self.collection, self.numbers, links),
            "runs": tables.run_table(self.collection, links),
            "speeds": tables.speed_table(self.collection),
            "speed_notes": speed_notes(self.collection.speeds),
            "terms": term_notes([run.row for run in self.collection.runs]),
            "published": tables.published_lines(self.collection),
            "parts": [self._part(name, galleries[name], links) for name in galleries],
            "groups": self.collection.groups,
            "failed": self.collection.failed,
            "problems": self.collection.problems,
            "notes": self._notes(),
            "run_notes": self._run_notes,
            "figures": self.figures,
            "plotly": self.script,
            "pictures": pictures,
            "minimum_iou": MINIMUM_IOU,
            "strays": _STRAYS,
            "video_anchor": tables.video_anchor,
            "strip_anchor": tables.strip_anchor,
            "run_anchor": tables.run_anchor,
            "spread_text": tables.spread_text,
            "colour": id_style,
        }

    def _part(self, dataset: str, gallery: Gallery, links: tables.Links) -> DatasetPart:
        groups = self.collection.on(dataset)
        analysed = [
            run for group in groups for run in group.runs if run.key in self.numbers.analyses
        ]
        paths = [run.annotations for run in analysed if run.annotations is not None]
        plot = f"plot-errors-{slug(dataset)}"
        return DatasetPart(
            name=dataset,
            key=slug(dataset),
            breakdowns=tables.breakdown_tables(
                groups, self.numbers, self.numbers.facts[paths[0]], links
            )
            if paths
            else [],
            errors=tables.error_table(groups, self.numbers, links),
            error_plot=plot if plot in self.figures else "",
            gallery=gallery,
        )

    def _run_notes(self, run: Run) -> list[str]:
        notes = [*run.notes]
        if run.key in self.numbers.notes:
            notes.append(self.numbers.notes[run.key])
        if run.key in self.numbers.analyses:
            notes += self.numbers.analyses[run.key].notes
        return notes

    def _notes(self) -> list[str]:
        notes = [*NOTES, SEEDS_NOTE, INTERVAL_NOTE, f"{PUBLISHED_NOTE}."]
        if any(group.row.kind == "control" for group in self.collection.groups):
            notes.append(CONTROLS_NOTE)
        return notes


def id_style(number: int) -> str:
    """Return the CSS of an id's colour, the same as in the frames."""
    blue, green, red = track_colour(number)
    text = "#000" if text_colour((blue, green, red)) == (0, 0, 0) else "#fff"
    return f"background:rgb({red},{green},{blue});color:{text}"
