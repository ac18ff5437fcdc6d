# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import gzip
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from visbench.evaluation import evaluate, write_submission
from visbench.testing.goldens.evaluation import load_case

ROOT = Path(__file__).parents[2]
TOOL = ROOT / "tools" / "evaluate.py"
GOLDENS = ROOT / "tests" / "data" / "goldens" / "evaluation"


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("evaluate_tool", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_case(case: str, folder: Path) -> tuple[str, str, dict[str, Any]]:
    content = load_case(GOLDENS, case)
    paths = folder / f"{case}_gt.json", folder / f"{case}.json"
    for path, key in zip(paths, ("gt", "results"), strict=True):
        path.write_text(json.dumps(content[key]))
    return str(paths[0]), str(paths[1]), content["expected"]


@pytest.mark.parametrize(
    ("case", "metric", "flags"),
    [
        ("basic", "youtube_vis", []),
        ("ovis_levels", "ovis", []),
        ("box_basic", "imagenet_vid", []),
        ("class_agnostic", "youtube_vis", ["--class-agnostic"]),
        ("gt_id_zero", "youtube_vis", ["--official-bugs"]),
    ],
)
def test_numbers_are_written(
    case: str, metric: str, flags: list[str], tool: ModuleType, tmp_path: Path
) -> None:
    gt, results, expected = write_case(case, tmp_path)
    out = tmp_path / "metrics.json"
    assert tool.main([gt, results, "--metric", metric, "--out", str(out), *flags]) == 0
    numbers = json.loads(out.read_text())
    assert list(numbers) == [metric]
    assert list(numbers[metric].values()) == expected["stats"]


def test_all_metrics_that_apply(
    tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gt, results, expected = write_case("ovis_levels", tmp_path)
    out = tmp_path / "metrics.json"
    assert tool.main([gt, results, "--metric", "all", "--table", "--out", str(out)]) == 0
    numbers = json.loads(out.read_text())
    assert list(numbers) == ["youtube_vis", "ovis", "hota", "errors"]
    assert list(numbers["youtube_vis"].values()) == expected["stats_youtube_vis"]
    assert list(numbers["ovis"].values()) == expected["stats"]
    text = capsys.readouterr().out
    assert "AP_heavy" in text
    assert f"{100 * numbers['ovis']['AP']:.2f}" in text
    assert "AP per category" in text
    gt, results, expected = write_case("box_basic", tmp_path)
    assert tool.main([gt, results, "--metric", "all", "--out", str(out)]) == 0
    assert list(json.loads(out.read_text())) == ["imagenet_vid"]


def test_everything_in_one_pass(
    tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gt, results, expected = write_case("ovis_levels", tmp_path)
    out = tmp_path / "metrics.json"
    words = ["--oracle", "ids", "--breakdown", "--bootstrap", "20", "--seed", "1", "--per-video"]
    assert tool.main([gt, results, "--metric", "all", *words, "--out", str(out)]) == 0
    numbers = json.loads(out.read_text())
    metrics = ["youtube_vis", "ovis", "hota", "errors"]
    assert list(numbers) == [*metrics, "oracle_ids", "breakdown", "per_video", "bootstrap"]
    assert list(numbers["hota"]) == ["HOTA", "DetA", "AssA", "LocA", "IDF1"]
    assert list(numbers["oracle_ids"]) == ["youtube_vis", "ovis"]
    assert list(numbers["ovis"].values()) == expected["stats"]
    assert set(numbers["breakdown"]["hota"]) <= {
        "class",
        "video_length",
        "object_size",
        "motion",
        "occlusion",
    }
    low, high = numbers["bootstrap"]["intervals"]["ovis"]["AP"]
    assert low <= numbers["ovis"]["AP"] <= high
    assert numbers["bootstrap"]["resamples"] == 20
    text = capsys.readouterr().out
    for word in ("true identities", "95 % interval", "by motion", "per video", "missed"):
        assert word in text


def test_threshold_of_hota_leaves_out_weak_predictions(tool: ModuleType, tmp_path: Path) -> None:
    gt, results, _ = write_case("basic", tmp_path)
    found = []
    for words in ([], ["--hota-score-threshold", "0.5"]):
        out = tmp_path / "metrics.json"
        assert tool.main([gt, results, "--metric", "hota", "--out", str(out), *words]) == 0
        found.append(json.loads(out.read_text())["hota"]["DetA"])
    assert found[0] != found[1]


def test_oracle_needs_masks(
    tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gt, results, _ = write_case("box_basic", tmp_path)
    assert tool.main([gt, results, "--metric", "all", "--oracle", "ids"]) == 2
    assert "allows imagenet_vid, but oracle 'ids'" in capsys.readouterr().err


def test_bad_input_is_one_line_on_stderr(
    tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gt, results, _ = write_case("basic", tmp_path)
    records = json.loads(Path(results).read_text())
    records[5]["score"] = float("nan")
    Path(results).write_text(json.dumps(records))
    out = tmp_path / "metrics.json"
    assert tool.main([gt, results, "--out", str(out)]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith(f"error: {results}: record 5: field 'score'")
    assert output.err.count("\n") == 1
    assert not out.exists()
    assert tool.main([gt, results, "--tolerant"]) == 0
    assert "skipped: " in capsys.readouterr().err
    assert tool.main([gt, str(tmp_path / "none.json")]) == 2
    assert "no such file" in capsys.readouterr().err
    assert tool.main([gt, results, "--out", str(tmp_path / "basic.json" / "m.json")]) == 2
    assert "cannot be written" in capsys.readouterr().err
    assert tool.main([gt, results, "--tolerant", "--out", str(tmp_path)]) == 2
    found = capsys.readouterr()
    assert "is a folder" in found.err and "skipped" not in found.err, "before work begins"


def test_check(tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gt, results, _ = write_case("basic", tmp_path)
    path = str(write_submission(results, tmp_path / "submission.zip", gt))
    assert tool.main(["--check", path, "--against", gt]) == 0
    assert "0 problems: fit for submission" in capsys.readouterr().out
    other, _, _ = write_case("ovis_levels", tmp_path)
    assert tool.main(["--check", path, "--against", other]) == 1
    output = capsys.readouterr()
    assert "not fit for submission" in output.out
    assert "problem: " in output.err
    assert "more problems" in output.err
    assert tool.main(["--check", path]) == 0
    assert "were not checked" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["ann.json"],
        ["a", "b", "--against", "c"],
        ["a", "--check", "b"],
        ["a", "b", "--bootstrap", "-1"],
        ["a", "b", "--metric", "hota", "--oracle", "ids"],
        ["a", "b", "--metric", "davis", "--oracle", "ids"],
    ],
)
def test_usage_errors(arguments: list[str], tool: ModuleType) -> None:
    with pytest.raises(SystemExit) as stopped:
        tool.main(arguments)
    assert stopped.value.code == 2


def test_script_runs_alone_and_its_help_teaches() -> None:
    done = subprocess.run(
        [sys.executable, str(TOOL), "--help"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        check=False,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )
    assert done.returncode == 0, done.stderr
    for words in ("examples:", "--official-bugs", "results.json", "exit code", "davis", "--oracle"):
        assert words in done.stdout


def test_several_results_are_lines_of_one_table(
    tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gt, results, expected = write_case("basic", tmp_path)
    fewer = tmp_path / "fewer.json.gz"
    fewer.write_bytes(gzip.compress(json.dumps(json.loads(Path(results).read_text())[:6]).encode()))
    out = tmp_path / "metrics.json"
    words = [gt, f"ours={results}", str(fewer), "--bootstrap", "20", "--out", str(out)]
    assert tool.main(words) == 0
    numbers = json.loads(out.read_text())
    assert list(numbers) == ["ours", "fewer"]
    assert list(numbers["ours"]["youtube_vis"].values()) == expected["stats"]
    alone = evaluate(gt, fewer).to_dict()
    assert numbers["fewer"]["youtube_vis"] == alone["youtube_vis"] != numbers["ours"]["youtube_vis"]
    text = capsys.readouterr().out
    lines = {line.split()[1]: line for line in text.splitlines() if line.startswith("│")}
    for name in ("ours", "fewer"):
        assert f"{100 * numbers[name]['youtube_vis']['AP']:.2f}" in lines[name]
        low, high = numbers[name]["bootstrap"]["intervals"]["youtube_vis"]["AP"]
        assert f"{100 * low:.2f} to {100 * high:.2f}" in text
    with pytest.raises(SystemExit):
        tool.main([gt, f"a={results}", f"a={fewer}"])
    assert "two results are named 'a'" in capsys.readouterr().err
    assert tool.main([gt, results, str(tmp_path / "none.json")]) == 2
    found = capsys.readouterr()
    assert "none.json" in found.err and not found.out


def test_a_bad_file_among_several_costs_only_its_line(
    tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gt, results, expected = write_case("basic", tmp_path)
    bad, out = tmp_path / "bad.json", tmp_path / "metrics.json"
    records = json.loads(Path(results).read_text())
    bad.write_text(json.dumps([*records[:5], {**records[5], "score": float("nan")}]))
    words = [f"ours={results}", f"theirs={bad}", "--out", str(out)]
    assert tool.main([gt, *words]) == 3
    found = capsys.readouterr()
    assert "│ ours" in found.out and "theirs" not in found.out
    assert found.err.startswith(f"error: theirs: {bad}: record 5: field 'score'")
    numbers = json.loads(out.read_text())
    assert list(numbers) == ["ours"]
    assert list(numbers["ours"]["youtube_vis"].values()) == expected["stats"]
    out.unlink()
    assert tool.main([gt, f"a={bad}", f"b={bad}", "--out", str(out)]) == 2
    found = capsys.readouterr()
    assert found.err.count("error: ") == 2 and not found.out and not out.exists()
    Path(gt).write_text(Path(gt).read_text().replace('"width"', '"wide"'))
    assert tool.main([gt, *words]) == 2
    assert capsys.readouterr().err.count("error: ") == 1, "the annotations are read by all"


@pytest.mark.parametrize("metric", ["youtube_vis", "davis", "all"])
def test_all_files_are_looked_at_before_the_first_is_read(
    tool: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    metric: str,
) -> None:
    gt, results, _ = write_case("basic", tmp_path)
    other = tmp_path / "text.json"
    other.write_text('{"results": []}')
    if metric == "davis":
        gt = results = str(tmp_path)
    monkeypatch.setattr(tool, "evaluate", None)
    assert tool.main([gt, results, str(other), "--metric", metric]) == 2
    assert str(other) in capsys.readouterr().err
