# SPDX-License-Identifier: Apache-2.0
"""Rows of other tables: CSV reports and rows of ``compare``."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from visbench.benchmark.claims.data import ClaimBook
from visbench.benchmark.claims.rows import ClaimRows, without_places
from visbench.benchmark.rows import FINISHED, METRICS, Row, RowExistsError, RowStore
from visbench.engine.errors import UserError

_NUMBERS = (
    *METRICS,
    *("parameters_m", "gflops_per_frame", "training_s", "fps"),
    *("host_memory_mb", "device_memory_mb", "training_memory_mb"),
)
_TEXTS = ("method", "config", "dataset", "device", "machine", "config_hash", "date")
_FURTHER = ("AR100",)


def import_rows(path: str | Path, book: ClaimBook, store: ClaimRows) -> tuple[int, int]:
    """Add finished rows of configs and data that claims are about; others are left.

    Args:
        path: A CSV report, or a folder with rows of ``compare``.
        book: The claims.
        store: Where the rows go; what is there already stays.

    Returns:
        How many rows were added, and how many were there before.

    Raises:
        UserError: If the file is missing or no such table, or a number is none.
    """
    names = {config.stem for claim in book.claims for config in (claim.a, claim.b)}
    datasets = {data.dataset for data in book.data.values()}
    added = known = 0
    # All of them are read before the first one is written.
    for row in list(_rows(Path(path))):
        if row.kind != "method" or row.status != FINISHED:
            continue
        if Path(row.config).stem not in names or row.dataset not in datasets:
            continue
        try:
            store.add(without_places(row))
            added += 1
        except RowExistsError:
            known += 1
    return added, known


def _rows(path: Path) -> Iterator[Row]:
    if path.is_dir():
        store = RowStore(path)
        files = sorted(file for file in path.glob("*.json") if ".failed-" not in file.name)
        return (store.read(file) for file in files)
    if not path.is_file():
        raise UserError(f"{path} does not exist; name a CSV report or a folder of rows")
    return _csv_rows(path)


def _csv_rows(path: Path) -> Iterator[Row]:
    with path.open(newline="", encoding="utf-8") as file:
        for number, line in enumerate(csv.DictReader(file), start=2):
            try:
                yield _csv_row(line, path)
            except (KeyError, ValueError) as error:
                raise UserError(f"{path}, line {number}: {error!r}; is this a report?") from error


def _csv_row(line: dict[str, str], path: Path) -> Row:
    pairs = [text.rsplit(" ", 1) for text in line.get("versions", "").split(", ") if text]
    fractions = {name: float(line[name]) / 100 for name in _FURTHER if line.get(name)}
    return Row.from_dict(
        {
            **{name: line.get(name) or "" for name in _TEXTS},
            **{name: float(line[name]) for name in _NUMBERS if line.get(name)},
            "config": line["config"],
            "seed": int(line["seed"]),
            "kind": line.get("kind") or "method",
            "status": line.get("status") or FINISHED,
            "versions": {pair[0]: pair[-1] for pair in pairs},
            "details": {"metrics": fractions, "imported": path.name},
        }
    )
