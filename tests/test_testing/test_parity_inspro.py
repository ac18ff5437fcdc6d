# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from visbench.testing.goldens.inspro import GROUP
from visbench.testing.parity import check, perturb

ROOT = Path(__file__).parents[2]
GOLDENS = ROOT / "tests" / "data" / "goldens" / "inspro"
SHARED = ROOT.parent / "shared" / "goldens" / "inspro"
CASES = GROUP.cases(GOLDENS)
LARGE = ("head_six_stages",)
OUTPUTS = [
    (case, name)
    for case in CASES
    if case not in LARGE
    for name in GROUP.outputs(GOLDENS, case)
    if case != "tcm" or name.startswith("s0_f0_")
]


@pytest.mark.parametrize("case", CASES)
def test_case(case: str) -> None:
    (result,) = check(GOLDENS, [case])
    assert result.passed, result.note
    assert sorted(result.arrays) == sorted(GROUP.outputs(GOLDENS, case))


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"the whole set is not at {SHARED}")
def test_whole_set() -> None:
    results = check(SHARED)
    assert len(results) == 12
    assert [r.note for r in results if not r.passed] == []


@pytest.mark.parametrize(("case", "name"), OUTPUTS)
def test_output_that_is_off_by_ten_tolerances_fails(case: str, name: str, tmp_path: Path) -> None:
    folder = tmp_path / "inspro"
    folder.mkdir()
    shutil.copy(GOLDENS / "weight_keys.json", folder)
    with np.load(GOLDENS / f"{case}.npz") as stored:
        arrays = dict(stored)
    if not arrays[name].size:
        pytest.skip("an empty array has no value to perturb")
    # The tolerance of decoded boxes is relative to the largest value of a row.
    factor = 10 * max(1.0, np.abs(arrays[name][0]).max()) if case == "box_decode" else 10
    arrays[name] = perturb(arrays[name], GROUP.tolerance(case, name), factor)
    np.savez(folder / f"{case}.npz", **arrays)
    (result,) = check(folder)
    assert not result.passed
    assert result.note.startswith(f"{name}: 1 values")


def test_missing_weight_names_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "inspro"
    folder.mkdir()
    shutil.copy(GOLDENS / "mask_branch.npz", folder)
    (result,) = check(folder)
    assert not result.passed
    assert "weight_keys.json" in result.note
