# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from visbench.testing import parity
from visbench.testing.parity import EXACT, Comparison, GoldenCase, GoldenGroup, Tolerance, check

ROOT = Path(__file__).parents[2]


class Doubling(GoldenGroup):
    name = "doubling"
    inputs = {"small": ("x",)}
    tolerances = {"small": {"index": EXACT, "*": Tolerance(atol=1e-3)}}

    def compute(self, golden: GoldenCase) -> Mapping[str, Any]:
        factor = golden.setting("factor")
        return {"y": factor * golden["x"], "index": golden["x"].argsort()}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setitem(parity._REGISTERED, "doubling", Doubling())
    path = tmp_path / "goldens" / "doubling"
    path.mkdir(parents=True)
    write(path)
    yield path


def write(folder: Path, case: str = "small", factor: float = 2, **changes: Any) -> None:
    x = np.array([0.5, -1.0, 3.0])
    arrays = {"x": x, "y": 2 * x, "index": x.argsort()} | changes
    np.savez(folder / f"{case}.npz", meta=json.dumps({"factor": factor}), **arrays)


def test_a_case_that_agrees_passes(folder: Path) -> None:
    for root in (folder, folder.parent):
        (result,) = check(root)
        assert result.passed
        assert (result.group, result.case, result.max_abs) == ("doubling", "small", 0.0)
        assert result.arrays == ["y", "index"]


def test_settings_are_read_from_the_file(folder: Path) -> None:
    write(folder, factor=3)
    (result,) = check(folder)
    assert not result.passed
    assert result.max_abs == 3.0
    assert result.max_rel == 0.5


@pytest.mark.parametrize(("step", "passed"), [(0.0009, True), (0.0011, False)])
def test_tolerance(folder: Path, step: float, passed: bool) -> None:
    write(folder, y=np.array([1.0, -2.0, 6.0 + step]))
    (result,) = check(folder)
    assert result.passed is passed
    assert result.max_abs == pytest.approx(step)
    assert result.max_rel == pytest.approx(step / 6, rel=1e-3)


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"y": np.array([1.0, -2.0, np.nan])}, "NaN"),
        ({"y": np.array([1.0, -2.0])}, "shape"),
        ({"y": np.array([1, -2, 6])}, "type"),
        ({"index": np.array([1, 0, 1])}, "equality"),
        ({"extra": np.zeros(2)}, "not compared: extra"),
        ({"meta_note": np.zeros(0)}, "not compared: meta_note"),
    ],
)
def test_what_fails(folder: Path, changes: dict[str, Any], note: str) -> None:
    write(folder, **changes)
    (result,) = check(folder)
    assert not result.passed
    assert note in result.note


def test_missing_input_and_setting_are_named(folder: Path) -> None:
    np.savez(folder / "small.npz", y=np.zeros(1), meta=json.dumps({"factor": 2}))
    assert "'x' is missing" in check(folder)[0].note
    np.savez(folder / "small.npz", x=np.zeros(1), y=np.zeros(1))
    assert "lacks 'factor'" in check(folder)[0].note
    np.savez(folder / "small.npz", x=np.zeros(1), meta="{")
    assert "not JSON" in check(folder)[0].note
    (folder / "small.npz").write_bytes(b"PK\x03\x04 cut off")
    assert "small.npz" in check(folder)[0].note


def test_pickled_arrays_are_refused(folder: Path) -> None:
    write(folder, y=np.array([{"a": 1}], dtype=object))
    (result,) = check(folder)
    assert not result.passed
    assert "allow_pickle" in result.note


def test_unknown_case_and_group_fail_and_the_others_are_run(folder: Path) -> None:
    write(folder, "large")
    other = folder.parent / "strangers"
    other.mkdir()
    write(other)
    results = {(r.group, r.case): r for r in check(folder.parent)}
    assert [key for key, r in results.items() if r.passed] == [("doubling", "small")]
    assert "it knows small" in results["doubling", "large"].note
    assert "no runner" in results["strangers", "small"].note


def test_only(folder: Path) -> None:
    write(folder, "large")
    assert [r.case for r in check(folder.parent, ["small"])] == ["small"]
    assert [r.case for r in check(folder.parent, ["doubling/large"])] == ["large"]
    results = check(folder.parent, ["small", "huge"])
    assert [(r.case, r.passed) for r in results] == [("small", True), ("huge", False)]


@pytest.mark.parametrize("text", ["nothing", "doubling/small.npz"])
def test_no_such_folder(folder: Path, text: str) -> None:
    with pytest.raises(parity.GoldenError, match="no such folder"):
        check(folder.parent / text)


def test_empty_folders(tmp_path: Path) -> None:
    with pytest.raises(parity.GoldenError, match="neither"):
        check(tmp_path)
    (tmp_path / "ops").mkdir()
    assert [r.passed for r in check(tmp_path)] == [False]


def test_a_group_is_registered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "_REGISTERED", {})
    group = parity.register_group(Doubling())
    assert parity.find_group("doubling") is group
    with pytest.raises(ValueError, match="registered already"):
        parity.register_group(Doubling())


def test_comparison() -> None:
    comparison = Comparison({"a*": Tolerance(rtol=0.1)})
    assert comparison.compare("apple", [10.0, 0.0], [10.9, 0.0]).passed
    assert not comparison.compare("apple", [10.0, 0.0], [11.1, 0.0]).passed
    assert comparison.compare("b", [1.0], [1.5], atol=0.5).passed
    assert not comparison.compare("b", [1.0], [np.nextafter(1, 2)], exact=True).passed
    assert comparison.compare("b", [np.nan, np.inf, 1], [np.nan, np.inf, 1], atol=0).passed
    assert not comparison.compare("b", [np.inf], [-np.inf], atol=1).passed
    assert not comparison.compare("b", [3], [4], atol=5).passed  # integers have no tolerance
    assert comparison.compare("b", ["x", "y"], ["x", "y"], exact=True).passed
    assert not comparison.compare("b", ["x", "y"], ["x", "z"], atol=1).passed
    assert comparison.compare("b", np.zeros((0, 2)), np.zeros((0, 2)), atol=0).passed
    with pytest.raises(parity.GoldenError, match="no entry"):
        comparison.compare("b", [1.0], [1.0])
    assert len(comparison.checks) == 10


@pytest.mark.parametrize(
    ("values", "tolerance"),
    [
        (np.array([2.0, 1.0], np.float32), Tolerance(atol=1e-5)),
        (np.array([2.0, 1.0]), Tolerance(rtol=1e-3)),
        (np.array([2.0, 1.0]), EXACT),
        (np.array([2, 1]), EXACT),
        (np.array([True, False]), EXACT),
    ],
)
def test_perturbed_values_fail(values: np.ndarray, tolerance: Tolerance) -> None:
    changed = parity.perturb(values, tolerance, index=1)
    assert (changed != values).tolist() == [False, True]
    assert not parity.compare_arrays("x", changed, values, tolerance).passed


def run_tool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / "check_parity.py"), *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_tool_without_torch(folder: Path) -> None:
    blocked = (
        "import runpy, sys\n"
        "for name in ('torch', 'mmcv', 'mmdet', 'mmengine'): sys.modules[name] = None\n"
        f"sys.argv = ['check_parity.py', {str(folder)!r}]\n"
        f"runpy.run_path({str(ROOT / 'tools' / 'check_parity.py')!r}, run_name='__main__')\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", blocked], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 1
    assert "0 passed, 1 failed" in result.stdout  # only this process knows the group


def test_tool_prints_and_writes_the_outcome(tmp_path: Path) -> None:
    out = tmp_path / "parity.json"
    goldens = ROOT / "tests" / "data" / "goldens" / "ops"
    result = run_tool(goldens, "--only", "nms", "sigmoid_focal", "--json", out)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "2 passed, 0 failed" in result.stdout
    outcome = json.loads(out.read_text())
    assert (outcome["passed"], outcome["failed"]) == (2, 0)
    keys = {"group", "case", "passed", "max_abs", "max_rel", "arrays", "note"}
    assert [set(case) for case in outcome["cases"]] == [keys, keys]
    assert outcome["cases"][1]["arrays"] == ["loss", "gradlogits"]
    assert 0 <= outcome["cases"][1]["max_abs"] < 1e-5


@pytest.mark.parametrize("name", ["missing", "json"])
def test_tool_refuses_paths_that_cannot_be_used(tmp_path: Path, name: str) -> None:
    goldens = ROOT / "tests" / "data" / "goldens" / "ops"
    wrong = tmp_path / "missing" / "x"
    if name == "json":
        (tmp_path / "missing").write_text("no folder")
    result = run_tool(wrong) if name == "missing" else run_tool(goldens, "--json", wrong)
    assert result.returncode == 2
    assert str(wrong) in result.stderr
    assert "Traceback" not in result.stderr
