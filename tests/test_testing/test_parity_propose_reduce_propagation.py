# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from changed_case import check_changed

from visbench.testing.goldens.propose_reduce import GROUP, clips, propagation
from visbench.testing.parity import GoldenCase, check, perturb

ROOT = Path(__file__).parents[2]
GOLDENS = ROOT / "tests" / "data" / "goldens" / "propose_reduce"
SHARED = ROOT.parent / "shared" / "goldens" / "propose_reduce"
CASES = ("clip_cate", "memory_read_softagg", "prop_loss")
LARGE = [
    case for part in (propagation.PART, clips.PART) for case in part.computes if case not in CASES
]
OUTPUTS = [(case, name) for case in CASES for name in GROUP.outputs(GOLDENS, case)]


@cache
def outputs_of(case: str) -> Mapping[str, Any]:
    return (propagation.PART.computes | clips.PART.computes)[case](
        GoldenCase.load(GOLDENS / f"{case}.npz")
    )


@pytest.fixture
def run_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute each case once; the network is large and the comparison is what is tested."""
    for case in CASES:
        monkeypatch.setitem(GROUP.computes, case, lambda golden: outputs_of(golden.name))


@pytest.mark.usefixtures("run_once")
@pytest.mark.parametrize("case", CASES)
def test_case(case: str) -> None:
    (result,) = check(GOLDENS, [case])
    assert result.passed, result.note
    assert sorted(result.arrays) == sorted(GROUP.outputs(GOLDENS, case))


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"the whole set is not at {SHARED}")
@pytest.mark.parametrize("case", LARGE)
def test_large_case(case: str) -> None:
    (result,) = check(SHARED, [case])
    assert result.passed, result.note


def off_by_ten_tolerances(case: str, name: str, golden: np.ndarray) -> np.ndarray:
    if name == "final_masks":
        wrong = golden.copy()
        wrong[0, 0] ^= np.uint8(255)  # every pixel of one mask
        return wrong
    if name.endswith("area"):
        return golden + 10 * clips.WRONG_PIXELS
    return perturb(golden, GROUP.tolerance(case, name))


@pytest.mark.usefixtures("run_once")
@pytest.mark.parametrize(("case", "name"), OUTPUTS)
def test_output_that_is_off_by_ten_tolerances_fails(case: str, name: str, tmp_path: Path) -> None:
    stored = GOLDENS / f"{case}.npz"
    wrong = off_by_ten_tolerances(case, name, GoldenCase.load(stored)[name])
    result = check_changed(stored, {name: wrong}, tmp_path)
    assert not result.passed
    assert f"{name}: " in result.note


def test_a_memory_of_other_sizes_and_seed(tmp_path: Path) -> None:
    inputs = {"dims": np.array([3, 2, 5, 3]), "probs": np.full((2, 1, 3, 3), 0.3, np.float32)}
    path = tmp_path / "memory_read_softagg.npz"
    golden = GoldenCase(path, "memory_read_softagg", inputs, {"input_prefix": "other/"})
    outputs = GROUP.compute(golden)
    assert outputs["read_and_query"].shape == (3, 512, 5, 3)
    assert outputs["softagg_masks"].shape == (1, 3, 3, 3)
    np.testing.assert_allclose(outputs["softagg_masks"].sum(dim=1).numpy(), 1, rtol=1e-6)
