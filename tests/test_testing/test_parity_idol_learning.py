# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from visbench.testing.goldens.idol import GROUP
from visbench.testing.goldens.idol.learning import compare_matcher
from visbench.testing.parity import Comparison, GoldenCase, check, perturb

ROOT = Path(__file__).parents[2]
GOLDENS = ROOT / "tests" / "data" / "goldens" / "idol"
SHARED = ROOT.parent / "shared" / "goldens" / "idol"
CASES = ("matcher", "pos_neg", "contrastive", "tracker_small", "video_inference")
LARGE = ("tracker_ytvis", "tracker_ovis", "tracker_nolong", "tracker_mem5")
OUTPUTS = [
    (case, name)
    for case in CASES
    for name in GROUP.outputs(GOLDENS, case)
    if not name.endswith("_cost")
]


@cache
def golden_of(case: str) -> GoldenCase:
    return GoldenCase.load(GOLDENS / f"{case}.npz")


@cache
def computed(case: str) -> Mapping[str, Any]:
    return GROUP.compute(golden_of(case))


@pytest.mark.parametrize("case", CASES)
def test_every_output_of_a_case_is_computed(case: str) -> None:
    assert sorted(computed(case)) == sorted(GROUP.outputs(GOLDENS, case))


@pytest.mark.parametrize(("case", "name"), OUTPUTS)
def test_output(case: str, name: str) -> None:
    golden = golden_of(case)
    comparison = Comparison(GROUP.table(GROUP.tolerances, case))
    assert comparison.compare(name, golden[name], computed(case)[name]).passed
    if golden[name].size:
        changed = perturb(golden[name], GROUP.tolerance(case, name))
        assert not comparison.compare(name, changed, computed(case)[name]).passed


@pytest.mark.parametrize("large", [False, True])
def test_costs_are_compared_by_the_size_of_their_row(large: bool) -> None:
    golden, ours = golden_of("matcher"), computed("matcher")
    costs = np.array(ours["c4_cost"])
    rows = np.flatnonzero((np.abs(costs).max(axis=1) > 1000) == large)
    for factor, passes in ((0.5, True), (10, False)):
        changed = costs.copy()
        changed[rows[0], 0] += factor * (1e-2 if large else 1e-5)
        comparison = Comparison(GROUP.table(GROUP.tolerances, "matcher"))
        done = compare_matcher(golden, {**ours, "c4_cost": torch.from_numpy(changed)}, comparison)
        assert all(name.endswith("_cost") for name in done)
        outcome = {check.name: check.passed for check in comparison.checks}
        assert outcome["c4_cost"] == passes
        assert all(outcome[name] for name in done if name != "c4_cost")


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"the whole set is not at {SHARED}")
def test_whole_scenarios() -> None:
    results = check(SHARED, LARGE)
    assert [(r.case, r.note) for r in results if not r.passed] == []
    assert len(results) == len(LARGE)
