# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from changed_case import check_changed

from visbench.testing.goldens.inspro import GROUP
from visbench.testing.goldens.inspro.network import RUNS
from visbench.testing.parity import GoldenCase, check, perturb

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
    stored = GOLDENS / f"{case}.npz"
    array = GoldenCase.load(stored)[name]
    if not array.size:
        pytest.skip("an empty array has no value to perturb")
    # The tolerance of decoded boxes is relative to the largest value of a row.
    factor = 10 * max(1.0, np.abs(array[0]).max()) if case == "box_decode" else 10
    wrong = perturb(array, GROUP.tolerance(case, name), factor)
    result = check_changed(stored, {name: wrong}, tmp_path)
    assert not result.passed
    assert result.note.startswith(f"{name}: 1 values")


def test_missing_weight_names_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "inspro"
    folder.mkdir()
    shutil.copy(GOLDENS / "mask_branch.npz", folder)
    (result,) = check(folder)
    assert not result.passed
    assert "weight_keys.json" in result.note


def boxes(rng: np.random.Generator, number: int) -> np.ndarray:
    corner, size = rng.uniform(0, 60, (number, 2)), rng.uniform(4, 50, (number, 2))
    return np.concatenate([corner, corner + size], axis=1).astype(np.float32)


def stage_shapes(channels: int, classes: int, dynamic: int, hidden: int, bins: int) -> dict:
    """Return names and shapes of a stage with two hidden layers before the classes, one before
    the boxes."""
    square, line = [channels, channels], [channels]
    linear = {
        "self_attn.in_proj_": [3 * channels, channels],
        "self_attn.out_proj.": square,
        "inst_interact.dynamic_layer.": [2 * channels * dynamic, channels],
        "inst_interact.out_layer.": [channels, channels * bins**2],
        "linear1.": [hidden, channels],
        "linear2.": [channels, hidden],
        "class_logits.": [classes, channels],
        "bboxes_delta.": [4, channels],
    }
    norms = {"inst_interact.norm1.": [dynamic], "inst_interact.norm2.": line}
    norms |= {"inst_interact.norm3.": line, "norm1.": line, "norm2.": line, "norm3.": line}
    hidden_layers = ("cls_module.0.", "cls_module.3.", "reg_module.0.")
    norms |= {name.replace("0.", "1.").replace("3.", "4."): line for name in hidden_layers}
    return {
        **{f"{name}weight": shape for name, shape in (linear | norms).items()},
        **{f"{name}bias": shape[:1] for name, shape in (linear | norms).items()},
        **{f"{name}weight": square for name in hidden_layers},
    }


def other_inputs(rng: np.random.Generator) -> dict[str, dict[str, Any]]:
    """Return the inputs of cases whose sizes are none of the stored set's."""

    def normal(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    match_cost = {"whwh": np.array([96, 64, 96, 64], dtype=np.float32)}
    for frame, number in enumerate((0, 4, 7)):
        match_cost |= {
            f"f{frame}_logits": normal(5, 3),
            f"f{frame}_boxes": boxes(rng, 5),
            f"f{frame}_labels": rng.integers(0, 3, number),
            f"f{frame}_gt": boxes(rng, number),
        }
    tcm = {"num_scenarios": np.array(2), "s0_num_frames": np.array(3), "s1_num_frames": np.array(0)}
    for frame, ids in enumerate(([4, 2, 9], [], [9, 7, 1, 4])):
        tcm[f"s0_f{frame}_ids"] = np.array(ids, dtype=np.int64)
        tcm[f"s0_f{frame}_cost"] = normal(2, 3, len(ids))
    single = {name: cost[0] if name.endswith("cost") else cost for name, cost in tcm.items()}
    dedup = {"num_cases": np.array(11)}
    for case in range(11):
        dedup |= {
            f"c{case}_pred": boxes(rng, 3 + case),
            f"c{case}_matched": rng.random(3 + case) < 0.3,
            f"c{case}_gt": boxes(rng, case % 3),
            f"c{case}_k": np.array(1 + case),
            f"c{case}_beta": np.array(0.3),
        }
    pairs = {
        "image_hw": np.array([64, 96]),
        "init_queries": normal(5, 16),
        "init_boxes_cxcywh": rng.uniform(0.3, 0.7, (5, 4)).astype(np.float32),
        "damping": np.array(0.3),
    }
    return {
        "head_stage": {
            "image_hw": np.array([64, 96]),
            "queries": normal(1, 3, 16),
            "boxes": boxes(rng, 3)[None],
        },
        "head_six_stages": {**pairs, "init_boxes_xyxy": np.zeros((1, 5, 4))},
        "clip_propagation": {**pairs, "eps_weight": normal(1, 16), "bank_size": np.array(3)},
        "dynamic_mask": {
            "mask_feats": normal(1, 6, 9, 7),
            "params": normal(3, 81),  # eight inputs, five hidden channels: 40 + 25 + 5 + 11
            "centres": rng.uniform(0, 60, (3, 2)).astype(np.float32),
            "divisors": np.array([64, 128, 64]),
            "frame_index": np.zeros(3, dtype=np.int64),
        },
        "mask_losses": {"logits": normal(0, 5, 6), "targets": np.zeros((0, 5, 6), dtype=np.uint8)},
        "intra_query": {
            "object_features": normal(6, 2, 8),
            "scalar_weight": normal(1, 8),
            "channel_weight": normal(8, 8),
        },
        "box_dedup": dedup,
        "match_cost": match_cost,
        "tcm": {
            **single,
            "scenario_names": np.array(["some", "no frames"]),
            "s0_num_slots": np.array(3),
            "s1_num_slots": np.array(5),
        },
        "tcm_stages": {**tcm, "num_slots": np.array(3)},
    }


OTHER_OUTPUTS = {
    "clip_propagation": {
        **{
            f"{run}_{name}": np.zeros((4, 5, 1))
            for run in RUNS
            for name in ("class_logits", "pred_boxes", "next_boxes")
        },
        "full_next_queries": np.zeros((4, 2, 1)),
    },
    "intra_query": dict.fromkeys(("q_scalar_T1", "q_scalar_T5", "q_channel_T4"), np.zeros(1)),
}
"""Stored outputs whose names, or whose sizes, say what is to be computed."""


def test_sets_of_other_sizes(tmp_path: Path) -> None:
    folder = tmp_path / "inspro"
    folder.mkdir()
    shapes = stage_shapes(16, 3, 4, 24, 3)
    stages = {f"head_series.{s}.{n}": shape for s in range(2) for n, shape in shapes.items()}
    keys = {"head_stage": shapes, "head_six_stages": stages, "clip_propagation": stages}
    (folder / "weight_keys.json").write_text(json.dumps(keys))
    found: dict[str, dict[str, tuple[int, ...]]] = {}
    for case, inputs in other_inputs(np.random.default_rng(0)).items():
        meta = {"input_prefix": "other_", "num_classes": 3}
        path = folder / f"{case}.npz"
        given = {**inputs, **OTHER_OUTPUTS.get(case, {})}
        outputs = {
            name: torch.as_tensor(value).detach().numpy()
            for name, value in GROUP.compute(GoldenCase(path, case, given, meta)).items()
        }
        assert set(outputs) >= set(OTHER_OUTPUTS.get(case, {}))
        found[case] = {name: value.shape for name, value in outputs.items()}
        np.savez(path, **inputs, **outputs, meta=np.array(json.dumps(meta)))
    results = check(folder)
    assert [(result.case, result.note) for result in results if not result.passed] == []
    assert len(results) == len(found) == 10
    assert found["head_six_stages"]["class_logits"] == (2, 1, 5, 3)
    assert found["clip_propagation"]["full_next_queries"] == (4, 2, 16)
    assert found["match_cost"]["f0_cost"] == (5, 0)
    assert found["tcm_stages"]["s0_f2_slot_last"] == (2, 4)
    assert not any(name.startswith("s1_") for name in found["tcm"])
