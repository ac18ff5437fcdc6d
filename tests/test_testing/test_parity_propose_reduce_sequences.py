# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from changed_case import check_changed

from visbench.testing.goldens.propose_reduce import GROUP
from visbench.testing.goldens.propose_reduce.sequences import PART
from visbench.testing.parity import GoldenCase, check, perturb

ROOT = Path(__file__).parents[2]
GOLDENS = ROOT / "tests" / "data" / "goldens" / "propose_reduce"
OUTPUTS = [(case, name) for case in PART.computes for name in GROUP.outputs(GOLDENS, case)]


@pytest.mark.parametrize("case", PART.computes)
def test_case(case: str) -> None:
    (result,) = check(GOLDENS, [case])
    assert result.passed, result.note
    assert sorted(result.arrays) == sorted(GROUP.outputs(GOLDENS, case))


@pytest.mark.parametrize(("case", "name"), OUTPUTS)
def test_output_that_is_off_by_ten_tolerances_fails(case: str, name: str, tmp_path: Path) -> None:
    stored = GOLDENS / f"{case}.npz"
    array = GoldenCase.load(stored)[name]
    if array.dtype.kind == "U":
        wrong = np.char.add(array, "0")
    else:
        wrong = perturb(array, GROUP.tolerance(case, name), 10)
    result = check_changed(stored, {name: wrong}, tmp_path)
    assert not result.passed
    assert result.note.startswith(f"{name}: 1 values")
