# SPDX-License-Identifier: Apache-2.0
"""Claims over toy configs for the fake worker."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import yaml

from visbench.benchmark.claims.data import ClaimBook, read_claims

DATASET = "movingshapes-v1-easy-val"


class ClaimsBench:
    """A folder with configs, claims over them, rows and a work folder.

    Args:
        folder: Where to put everything.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows = folder / "rows"
        self.work_dir = folder / "work"
        self.file = folder / "claims.yaml"

    def config(self, name: str, ap: Sequence[float], text: str = "", **model: object) -> None:
        """Write a config whose AP with seed n is the n-th number."""
        lines = [f"ap = {list(ap)!r}", f"model = dict(type='Toy', {_words(model)})", text]
        (self.folder / f"{name}.py").write_text("\n".join(lines) + "\n")

    def claims(self, *pairs: tuple[str, str], expected: str = "+") -> ClaimBook:
        """Write and read claims ``<a>-<b>``."""
        entries = [
            {
                "id": f"{a}-{b}",
                "statement": "A beats B.",
                "a": f"{a}.py",
                "b": f"{b}.py",
                "data": "easy",
                "metric": "AP",
                "expected": expected,
                "paper": "P",
                "table": "1",
            }
            for a, b in pairs
        ]
        content = {
            "data": {"easy": {"dataset": DATASET}},
            "acts_at_test": {"Toy": {"top_k": "any"}},
            "claims": entries,
        }
        self.file.write_text(yaml.safe_dump(content))
        return read_claims(self.file)

    @property
    def calls(self) -> list[str]:
        """Calls of the fake worker, in the order they began."""
        path = self.folder / "calls.txt"
        return path.read_text().splitlines() if path.exists() else []


def _words(model: dict[str, object]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in model.items())


def worker_path() -> str:
    """Return where the processes of a test find the library and the fake worker."""
    here = Path(__file__).parent
    return os.pathsep.join(map(str, (here.parents[2], here, here.parent)))
