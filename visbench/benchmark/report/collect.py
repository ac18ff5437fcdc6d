# SPDX-License-Identifier: Apache-2.0
"""Finds what a report is made of: rows, the files of their runs, and which rows belong together."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from visbench.benchmark.rows import FAILED, METRICS, Row, RowStore
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
        mean = math.fsum(known) / len(known)
        if len(known) == 1:
            return cls(mean, None, 1)
        squares = math.fsum((value - mean) ** 2 for value in known)
        return cls(mean, math.sqrt(squares / (len(known) - 1)), len(known))


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
    """Finished runs of one config on one data set that differ in their seeds only.

    Attributes:
        key: Unique short name for anchors.
        label: Name of the method, made unique within the data set.
        runs: The runs by seed.
    """

    key: str
    label: str
    runs: tuple[Run, ...]

    @property
    def row(self) -> Row:
        """The first run's row; method, config and data are the same in all."""
        return self.runs[0].row

    @property
    def dataset(self) -> str:
        """Name of the data."""
        return self.row.dataset

    def spread(self, name: str) -> Spread | None:
        """Return the spread over seeds of a number of the rows."""
        return Spread.of([getattr(run.row, name) for run in self.runs])


@dataclass(frozen=True)
class Collection:
    """Everything in a work folder that a report shows.

    Attributes:
        work_dir: The folder.
        groups: Finished runs: methods first, then controls, the best AP first.
        failed: Rows of runs that never finished, the last try of each.
        problems: Rows that cannot be read.
    """

    work_dir: Path
    groups: tuple[Group, ...]
    failed: tuple[Run, ...] = ()
    problems: tuple[str, ...] = field(default=())

    @property
    def datasets(self) -> tuple[str, ...]:
        """Names of the data, sorted."""
        return tuple(sorted({group.dataset for group in self.groups}))

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
    runs = [_locate(row, key, folder, annotations or {}) for key, row in rows.items()]
    finished = [run for run in runs if run.row.status != FAILED]
    done = {_identity(run.row) for run in finished}
    failed = {_identity(run.row): run for run in runs if run.row.status == FAILED}
    lost = tuple(run for identity, run in failed.items() if identity not in done)
    return Collection(folder, _groups(finished), lost, tuple(problems))


def _read(store: RowStore) -> tuple[dict[str, Row], list[str]]:
    rows: dict[str, Row] = {}
    problems = []
    for path in sorted(store.folder.glob("*.json")):
        try:
            row = store.read(path)
        except UserError as error:
            problems.append(str(error))
            continue
        rows[_unique(slug(path.stem), rows)] = row
    return rows, problems


def _identity(row: Row) -> tuple[str, int, str, str]:
    # A failed row may not know its data yet.
    return Path(row.config).stem or row.method, row.seed, row.config_hash, row.kind


def _locate(row: Row, key: str, work_dir: Path, annotations: Mapping[str, Path]) -> Run:
    if row.status == FAILED or row.kind == "control":
        return Run(row, key)
    notes = []
    folder = _existing([Path(row.run_dir)] if row.run_dir else [], work_dir, _run_folder(row))
    results = _existing(
        [Path(row.results)] if row.results else [], work_dir, f"{_run_folder(row)}/test/results.json"
    )
    if results is None:
        notes.append(f"no predictions: {row.results or 'results.json'} is not there")
    named = [annotations.get(row.dataset), Path(row.annotations) if row.annotations else None]
    truth = _existing([path for path in named if path is not None], work_dir)
    if truth is None:
        notes.append(
            f"no annotations: {row.annotations or 'the row names no file'}; "
            f"give --annotations {row.dataset}=FILE"
        )
    logs = sorted(folder.glob("*/vis_data/scalars.json")) if folder else []
    if not logs and row.config:
        notes.append("no training log")
    return Run(row, key, results, truth, tuple(logs), tuple(notes))


def _run_folder(row: Row) -> str:
    return f"runs/{Path(row.config).stem}__seed{row.seed}__{row.config_hash}"


def _existing(paths: Sequence[Path], work_dir: Path, usual: str = "") -> Path | None:
    """Return the first path that exists: as given, within a work folder that moved, as usual."""
    moved = [
        work_dir.joinpath(*path.parts[path.parts.index("runs") :])
        for path in paths
        if "runs" in path.parts
    ]
    tried = [*paths, *moved, *([work_dir / usual] if usual else [])]
    return next((path for path in tried if path.exists()), None)


def _groups(runs: Sequence[Run]) -> tuple[Group, ...]:
    members: dict[tuple[str, ...], list[Run]] = defaultdict(list)
    for run in runs:
        row = run.row
        name = Path(row.config).stem
        members[row.dataset, row.kind, row.method, name, row.config_hash].append(run)
    names = _labels(list(members))
    groups: list[Group] = []
    for identity, found in members.items():
        found.sort(key=lambda run: run.row.seed)
        label = names[identity]
        key = _unique(slug(f"{label}-{identity[0]}"), [group.key for group in groups])
        groups.append(Group(key, label, tuple(found)))
    return tuple(sorted(groups, key=_rank))


def _labels(identities: Sequence[tuple[str, ...]]) -> dict[tuple[str, ...], str]:
    """Return the name of each group: the method, with config and hash where they are needed."""
    names: dict[tuple[str, ...], str] = {}
    for identity in identities:
        rivals = [other for other in identities if other[0] == identity[0]]
        for level in range(3):
            names[identity] = _name(identity, level)
            if Counter(_name(other, level) for other in rivals)[names[identity]] == 1:
                break
    return names


def _name(identity: tuple[str, ...], level: int) -> str:
    _, _, method, config, digest = identity
    return (method, f"{method} ({config})", f"{method} ({config}, {digest})")[level]


def _rank(group: Group) -> tuple[str, bool, float]:
    best = group.spread(METRICS[0])
    return group.dataset, group.row.kind == "control", -best.mean if best else math.inf


def slug(text: str) -> str:
    """Return a text as a name for anchors: lower-case letters, digits and hyphens.

    Examples:
        >>> slug("Mask <R-CNN> (a.b)")
        'mask-r-cnn-a-b'
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "x"


def _unique(name: str, taken: Mapping[str, object] | Sequence[str]) -> str:
    number, unique = 1, name
    while unique in taken:
        number += 1
        unique = f"{name}-{number}"
    return unique
