# SPDX-License-Identifier: Apache-2.0
"""Rows of claims: keyed by config, data, seed, hash of the config and version of the code."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from visbench.benchmark.claims.data import ClaimData
from visbench.benchmark.identity import config_hash
from visbench.benchmark.rows import METRICS, Row, RowStore

UNKNOWN = "unknown"
"""Version of the code of rows that do not say it."""


def code_version(row: Row) -> str:
    """Return the version of the code that made a row, see ``identity.code_version``."""
    return row.versions.get("visbench", UNKNOWN)


_PLACES = ("log", "checkpoint", "overlay", "results", "annotations", "run_dir")


def without_places(row: Row) -> Row:
    """Return a row without paths: it is committed, and they say nothing on other machines."""
    empty: dict[str, Any] = {name: "" for name in _PLACES if hasattr(row, name)}
    return replace(row, **empty)


def known_version(row: Row) -> bool:
    """Return whether a row says which code made it."""
    return code_version(row) != UNKNOWN


def metric_value(row: Row, metric: str) -> float | None:
    """Return a metric in points; None if the row has none.

    Args:
        row: The row.
        metric: Name without kind. What the row has no field for is looked up in the fractions of
            ``details["metrics"]``.
    """
    if metric in METRICS:
        value: float | None = getattr(row, metric)
        return value
    fractions = row.details.get("metrics") or {}
    for name, fraction in fractions.items():
        if name.rpartition("/")[2] == metric and fraction >= 0:
            return 100 * float(fraction)
    return None


@dataclass(frozen=True)
class RunKey:
    """What makes runs of a claim the same, apart from seed and version.

    Args:
        config: The config.
        dataset: Name of the validation data.
        digest: Hash of the config and of the fields that the data set.
    """

    config: Path
    dataset: str
    digest: str

    @classmethod
    def of(cls, config: Path, data: ClaimData) -> RunKey:
        """Return the key of a config on data."""
        return cls(config, data.dataset, run_digest(config, data))

    def fits_by_name(self, row: Row) -> bool:
        """Return whether a row has this config's name and this data."""
        return Path(row.config).stem == self.config.stem and row.dataset == self.dataset


def run_digest(config: Path, data: ClaimData) -> str:
    """Return eight hexadecimal digits of a config and of the fields that the data set.

    Data that set none have the config's own hash, so that rows of ``compare`` count too.
    """
    digest = _config_hash(config.resolve())
    if not data.options:
        return digest
    text = digest + json.dumps(dict(data.options), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


@cache
def _config_hash(config: Path) -> str:
    return config_hash(config)


class ClaimRows(RowStore):
    """The store of claims: its file names also say the version of the code."""

    def name(self, row: Row) -> str:
        """Return the name of a row's file, without ending."""
        return f"{row.file_name}__{code_version(row)}"

    def all(self) -> list[Row]:
        """Return all finished rows, in the order of their files."""
        paths = sorted(self.folder.glob("*.json"))
        return [self.read(path) for path in paths if ".failed-" not in path.name]
