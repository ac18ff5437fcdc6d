# SPDX-License-Identifier: Apache-2.0
"""Figures of the papers and of their public code, as data; never measured here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

METRICS = (
    *("AP", "AP50", "AP75", "APs", "APm", "APl", "AP_medium", "AP_heavy"),
    *("AR1", "AR10", "AR100", "AR_medium", "AR_heavy", "J&F", "J-Mean", "F-Mean"),
)
"""Fields of a record that are accuracies, in points."""


@dataclass(frozen=True)
class Published:
    """One line of one table, on one data set.

    Attributes:
        source: The paper, or the public code (``...-repo``).
        table: Which of its tables, or the file that has it.
        method: Name of the method there.
        backbone: Its backbone.
        dataset: Data set and split that it was tested on, e.g. ``youtube-vis-2019-val``.
        metrics: Points (0 to 100) by name; what the table leaves out is missing.
        configs: Names of the configs, without ending, that follow the line; often none.
        reason: Why there is none.
        extra_data: Training data beyond that of the data set, as far as the table says.
        variant: What sets the line apart in a table of ablations.
        note: A remark.
    """

    source: str
    table: str
    method: str
    backbone: str
    dataset: str
    metrics: Mapping[str, float]
    configs: tuple[str, ...] = ()
    reason: str = ""
    extra_data: str = ""
    variant: str = ""
    note: str = ""

    @property
    def place(self) -> str:
        """Where the figure stands, e.g. ``InsPro, table 1``."""
        word = "" if self.table[:1].isalpha() else "table "
        return f"{self.source}, {word}{self.table}"


def published_results() -> tuple[Published, ...]:
    """Return all figures that come with the package."""
    return _load()[0]


def full_size(config: str | Path) -> str | None:
    """Return the full-size config that a small one stands for; None if none is known.

    Args:
        config: Path or name of a config.
    """
    # A quick config is the demo of its method with a longer schedule.
    stem = Path(config).name.removesuffix(".py").replace("_quick_", "_demo_")
    return _load()[1].get(stem)


def published_of(config: str | Path) -> list[Published]:
    """Return the figures of a config, or else of the full-size config that it stands for.

    Args:
        config: Path or name of a config.
    """
    found = _with_config(Path(config).name.removesuffix(".py"))
    sibling = full_size(config)
    return found or (_with_config(sibling) if sibling else [])


def _with_config(name: str) -> list[Published]:
    return [line for line in published_results() if name in line.configs]


@cache
def _load() -> tuple[tuple[Published, ...], dict[str, str]]:
    text = (files("visbench.benchmark") / "data" / "published.yaml").read_text(encoding="utf-8")
    content = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    siblings = {small: full for small, full in content["full_size"].items() if full}
    return tuple(map(_record, content["rows"])), siblings


def _record(row: Mapping[str, Any]) -> Published:
    words = ("source", "table", "method", "backbone", "dataset")
    remarks = ("reason", "extra_data", "variant", "note")
    config: str | Sequence[str] | None = row["config"]
    return Published(
        **{name: str(row[name]) for name in words},
        **{name: str(row.get(name) or "") for name in remarks},
        metrics={name: float(row[name]) for name in METRICS if row.get(name) is not None},
        configs=(config,) if isinstance(config, str) else tuple(config or ()),
    )
