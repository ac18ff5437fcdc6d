# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
from changed_case import check_changed

from visbench.testing.goldens.ops import GROUP
from visbench.testing.parity import GoldenCase, check, perturb

ROOT = Path(__file__).parents[2]
GOLDENS = ROOT / "tests" / "data" / "goldens" / "ops"
SHARED = ROOT.parent / "shared" / "goldens" / "ops"
CASES = GROUP.cases(GOLDENS)
OUTPUTS = [(case, name) for case in CASES for name in GROUP.outputs(GOLDENS, case)]


@pytest.mark.parametrize("case", CASES)
def test_case(case: str) -> None:
    (result,) = check(GOLDENS, [case])
    assert result.passed, result.note
    assert sorted(result.arrays) == sorted(GROUP.outputs(GOLDENS, case))


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"the whole set is not at {SHARED}")
def test_whole_set() -> None:
    results = check(SHARED)
    assert len(results) == 5
    assert [r.note for r in results if not r.passed] == []


@pytest.mark.parametrize(("case", "name"), OUTPUTS)
@pytest.mark.parametrize("place", ["first", "last"])
def test_output_that_is_off_by_ten_tolerances_fails(
    case: str, name: str, place: str, tmp_path: Path
) -> None:
    stored = GOLDENS / f"{case}.npz"
    array = GoldenCase.load(stored)[name]
    index = 0 if place == "first" else array.size - 1
    wrong = perturb(array, GROUP.tolerance(case, name), index=index)
    result = check_changed(stored, {name: wrong}, tmp_path)
    assert not result.passed
    assert result.note.startswith(f"{name}: 1 values")
