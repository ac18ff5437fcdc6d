# SPDX-License-Identifier: Apache-2.0
"""Finds what a report is made of: rows, the files of their runs, and which rows belong together."""

from __future__ import annotations

import hashlib
import re
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from visbench.benchmark.rows import FAILED, METRICS, Row, RowStore
from visbench.benchmark.summary import Line, lines
from visbench.engine.errors import UserError


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation of n numbers; the deviation is None for n = 1."""

    mean: float
    deviation: float | None
    n: int

    @classmethod
    def of(cls, values: Sequence[float | None]) -> Spread | None:
        """Return the spread of the values that are not None, or None without any."""
        known = [value for value in values if value is not None]
        if not known:
            return None
        deviation = statistics.stdev(known) if len(known) > 1 else None
        return cls(statistics.fmean(known), deviation, len(known))


@dataclass(frozen=True)
class Run:
    """A row and what is left of its run.

    Attributes:
        row: The row.
        key: Unique short name for anchors.
        results: The predictions; None if they are not there.
        annotations: What they are scored with; None if it is not there.
        logs: MMEngine's scalars of every training session, oldest first.
        notes: What is missing.
    """

    row: Row
    key: str
    results: Path | None = None
    annotations: Path | None = None
    logs: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Group:
    """Finished runs that are one line of the comparison: they differ in their seeds only.

    Attributes:
        key: Unique short name for anchors.
        label: Name of the method, made unique within the data set.
        runs: The runs by seed.
        line: Their rows.
    """

    key: str
    label: str
    runs: tuple[Run, ...]
    line: Line

    @property
    def row(self) -> Row:
        """The first run's row; method, config and data are the same in all."""
        return self.line.row

    @property
    def dataset(self) -> str:
        """Name of the data."""
        return self.row.dataset

    def spread(self, name: str) -> Spread | None:
        """Return the spread over seeds of a number of the rows."""
        return Spread.of(self.line.values(name))


@dataclass(frozen=True)
class Collection:
    """Everything in a work folder that a report shows.

    Attributes:
        work_dir: The folder.
        groups: Finished runs by data set, the best AP first, controls last.
        failed: Rows of runs that never finished, the last try of each.
        problems: Rows that cannot be read.
        speeds: Finished rows of ``benchmark.py speed``, method by method and short videos first.
    """

    work_dir: Path
    groups: tuple[Group, ...]
    failed: tuple[Run, ...] = ()
    problems: tuple[str, ...] = ()
    speeds: tuple[Row, ...] = ()

    @property
    def datasets(self) -> tuple[str, ...]:
        """Names of the data, sorted."""
        return tuple(sorted({group.dataset for group in self.groups}))

    def on(self, dataset: str) -> list[Group]:
        """Return the groups on some data."""
        return [group for group in self.groups if group.dataset == dataset]

    @property
    def runs(self) -> tuple[Run, ...]:
        """All finished runs."""
        return tuple(run for group in self.groups for run in group.runs)


def collect(work_dir: str | Path, annotations: Mapping[str, Path] | None = None) -> Collection:
    """Read the store of a work folder and look for the files of its runs.

    Args:
        work_dir: Folder with ``rows/`` and, where they are still there, ``runs/``.
        annotations: Annotation file by data set, for rows that do not name one or whose file moved.

    Raises:
        UserError: If there is no row.
    """
    folder = Path(work_dir)
    rows, problems = _read(RowStore(folder / "rows"))
    if not rows:
        damaged = f"; {problems[0]}" if problems else ""
        raise UserError(
            f"no rows in {folder / 'rows'}{damaged}; give the --work-dir of "
            "tools/benchmark.py compare"
        )
    speeds, lost_speeds, rows = _speeds(rows)
    runs = [_locate(row, key, folder, annotations or {}) for key, row in rows.items()]
    finished = [run for run in runs if run.row.status != FAILED]
    done = {identity for run in finished for identity in (_identity(run.row), _anywhere(run.row))}
    failed = {_identity(run.row): run for run in runs if run.row.status == FAILED}
    lost = tuple(run for identity, run in failed.items() if identity not in done)
    return Collection(folder, _groups(finished), lost, (*problems, *lost_speeds), speeds)


def _speeds(rows: Mapping[str, Row]) -> tuple[tuple[Row, ...], list[str], dict[str, Row]]:
    """Return the finished measurements of speed, lines on the others, and all other rows."""
    measured = [row for row in rows.values() if row.kind == "speed"]
    finished = [row for row in measured if row.status != FAILED]
    finished.sort(key=lambda row: (row.method, row.config, row.details["frames"]))
    done = {row.details["key"] for row in finished}
    lost = [row for row in measured if row.details["key"] not in done]
    lines = [f"speed of {row.method} on {row.dataset}: failed: {row.reason}" for row in lost]
    others = {key: row for key, row in rows.items() if row.kind != "speed"}
    return tuple(finished), list(dict.fromkeys(lines)), others


def _read(store: RowStore) -> tuple[dict[str, Row], list[str]]:
    rows: dict[str, Row] = {}
    problems = []
    for path in sorted(store.folder.glob("*.json")):
        try:
            row = store.read(path)
        except UserError as error:
            problems.append(str(error))
            continue
        rows[slug(path.stem)] = row
    return rows, problems


def _identity(row: Row) -> tuple[str, str, int, str]:
    return row.dataset, row.config_name or row.method, row.seed, row.config_hash


def _anywhere(row: Row) -> tuple[str, str, int, str]:
    # A run that failed early may not have known its data.
    return _identity(replace(row, dataset=""))


def _locate(row: Row, key: str, work_dir: Path, annotations: Mapping[str, Path]) -> Run:
    if row.status == FAILED or row.kind == "control":
        return Run(row, key)
    usual = work_dir / "runs" / f"{row.config_name}__seed{row.seed}__{row.config_hash}"
    folder = _find(row.run_dir, work_dir) if row.run_dir else _existing(usual)
    results = _existing(usual / "test" / "results.json")
    if row.results:
        results = _find(row.results, work_dir)
    truth = annotations.get(row.dataset) or _find(row.annotations, work_dir)
    logs = tuple(sorted(folder.glob("*/vis_data/scalars.json"))) if folder else ()
    return Run(row, key, results, truth, logs, tuple(_missing(row, results, truth, logs)))


def _missing(
    row: Row, results: Path | None, truth: Path | None, logs: Sequence[Path]
) -> Iterator[str]:
    if results is None:
        yield f"no predictions: {row.results or 'results.json'} is not there"
    if truth is None:
        found = f"{row.annotations} is not there" if row.annotations else "the row names no file"
        yield f"no annotations: {found}; give --annotations {row.dataset}=FILE"
    if not logs and row.config:
        yield "no training log is there"


def _existing(path: Path) -> Path | None:
    return path if path.exists() else None


def _find(name: str, work_dir: Path) -> Path | None:
    """Return a path of a row: as it was written, or within a work folder that has moved."""
    if not name:
        return None
    path = Path(name)
    if not path.exists() and "runs" in path.parts:
        within = len(path.parts) - 1 - path.parts[::-1].index("runs")
        path = work_dir.joinpath(*path.parts[within:])
    return _existing(path)


def _groups(runs: Sequence[Run]) -> tuple[Group, ...]:
    by_row = {id(run.row): run for run in runs}
    found = lines([run.row for run in sorted(runs, key=lambda run: run.row.seed)])
    groups: list[Group] = []
    for line in found:
        label = _label(line, [other for other in found if other.row.dataset == line.row.dataset])
        key = f"{slug(label)}--{slug(line.row.dataset)}"
        groups.append(Group(key, label, tuple(by_row[id(row)] for row in line.rows), line))
    return tuple(sorted(groups, key=_rank))


def _label(line: Line, rivals: Sequence[Line]) -> str:
    """Return the method's name, with as much of config, hash and machine as makes it unique."""
    names = [_names(other.row) for other in rivals]
    for level, name in enumerate(_names(line.row)):
        if Counter(each[level] for each in names)[name] == 1:
            return name
    return f"{line.row.method} ({rivals.index(line) + 1})"


def _names(row: Row) -> tuple[str, ...]:
    config = row.config_name or row.kind
    return (
        row.method,
        f"{row.method} ({config})",
        f"{row.method} ({config}, {row.config_hash})",
        f"{row.method} ({config}, {row.config_hash}, {row.device} on {row.machine})",
    )


def _rank(group: Group) -> tuple[str, bool, float]:
    best = group.spread(METRICS[0])
    return group.dataset, group.row.kind == "control", -best.mean if best else 1.0


def slug(text: str) -> str:
    """Return a text as a name for anchors: lower-case letters, digits and single hyphens.

    What differs in anything has another name: where something is lost, a part of its hash follows.

    Examples:
        >>> slug("idol-2"), slug("IDOL (2)")
        ('idol-2', 'idol-2-50ad4124')
    """
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if plain == text and plain:
        return plain
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{plain}-{digest}" if plain else f"x-{digest}"
