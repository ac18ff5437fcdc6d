# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from visbench.evaluation import evaluate
from visbench.evaluation.davis import evaluate_sequence
from visbench.testing.goldens.evaluation import GROUP, REMARKS, load_case
from visbench.testing.parity import check, perturb

ROOT = Path(__file__).parents[2]
GOLDENS = ROOT / "tests" / "data" / "goldens" / "evaluation"
SHARED = ROOT.parent / "shared" / "goldens" / "evaluation"
CASES = GROUP.cases(GOLDENS)
ARRAYS = ("precision", "recall", "scores")


@pytest.mark.parametrize("case", CASES)
def test_case(case: str) -> None:
    (result,) = check(GOLDENS, [case])
    assert result.passed, result.note
    assert sorted(result.arrays) == sorted(GROUP.outputs(GOLDENS, case))


def test_arrays_are_bit_equal() -> None:
    for result in check(GOLDENS):
        if not result.case.startswith("davis"):
            assert result.max_abs == 0.0, result.case


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"the whole set is not at {SHARED}")
def test_whole_set() -> None:
    results = check(SHARED)
    assert len(results) == 33
    assert [(r.case, r.note) for r in results if not r.passed] == []


def number_paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield where numbers and strings are: of every list only the first and the last entry."""
    if isinstance(value, dict):
        for key in list(value):
            if not path and key in REMARKS:
                continue
            yield from number_paths(value[key], (*path, key))
    elif isinstance(value, list):
        for index in sorted({0, len(value) - 1} - {-1}):
            yield from number_paths(value[index], (*path, index))
    elif value is not None:
        yield path


def change(value: Any) -> Any:
    if isinstance(value, str):
        return value + "x"
    return value + 1 if isinstance(value, int) else value + 1e-8


PERTURBED = ["basic", "ovis_boundaries", "box_basic", "gt_id_zero", "davis_basic"]
CHANGES = [
    (case, path)
    for case in PERTURBED
    for path in number_paths(load_case(GOLDENS, case)["expected"])
]


@pytest.mark.parametrize(
    ("case", "path"), CHANGES, ids=[f"{c}-{'.'.join(map(str, p))}" for c, p in CHANGES]
)
def test_stored_number_that_is_off_by_ten_tolerances_fails(
    case: str, path: tuple[Any, ...], tmp_path: Path
) -> None:
    folder = tmp_path / "evaluation"
    folder.mkdir()
    content = load_case(GOLDENS, case)
    parent = content["expected"]
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = change(parent[path[-1]])
    (folder / f"{case}.json").write_text(json.dumps(content))
    shutil.copy(GOLDENS / f"{case}.npz", folder)
    (result,) = check(folder)
    assert not result.passed


@pytest.mark.parametrize(
    ("case", "name"),
    [
        *((case, name) for case in ("basic", "ovis_boundaries") for name in ARRAYS),
        *(("box_basic", name) for name in ARRAYS[:2]),
    ],
)
@pytest.mark.parametrize("place", ["first", "last"])
def test_stored_array_that_is_off_by_ten_tolerances_fails(
    case: str, name: str, place: str, tmp_path: Path
) -> None:
    folder = tmp_path / "evaluation"
    folder.mkdir()
    with np.load(GOLDENS / f"{case}.npz") as stored:
        arrays = dict(stored)
    index = 0 if place == "first" else arrays[name].size - 1
    arrays[name] = perturb(arrays[name], GROUP.tolerance(case, name), index=index)
    np.savez(folder / f"{case}.npz", **arrays)
    shutil.copy(GOLDENS / f"{case}.json.gz", folder)
    (result,) = check(folder)
    assert not result.passed
    assert result.note.startswith(f"{name}: 1 values")


def test_output_nobody_compares_fails(tmp_path: Path) -> None:
    folder = tmp_path / "evaluation"
    folder.mkdir()
    content = load_case(GOLDENS, "empty_results")
    content["expected"]["surprise"] = [1.0]
    with gzip.open(folder / "empty_results.json.gz", "wt") as file:
        json.dump(content, file)
    shutil.copy(GOLDENS / "empty_results.npz", folder)
    (result,) = check(folder)
    assert not result.passed
    assert "surprise" in result.note


def test_unknown_kind_is_not_understood(tmp_path: Path) -> None:
    folder = tmp_path / "evaluation"
    folder.mkdir()
    content = {**load_case(GOLDENS, "davis_matching"), "kind": "other"}
    (folder / "davis_matching.json").write_text(json.dumps(content))
    (result,) = check(folder)
    assert not result.passed
    assert "other" in result.note


def test_annotation_id_zero_counts_by_default() -> None:
    content = load_case(GOLDENS, "gt_id_zero")
    found = evaluate(content["gt"], content["results"]).metrics["youtube_vis"]
    assert list(found.values()) == content["expected"]["stats_intended"]
    assert list(found.values()) != content["expected"]["stats"]


def test_label_missing_in_the_first_frame_is_no_object_by_default() -> None:
    with np.load(GOLDENS / "davis_id_gap.npz") as arrays:
        found = evaluate_sequence("gap4", arrays["gt_gap4"], arrays["res_gap4"])
    assert found.gt_ids == (1, 3)
    assert found.missing_ids == (2,)
    expected = load_case(GOLDENS, "davis_id_gap")["expected"]["sequences"][0]["matches"]
    by_id = {match["gt_id"]: match for match in expected}
    assert {match.gt_id for match in found.matches} == {1, 3}
    for match in found.matches:
        assert match.j_mean == pytest.approx(by_id[match.gt_id]["J_mean"], abs=1e-9)
