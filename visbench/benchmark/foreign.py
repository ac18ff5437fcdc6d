# SPDX-License-Identifier: Apache-2.0
"""Results of other programs as rows of the same table."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from rich.console import Console

from visbench.benchmark.rows import FINISHED, Row, RowStore
from visbench.benchmark.scoring import row_numbers, score
from visbench.engine.errors import UserError

KIND = "foreign"
CLASS_AGNOSTIC = "class-agnostic"

_GENERIC = ("instances", "annotations")


@dataclass
class ForeignResults:
    """Results files that are scored with one annotation file.

    Args:
        results: Paths by name: results.json, also as .gz or in a submission zip.
        annotations: The annotation file.
        dataset: Name of the data in rows; by default that of a run that was scored with the same
            annotations, else it is made from the path.
        class_agnostic: Put all categories of a video in one pool, for methods that give none. The
            runs on the same data are scored so too; these rows have a data set of their own, as
            they do not compare with the others.
        metric: The metric.
    """

    results: dict[str, Path]
    annotations: Path
    dataset: str = ""
    class_agnostic: bool = False
    metric: str = "youtube_vis"
    _scored: dict[str, Row] = field(default_factory=dict, repr=False)

    def check(self) -> None:
        """Check that the files are there.

        Raises:
            UserError: If one is missing.
        """
        for option, path in [("--annotations", self.annotations), *self._options()]:
            if not path.is_file():
                raise UserError(f"{option} {path}: no such file; check the path")

    def _options(self) -> list[tuple[str, Path]]:
        return [(f"--results {name}", path) for name, path in self.results.items()]

    def score(self, store: RowStore, console: Console) -> None:
        """Score what the store has no row of.

        Args:
            store: Where rows of earlier calls are.
            console: Where it is said what is being scored.

        Raises:
            UserError: If a file cannot be used; the message names file, record and field.
        """
        for name, path in self.results.items():
            digest = self._digest(path)
            known = store.foreign(name, digest)
            if known is None:
                console.print(f"scoring {name}: {path}", markup=False, soft_wrap=True)
            row = self._scored[name] = known or self._score(name, path, digest)
            for warning in row.details.get("warnings", ()):
                console.print(f"{name}: {warning}", style="yellow", markup=False, soft_wrap=True)

    def rows(self, store: RowStore, others: Sequence[Row]) -> list[Row]:
        """Return the rows, under the name that the data have in the other rows.

        Args:
            store: Where new rows are kept.
            others: The rows of the runs.
        """
        found = self.keep(store, others)
        if self.class_agnostic:
            dataset, same = self._data(others)
            found += [self._again(row, dataset, store) for row in same if row.results]
        return found

    def keep(self, store: RowStore, others: Sequence[Row]) -> list[Row]:
        """Write what was scored into the store; return the rows of the results files.

        Args:
            store: Where new rows are kept.
            others: The rows of the runs, as far as they are there.
        """
        dataset, _ = self._data(others)
        found = []
        for name, row in self._scored.items():
            known = store.foreign(name, row.config_hash)
            if known is None:
                known = replace(row, dataset=dataset)
                store.add(known)
            # The name may have become known since.
            found.append(replace(known, dataset=dataset))
        return found

    def _data(self, others: Sequence[Row]) -> tuple[str, list[Row]]:
        """Return the name of the data, and the rows of the runs on them."""
        same = [row for row in others if row.status == FINISHED and self._same_data(row)]
        dataset = self.dataset or (same[0].dataset if same else _name_of(self.annotations))
        return (f"{dataset}-{CLASS_AGNOSTIC}" if self.class_agnostic else dataset), same

    def _same_data(self, row: Row) -> bool:
        path = Path(row.annotations)
        if not row.annotations or not path.is_file():
            return False
        same_size = path.stat().st_size == self.annotations.stat().st_size
        return same_size and _content(path) == _content(self.annotations)

    def _again(self, row: Row, dataset: str, store: RowStore) -> Row:
        """Return the row of a run with its results scored without classes."""
        known = store.finished(row.config, row.seed, row.config_hash, dataset)
        if known is not None and f"{self.metric}/AP" not in known.details.get("metrics", {}):
            raise UserError(
                f"--metric {self.metric}: the rows of {row.method} on {dataset} are of another "
                "metric, and rows are kept by the name of the data; name them in --annotations "
                "NAME=FILE"
            )
        if known is not None:
            return known
        numbers = self._numbers(Path(row.results))
        again = replace(row, dataset=dataset, overlay="", **numbers)
        store.add(again)
        return again

    def _digest(self, path: Path) -> str:
        how = f"{self.metric} {self.class_agnostic}"
        parts = (_content(path), _content(self.annotations), how)
        return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:8]

    def _numbers(self, path: Path) -> dict[str, Any]:
        from visbench.evaluation import InputError

        try:
            result = score(path, self.annotations, self.metric, self.class_agnostic)
        except InputError as error:
            raise UserError(str(error)) from error
        found = row_numbers(result)
        if self.class_agnostic:
            found["details"]["class_agnostic"] = True
        if result.warnings:
            found["details"]["warnings"] = list(result.warnings)
        return found

    def _score(self, name: str, path: Path, digest: str) -> Row:
        return Row(
            method=name,
            config="",
            dataset="",
            seed=0,
            kind=KIND,
            results=str(path.absolute()),
            annotations=str(self.annotations.absolute()),
            config_hash=digest,
            date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            **self._numbers(path),
        )


def _content(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            found.update(block)
    return found.hexdigest()


def _name_of(annotations: Path) -> str:
    """Return a name for data from the path of their annotations.

    Examples:
        >>> _name_of(Path("data/youtube_vis_2019/valid.json"))
        'youtubevis2019-valid'
        >>> _name_of(Path("data/ovis/valid/instances.json"))
        'ovis-valid'
    """
    path = annotations.absolute()
    parts = [path.parent.name, path.name.split(".")[0]]
    if parts[1] in _GENERIC:
        parts = [path.parent.parent.name, parts[0]]
    return "-".join(part.replace("_", "").lower() for part in parts if part)
