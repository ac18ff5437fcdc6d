# SPDX-License-Identifier: Apache-2.0
"""Curves of losses and metrics from the logs of trainings."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

from visbench.engine.errors import UserError

Curve = dict[int, float]
"""Value by iteration, ascending."""

LOG = "vis_data/scalars.json"
DEFAULT_NAMES = ("loss", "*/AP")


@dataclass(frozen=True)
class TrainingLog:
    """What a training has logged.

    Attributes:
        name: Name of the run in tables and legends.
        curves: Losses, learning rate, times and validation metrics by name.
        sessions: Files it was read from, one for each start of the training.
    """

    name: str
    curves: dict[str, Curve]
    sessions: tuple[Path, ...]

    def select(self, patterns: Sequence[str]) -> dict[str, Curve]:
        """Return the curves whose names match one of the patterns, in the order of the patterns."""
        return {
            name: self.curves[name]
            for pattern in patterns
            for name in self.curves
            if fnmatchcase(name, pattern)
        }


def read_log(run: str | Path, name: str | None = None) -> TrainingLog:
    """Read the log of a training.

    Args:
        run: A work folder (all its sessions, so that a resumed training is one curve), a folder of
            one session, or a ``scalars.json``.
        name: Name of the run; that of the work folder if None.

    Raises:
        UserError: If there is no log or it holds no number.
    """
    path = Path(run)
    sessions = [path] if path.is_file() else sorted(path.glob(f"*/{LOG}")) or _single(path)
    if not sessions:
        raise UserError(
            f"{path}: no log; give a work folder, which has */{LOG}, or such a file. MMEngine "
            "writes it at the first logging interval"
        )
    curves = read_scalars(sessions)
    if not curves:
        raise UserError(f"{sessions[-1]} holds no record with a 'step'; is it a log of a training?")
    return TrainingLog(name or _name(path), curves, tuple(sessions))


def _single(folder: Path) -> list[Path]:
    return [path for path in (folder / LOG, folder / "scalars.json") if path.is_file()]


def _name(path: Path) -> str:
    """Return the name of the work folder that a log lies in."""
    parents = [path, *path.parents]
    names = [p.name for p in parents if p.name not in ("scalars.json", "vis_data", "")]
    # Folders of sessions are called after their time.
    named = [name for name in names if not name.replace("_", "").isdigit()]
    return (named or names or [str(path)])[0]


def read_scalars(sessions: Sequence[Path]) -> dict[str, Curve]:
    """Read MMEngine's ``scalars.json`` of every session of a training.

    Args:
        sessions: The files, oldest first; where a resumed session repeats an iteration, the later
            one counts.

    Returns:
        Curves by name; values that are not finite are left out, and so is -1 of a metric, which
        stands for undefined.
    """
    found: dict[str, Curve] = {}
    for path in sessions:
        for record in read_records(path):
            step = record.pop("step", None)
            if isinstance(step, int):
                for name, value in record.items():
                    if _is_number(name, value):
                        found.setdefault(name, {})[step] = float(value)
    return {name: dict(sorted(curve.items())) for name, curve in found.items() if name != "iter"}


def read_records(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of a ``scalars.json``; a killed training may have left half of one."""
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            yield record


def _is_number(name: str, value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return False
    return not ("/" in name and value == -1)


def smooth(curve: Mapping[int, float], width: int) -> Curve:
    """Return the mean of each value and the up to ``width - 1`` values logged before it.

    Args:
        curve: Value by iteration.
        width: Number of logged values, at least 1.
    """
    values = np.array(list(curve.values()))
    starts = np.maximum(np.arange(len(values)) - width + 1, 0)
    return {
        step: float(values[start : row + 1].mean())
        for row, (step, start) in enumerate(zip(curve, starts, strict=True))
    }


@dataclass(frozen=True)
class CurveSummary:
    """One curve in numbers.

    Attributes:
        run: Name of the run.
        curve: Name of the curve.
        points: Number of values.
        last_step: Iteration of the last value.
        last: The last value.
        best_step: Iteration of the best value.
        best: The best value: the largest of a metric (with ``/`` in its name), else the smallest.
    """

    run: str
    curve: str
    points: int
    last_step: int
    last: float
    best_step: int
    best: float


def summarise(logs: Sequence[TrainingLog], patterns: Sequence[str]) -> list[CurveSummary]:
    """Return one summary per curve and run, runs beside each other.

    Args:
        logs: The trainings.
        patterns: Names of curves, with ``*``.

    Raises:
        UserError: If no curve matches.
    """
    rows = []
    for name in _names(logs, patterns):
        for log in logs:
            curve = log.curves.get(name)
            if curve:
                choose = max if "/" in name else min
                best_step = choose(curve, key=curve.__getitem__)
                last_step = list(curve)[-1]
                values = (last_step, curve[last_step], best_step, curve[best_step])
                rows.append(CurveSummary(log.name, name, len(curve), *values))
    return rows


def _names(logs: Sequence[TrainingLog], patterns: Sequence[str]) -> list[str]:
    names = list(dict.fromkeys(name for log in logs for name in log.select(patterns)))
    if not names:
        known = sorted({name for log in logs for name in log.curves})
        raise UserError(f"no curve is named {' or '.join(patterns)}; there are {', '.join(known)}")
    return names


def plot_curves(
    logs: Sequence[TrainingLog], patterns: Sequence[str], path: str | Path, width: int = 1
) -> None:
    """Draw curves, a panel for each name, a line for each run.

    Args:
        logs: The trainings.
        patterns: Names of curves, with ``*``.
        path: An image that Matplotlib can write (``.png``, ``.svg``, ``.pdf``).
        width: Smoothing of losses: the mean of so many logged values.

    Raises:
        ImportError: If Matplotlib is not installed.
        UserError: If no curve matches or the file cannot be written.
    """
    names = _names(logs, patterns)
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("curves need Matplotlib: pip install 'visbench[curves]'") from error
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(5 * columns, 3.4 * rows), layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for name, panel in zip(names, panels, strict=False):
        _draw_panel(panel, name, logs, width)
    for panel in panels[len(names) :]:
        panel.set_visible(False)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    try:
        figure.savefig(str(path), dpi=120)
    except ValueError as error:
        raise UserError(f"{path}: {error}; use a .png name") from error


def _draw_panel(panel: Any, name: str, logs: Sequence[TrainingLog], width: int) -> None:
    is_metric = "/" in name
    for colour, log in enumerate(logs):
        curve = log.curves.get(name)
        if curve:
            shown = curve if is_metric else smooth(curve, width)
            style = {"marker": "o", "markersize": 3} if is_metric or len(shown) < 3 else {}
            line = {"color": f"C{colour}", "label": log.name, **style}
            panel.plot(list(shown), list(shown.values()), **line)
    panel.set(title=name, xlabel="iteration")
    panel.grid(alpha=0.3)
    panel.legend(fontsize="small")
