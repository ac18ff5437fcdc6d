# SPDX-License-Identifier: Apache-2.0
"""Compare visbench with stored golden cases: the frame around the runners of each group.

A *group* is a folder of golden files; its name selects the runner. A *case* is one file stem in
it. The runner sends the stored inputs through the public entry points of the library and compares
the results with every stored output. This module needs numpy only, so the evaluation group can be
checked in a process without torch.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from visbench.testing.comparison import (
    EXACT,
    ArrayCheck,
    Comparison,
    GoldenError,
    Tolerance,
    compare_arrays,
    perturb,
)
from visbench.testing.golden_groups import GoldenCase, GoldenGroup, OtherNetworkError, case_names

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "EXACT",
    "ArrayCheck",
    "CaseResult",
    "Comparison",
    "GoldenCase",
    "GoldenError",
    "GoldenGroup",
    "OtherNetworkError",
    "Tolerance",
    "check",
    "check_case",
    "compare_arrays",
    "find_group",
    "perturb",
    "register_group",
    "summary",
]

RUNNER_PACKAGE = "visbench.testing.goldens"


@dataclass(frozen=True)
class CaseResult:
    """Outcome of one case; ``arrays`` names the stored outputs that were compared."""

    group: str
    case: str
    passed: bool
    max_abs: float
    max_rel: float
    arrays: list[str] = field(default_factory=list)
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain values for a JSON file; a deviation that is not finite becomes null."""
        return {
            "group": self.group,
            "case": self.case,
            "passed": self.passed,
            "max_abs": _finite_or_none(self.max_abs),
            "max_rel": _finite_or_none(self.max_rel),
            "arrays": list(self.arrays),
            "note": self.note,
        }


_REGISTERED: dict[str, GoldenGroup] = {}


def register_group(group: GoldenGroup) -> GoldenGroup:
    """Make a runner known under its name, for the goldens of a plugin.

    Raises:
        ValueError: Another runner has that name already.
    """
    if group.name in _REGISTERED and _REGISTERED[group.name] is not group:
        raise ValueError(f"a runner for the golden group {group.name!r} is registered already")
    _REGISTERED[group.name] = group
    return group


def find_group(name: str) -> GoldenGroup:
    """Return the runner of a group, importing its module when it is needed first.

    Raises:
        GoldenError: There is no runner of that name.
    """
    if name in _REGISTERED:
        return _REGISTERED[name]
    module_name = f"{RUNNER_PACKAGE}.{name}"
    if not name.isidentifier() or importlib.util.find_spec(module_name) is None:
        raise GoldenError(
            f"no runner for the golden group {name!r}: the name of the folder is the group; add "
            f"{module_name.replace('.', '/')}.py or call visbench.testing.parity.register_group"
        )
    return register_group(importlib.import_module(module_name).GROUP)


def group_folders(goldens_dir: Path) -> list[Path]:
    """Return the group folders: the folder itself when it holds golden files, else its children.

    Raises:
        GoldenError: The folder does not exist, or holds neither golden files nor folders.
    """
    root = goldens_dir.resolve()
    if not root.is_dir():
        raise GoldenError(f"{goldens_dir}: no such folder; give a golden group or a folder of them")
    if case_names(root):
        return [root]
    folders = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith((".", "_")))
    if not folders:
        raise GoldenError(f"{goldens_dir}: holds neither golden files nor folders of them")
    return folders


def check(goldens_dir: str | Path, only: Iterable[str] | None = None) -> list[CaseResult]:
    """Run every golden case below a folder.

    Args:
        goldens_dir: A group folder (its name is the group) or a folder of group folders.
        only: Names of the cases to run, as ``case`` or ``group/case``; all by default.

    Returns:
        One result per case. A group without runner, a case that is not understood, and a name in
        ``only`` that fits no case are results that failed.

    Raises:
        GoldenError: The folder does not exist or holds nothing.
    """
    wanted = None if only is None else list(dict.fromkeys(only))
    results: list[CaseResult] = []
    for folder in group_folders(Path(goldens_dir)):
        results.extend(_check_group(folder, wanted))
    found = {r.case for r in results} | {f"{r.group}/{r.case}" for r in results}
    for name in wanted or []:
        if name not in found:
            results.append(_failure("", name, f"no case of this name below {goldens_dir}"))
    return results


def summary(results: Sequence[CaseResult]) -> dict[str, Any]:
    """Return the JSON layout of a list of results: counts and one object per case."""
    passed = sum(result.passed for result in results)
    return {
        "passed": passed,
        "failed": len(results) - passed,
        "cases": [result.to_json() for result in results],
    }


def _check_group(folder: Path, wanted: list[str] | None) -> list[CaseResult]:
    try:
        group: GoldenGroup | None = find_group(folder.name)
        problem = ""
    except Exception as error:  # a runner that cannot be imported fails its cases, not the others
        group, problem = None, _describe(error)
    cases = case_names(folder) if group is None else group.cases(folder)
    if wanted is not None:
        cases = [case for case in cases if case in wanted or f"{folder.name}/{case}" in wanted]
    elif not cases:
        return [_failure(folder.name, "", problem or f"{folder}: holds no golden case")]
    if group is None:
        return [_failure(folder.name, case, problem) for case in cases]
    return [check_case(group, folder, case) for case in cases]


def check_case(
    group: GoldenGroup, folder: Path, case: str, weights: Mapping[str, Tensor] | None = None
) -> CaseResult:
    """Run one case of a group.

    Args:
        group: The runner.
        folder: Folder of the group.
        case: Name of the case.
        weights: Weights of the whole model in place of the seeded ones; see
            :meth:`GoldenGroup.run`.

    Raises:
        OtherNetworkError: The weights are of a network of other sizes.
    """
    try:
        outputs = group.outputs(folder, case)
        checks = group.run(folder, case) if weights is None else group.run(folder, case, weights)
    except OtherNetworkError:
        raise
    except Exception as error:  # one broken case must not hide the outcome of the others
        return _failure(folder.name, case, _describe(error))
    compared = [c.name for c in checks]
    notes = [f"{c.name}: {c.note}" for c in checks if c.note]
    missing = [name for name in outputs if name not in compared]
    if missing:
        notes.append(f"stored outputs not compared: {', '.join(missing)}")
    if not checks:
        notes.append("nothing was compared")
    return CaseResult(
        group=folder.name,
        case=case,
        passed=bool(checks) and not missing and all(c.passed for c in checks),
        max_abs=max((c.max_abs for c in checks), default=float("inf")),
        max_rel=max((c.max_rel for c in checks), default=float("inf")),
        arrays=compared,
        note="; ".join(notes),
    )


def _failure(group: str, case: str, note: str) -> CaseResult:
    return CaseResult(group, case, False, float("inf"), float("inf"), [], note)


def _describe(error: Exception) -> str:
    return str(error) if isinstance(error, GoldenError) else f"{type(error).__name__}: {error}"


def _finite_or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
