# SPDX-License-Identifier: Apache-2.0
"""Tolerances and the comparison of one array with its golden value (numpy only)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class GoldenError(ValueError):
    """A golden file or folder that a runner cannot understand."""


@dataclass(frozen=True)
class Tolerance:
    """Largest accepted deviation: ``|ours - golden| <= atol + rtol * |golden|``.

    With ``exact`` the values must be equal; this is also how integers, booleans and strings are
    compared whatever ``atol`` and ``rtol`` say.
    """

    atol: float = 0.0
    rtol: float = 0.0
    exact: bool = False


EXACT = Tolerance(exact=True)


@dataclass(frozen=True)
class ArrayCheck:
    """Outcome for one stored output; deviations are infinite where values are not comparable."""

    name: str
    passed: bool
    max_abs: float
    max_rel: float
    note: str = ""


class Comparison:
    """Collects the checks of one case.

    Args:
        tolerances: Tolerance by pattern of the array name (``fnmatch``), first match wins.
    """

    def __init__(self, tolerances: Mapping[str, Tolerance]) -> None:
        self.tolerances = tolerances
        self.checks: list[ArrayCheck] = []

    def compare(
        self,
        name: str,
        golden: npt.ArrayLike,
        ours: npt.ArrayLike,
        *,
        atol: float | None = None,
        rtol: float | None = None,
        exact: bool | None = None,
    ) -> ArrayCheck:
        """Compare one output and record the outcome.

        Tensors are taken as they are, detached and copied to the CPU. Without ``atol``, ``rtol``
        and ``exact`` the table of tolerances decides.

        Returns:
            The check, which is also appended to :attr:`checks`. Another shape, another kind of
            value, and a NaN or infinity that only one side has fail whatever the tolerance.
        """
        if atol is None and rtol is None and exact is None:
            tolerance = find_tolerance(self.tolerances, name)
        else:
            tolerance = Tolerance(atol or 0.0, rtol or 0.0, bool(exact))
        check = compare_arrays(name, to_array(golden), to_array(ours), tolerance)
        self.checks.append(check)
        return check


def find_tolerance(tolerances: Mapping[str, Tolerance], name: str) -> Tolerance:
    """Return the first tolerance whose pattern fits the name of an array.

    Raises:
        GoldenError: No pattern fits.
    """
    for pattern, tolerance in tolerances.items():
        if fnmatchcase(name, pattern):
            return tolerance
    raise GoldenError(f"array {name!r} has no entry in the group's table of tolerances")


def to_array(value: Any) -> Array:
    """Return a numpy array; tensors are detached and copied to the CPU without importing torch."""
    for method in ("detach", "cpu"):
        if hasattr(value, method):
            value = getattr(value, method)()
    return np.asarray(value)


def compare_arrays(name: str, golden: Array, ours: Array, tolerance: Tolerance) -> ArrayCheck:
    """Compare two arrays.

    The relative deviation is ``|ours - golden| / |golden|`` over the golden values that are not 0.
    """
    problem = _incomparable(golden, ours)
    if problem:
        return ArrayCheck(name, False, float("inf"), float("inf"), problem)
    if golden.dtype.kind not in "fcbiu":
        wrong = int(np.sum(golden != ours))
        worst = float("inf") if wrong else 0.0
        return ArrayCheck(name, not wrong, worst, worst, _count("values differ", wrong))
    wide = np.complex128 if golden.dtype.kind == "c" else np.float64
    expected, got = golden.astype(wide), ours.astype(wide)
    same = (golden == ours) | ((golden != golden) & (ours != ours))
    finite = np.isfinite(expected) & np.isfinite(got)
    one_sided = int(np.sum(~same & ~finite))
    if one_sided:
        note = _count("values are NaN or infinite on one side", one_sided)
        return ArrayCheck(name, False, float("inf"), float("inf"), note)
    with np.errstate(invalid="ignore"):  # infinity minus infinity, where both agree
        deviations = np.where(same | ~finite, 0.0, np.abs(got - expected))
    size = np.where(finite, np.abs(expected), 0.0)
    nonzero = size > 0
    exact = tolerance.exact or golden.dtype.kind in "biu"
    limit = np.zeros_like(size) if exact else tolerance.atol + tolerance.rtol * size
    wrong = int(np.sum(~same if exact else deviations > limit))
    return ArrayCheck(
        name,
        wrong == 0,
        float(deviations.max(initial=0.0)),
        float((deviations[nonzero] / size[nonzero]).max(initial=0.0)),
        _count(f"values of {golden.size} beyond {_limit_text(tolerance, exact)}", wrong),
    )


def perturb(golden: Array, tolerance: Tolerance, factor: float = 10.0, index: int = 0) -> Array:
    """Return a copy with one value moved by ``factor`` times its tolerance.

    What is compared exactly changes by the smallest step of its kind: 1 for integers, the other
    value for booleans, the next representable number for floats.

    Raises:
        ValueError: The array is empty.
    """
    if not golden.size:
        raise ValueError("an empty array has no value to perturb")
    changed = golden.copy()
    flat = changed.reshape(-1)
    value = flat[index]
    if golden.dtype.kind == "b":
        flat[index] = not value
    elif golden.dtype.kind in "iu":
        flat[index] = value + 1
    elif tolerance.exact:
        flat[index] = np.nextafter(value, np.inf, dtype=golden.dtype)
    else:
        flat[index] = value + factor * (tolerance.atol + tolerance.rtol * abs(value))
    return flat.reshape(golden.shape)


def _incomparable(golden: Array, ours: Array) -> str:
    if golden.shape != ours.shape:
        return f"shape {ours.shape} instead of {golden.shape}"
    kinds = {"u": "i"}
    ours_kind, golden_kind = (kinds.get(a.dtype.kind, a.dtype.kind) for a in (ours, golden))
    if ours_kind != golden_kind:
        return f"values of type {ours.dtype} instead of {golden.dtype}"
    return ""


def _limit_text(tolerance: Tolerance, exact: bool) -> str:
    if exact:
        return "equality"
    parts = [f"{tolerance.atol:g}"] if tolerance.atol or not tolerance.rtol else []
    return " + ".join(parts + ([f"{tolerance.rtol:g} relative"] if tolerance.rtol else []))


def _count(text: str, number: int) -> str:
    return f"{number} {text}" if number else ""
