# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from changed_case import check_changed

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
    stored = GOLDENS / f"{case}.npz"
    array = GoldenCase.load(stored)[name]
    if name in MASKS:
        wrong = array.copy()
        wrong.reshape(-1)[: WRONG_PIXELS + 1] ^= True
    else:
        wrong = perturb(array, GROUP.tolerance(case, name))
    result = check_changed(stored, {name: wrong}, tmp_path)
    assert not result.passed
    assert result.note.startswith(f"{name}: ")


@pytest.mark.usefixtures("once")
def test_two_wrong_pixels_are_forgiven(tmp_path: Path) -> None:
    stored = GOLDENS / "dynamic_mask.npz"
    masks = GoldenCase.load(stored)["mask_ori"].copy()
    masks[:, 0, :WRONG_PIXELS] ^= True
    result = check_changed(stored, {"mask_ori": masks}, tmp_path)
    assert result.passed, result.note
