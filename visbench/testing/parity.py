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
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from visbench.testing.comparison import (
    EXACT,
    Array,
    ArrayCheck,
    Comparison,
    GoldenError,
    Tolerance,
    compare_arrays,
    find_tolerance,
    perturb,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

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

DERIVED = ("num_batches_tracked", "relative_position_index")
"""Buffers that follow from the sizes of a network, so that checkpoints may lack them."""

CASE_SUFFIXES = (".npz", ".json", ".json.gz")
RUNNER_PACKAGE = "visbench.testing.goldens"


class OtherNetworkError(GoldenError):
    """A case is of a network of other sizes than the weights that it shall be run with."""


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


@dataclass(frozen=True)
class GoldenCase:
    """The arrays of one npz file and its settings.

    Attributes:
        path: The npz file.
        name: The case, which is the stem of the file.
        arrays: Every stored array but ``meta``.
        meta: The settings, read from the JSON text stored as ``meta`` (empty without one).
        weights: Weights of the whole model by our names, in place of the seeded ones.
    """

    path: Path
    name: str
    arrays: Mapping[str, Array]
    meta: Mapping[str, Any]
    weights: Mapping[str, Tensor] | None = None

    @classmethod
    def load(cls, path: Path) -> GoldenCase:
        """Read an npz file without unpickling anything.

        Raises:
            GoldenError: The file is missing or unreadable, or ``meta`` is not a JSON object.
        """
        try:
            with np.load(path, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
        except (OSError, ValueError, EOFError) as error:
            raise GoldenError(f"{path}: cannot be read as an npz file: {error}") from error
        except Exception as error:  # zipfile.BadZipFile, zlib.error and the like
            raise GoldenError(f"{path}: damaged npz file: {error}") from error
        text = arrays.pop("meta", None)
        try:
            meta = {} if text is None else json.loads(str(text[()]))
        except json.JSONDecodeError as error:
            raise GoldenError(f"{path}: field 'meta' is not JSON: {error}") from error
        if not isinstance(meta, dict):
            raise GoldenError(f"{path}: field 'meta' is no JSON object: {meta!r}")
        return cls(path, path.stem, arrays, meta)

    def __getitem__(self, name: str) -> Array:
        """Return a stored array, or raise an error that names file and field."""
        try:
            return self.arrays[name]
        except KeyError:
            raise GoldenError(f"{self.path}: array {name!r} is missing") from None

    def load_weights(self, model: nn.Module) -> bool:
        """Give a whole model the weights that the case shall be run with.

        Returns:
            Whether there are any; otherwise the model is to be filled with seeded ones.

        Raises:
            OtherNetworkError: Names or shapes differ.
        """
        if self.weights is None:
            return False
        wanted = {name: tuple(value.shape) for name, value in model.state_dict().items()}
        given = {name: tuple(value.shape) for name, value in self.weights.items()}
        # What a checkpoint need not hold follows from the sizes of the rest.
        missing = [name for name in wanted.keys() - given.keys() if not name.endswith(DERIVED)]
        other = [name for name in wanted.keys() & given.keys() if wanted[name] != given[name]]
        unknown = given.keys() - wanted.keys()
        for name in sorted([*missing, *other, *unknown])[:1]:
            raise OtherNetworkError(
                f"the case is of a network of other sizes: {name} is {wanted.get(name, 'unknown')} "
                f"there and {given.get(name, 'missing')} in the checkpoint"
            )
        model.load_state_dict(dict(self.weights), strict=False)
        return True

    def setting(self, *keys: str) -> Any:
        """Return ``meta[keys[0]][keys[1]]...``, or raise an error that names file and field."""
        value: Any = self.meta
        for depth, key in enumerate(keys):
            if not isinstance(value, Mapping) or key not in value:
                path = ".".join(keys[: depth + 1])
                raise GoldenError(f"{self.path}: field 'meta' lacks {path!r}")
            value = value[key]
        return value


class GoldenGroup(ABC):
    """The runner of one group.

    A subclass gives its tables and :meth:`compute`; a group whose cases are not single npz files
    overrides :meth:`cases`, :meth:`outputs` and :meth:`run` instead.

    Attributes:
        name: The group, which is the name of its folder.
        inputs: Patterns of the arrays that are inputs, by pattern of the case. Whatever is stored
            and not an input is an output, so that an array nobody thought of fails its case.
        tolerances: Tolerance by pattern of the array, by pattern of the case: the group's README.
        whole_models: Cases that run a whole model, and so can be run with given weights.
    """

    name: str = ""
    whole_models: Sequence[str] = ()
    inputs: Mapping[str, Sequence[str]] = {}
    tolerances: Mapping[str, Mapping[str, Tolerance]] = {}

    def cases(self, folder: Path) -> list[str]:
        """Return the names of the cases in a folder, sorted."""
        return case_names(folder)

    def outputs(self, folder: Path, case: str) -> list[str]:
        """Return the names of the stored outputs, each of which must be compared."""
        patterns = self.table(self.inputs, case)
        stored = GoldenCase.load(folder / f"{case}.npz").arrays
        return [n for n in stored if not any(fnmatchcase(n, pattern) for pattern in patterns)]

    def tolerance(self, case: str, array: str) -> Tolerance:
        """Return the tolerance of a stored output."""
        return find_tolerance(self.table(self.tolerances, case), array)

    def run(
        self, folder: Path, case: str, weights: Mapping[str, Tensor] | None = None
    ) -> list[ArrayCheck]:
        """Run a case and compare its outputs.

        Args:
            folder: Folder of the group.
            case: Name of the case.
            weights: For one of ``whole_models``: weights by our names, in place of seeded ones.

        Raises:
            GoldenError: The case is not understood.
        """
        golden = replace(GoldenCase.load(folder / f"{case}.npz"), weights=weights)
        comparison = Comparison(self.table(self.tolerances, case))
        for name, ours in self.compute(golden).items():
            comparison.compare(name, golden[name], ours)
        return comparison.checks

    @abstractmethod
    def compute(self, golden: GoldenCase) -> Mapping[str, Any]:
        """Return the outputs of the library for the inputs of a case, by name of the array."""

    def table(self, tables: Mapping[str, Any], case: str) -> Any:
        """Return the entry for a case, or raise an error that names the cases known.

        Raises:
            GoldenError: No pattern fits the case.
        """
        for pattern, entry in tables.items():
            if fnmatchcase(case, pattern):
                return entry
        raise GoldenError(
            f"case {case!r} is unknown to group {self.name!r}; it knows {', '.join(tables)}"
        )


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


def case_names(folder: Path) -> list[str]:
    """Return the stems of the golden files directly in a folder, sorted."""
    names = set()
    for path in folder.iterdir():
        suffix = next((s for s in reversed(CASE_SUFFIXES) if path.name.endswith(s)), None)
        if suffix is not None and path.is_file():
            names.add(path.name[: -len(suffix)])
    return sorted(names)


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
