# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from visbench.testing.goldens.iai import GROUP, detector
from visbench.testing.goldens.iai.detector import WRONG_PIXELS
from visbench.testing.parity import GoldenCase, check, perturb

ROOT = Path(__file__).parents[2]
GOLDENS = ROOT / "tests" / "data" / "goldens" / "iai"
SHARED = ROOT.parent / "shared" / "goldens" / "iai"
CASES = [case for case in GROUP.cases(GOLDENS) if case in detector.PART.computes]
OUTPUTS = [(case, name) for case in CASES for name in GROUP.outputs(GOLDENS, case)]
MASKS = ("mask_input", "mask_ori")


@cache
def computed(case: str) -> Mapping[str, Any]:
    """Return our outputs, which depend on the inputs only; some cases train a whole network."""
    return detector.PART.computes[case](GoldenCase.load(GOLDENS / f"{case}.npz"))


@pytest.fixture
def once(monkeypatch: pytest.MonkeyPatch) -> None:
    for case in CASES:
        monkeypatch.setitem(GROUP.computes, case, lambda golden: computed(golden.name))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.usefixtures("once")
def test_case(case: str) -> None:
    (result,) = check(GOLDENS, [case])
    assert result.passed, result.note
    assert sorted(result.arrays) == sorted(GROUP.outputs(GOLDENS, case))


def test_all_cases_are_there() -> None:
    assert sorted(CASES) == sorted(set(detector.PART.computes) - {"first_frame"})


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"the whole set is not at {SHARED}")
def test_large_case() -> None:
    (result,) = check(SHARED, ["first_frame"])
    assert result.passed, result.note


@pytest.mark.parametrize(("case", "name"), OUTPUTS)
@pytest.mark.usefixtures("once")
def test_output_that_is_off_fails(case: str, name: str, tmp_path: Path) -> None:
    folder = tmp_path / "iai"
    folder.mkdir()
    with np.load(GOLDENS / f"{case}.npz") as stored:
        arrays = dict(stored)
    array = arrays[name]
    if name in MASKS:
        array = array.copy()
        array.reshape(-1)[: WRONG_PIXELS + 1] ^= True
        arrays[name] = array
    else:
        arrays[name] = perturb(array, GROUP.tolerance(case, name))
    np.savez(folder / f"{case}.npz", **arrays)
    (result,) = check(folder)
    assert not result.passed
    assert result.note.startswith(f"{name}: ")


@pytest.mark.usefixtures("once")
def test_two_wrong_pixels_are_forgiven(tmp_path: Path) -> None:
    folder = tmp_path / "iai"
    folder.mkdir()
    with np.load(GOLDENS / "dynamic_mask.npz") as stored:
        arrays = dict(stored)
    arrays["mask_ori"] = arrays["mask_ori"].copy()
    arrays["mask_ori"][:, 0, :WRONG_PIXELS] ^= True
    np.savez(folder / "dynamic_mask.npz", **arrays)
    (result,) = check(folder)
    assert result.passed, result.note
