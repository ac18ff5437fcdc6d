# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from visbench.testing.goldens.idol import GROUP
from visbench.testing.goldens.idol.model import build
from visbench.testing.parity import Comparison, GoldenCase, GoldenError, check, perturb

ROOT = Path(__file__).parents[2]
GOLDENS = ROOT / "tests" / "data" / "goldens" / "idol"
SHARED = ROOT.parent / "shared" / "goldens" / "idol"
CASES = ("backbone_swin", "coco_inference", "components", "mask_head")
LARGE = ("forward_r50", "train_losses")
OUTPUTS = [(case, name) for case in CASES for name in GROUP.outputs(GOLDENS, case)]


@cache
def computed(case: str) -> Mapping[str, Any]:
    return GROUP.compute(GoldenCase.load(GOLDENS / f"{case}.npz"))


@pytest.mark.parametrize("case", CASES)
def test_every_output_of_a_case_is_computed(case: str) -> None:
    assert sorted(computed(case)) == sorted(GROUP.outputs(GOLDENS, case))


@pytest.mark.parametrize(("case", "name"), OUTPUTS)
def test_output(case: str, name: str) -> None:
    golden = GoldenCase.load(GOLDENS / f"{case}.npz")
    comparison = Comparison(GROUP.table(GROUP.tolerances, case))
    assert comparison.compare(name, golden[name], computed(case)[name]).passed
    if golden[name].size:
        changed = perturb(golden[name], GROUP.tolerance(case, name))
        assert not comparison.compare(name, changed, computed(case)[name]).passed


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"the whole set is not at {SHARED}")
def test_whole_network() -> None:
    results = check(SHARED, LARGE)
    assert [(r.case, r.note) for r in results if not r.passed] == []
    assert len(results) == len(LARGE)


def test_unknown_backbone_is_named() -> None:
    golden = GoldenCase(
        Path("x.npz"), "forward_r50", {}, {"config": "ytvis19_vit", "num_classes": 3}
    )
    with pytest.raises(GoldenError, match=r"ytvis19_vit.*r50"):
        build(golden)
