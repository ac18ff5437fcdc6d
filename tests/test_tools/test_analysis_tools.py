# SPDX-License-Identifier: Apache-2.0
"""Tools that look at a config, a log or the installation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tool_modules import ROOT, load_tool

IDOL = ROOT / "configs" / "idol"
DEMO = str(IDOL / "idol_demo_movingshapes.py")


@pytest.mark.parametrize(
    "name",
    [
        *("get_flops", "get_training_memory", "print_config", "analyze_logs", "collect_env"),
        "browse_dataset",
    ],
)
def test_help_teaches_by_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        load_tool(name).main(["--help"])
    output = capsys.readouterr().out
    assert end.value.code == 0
    assert f"python tools/{name}.py" in output.partition("examples:")[2]
    assert "exit status: 0" in output


def test_operations_of_a_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "flops.json"
    words = [DEMO, "--frame-size", "128", "192", "--json", str(out)]
    assert load_tool("get_flops").main(words) == 0
    found = json.loads(out.read_text())
    assert found["network_size"] == [128, 192]
    assert "whole model" in capsys.readouterr().out
    parts = found["parts"]
    assert {"backbone", "neck", "transformer"} <= set(parts)
    assert 0 < sum(part["gflops"] for part in parts.values()) <= found["gflops_per_frame"] + 1e-9
    # The stem alone: 3 -> 32 channels, 7x7, stride 2.
    words = [*words, "--depth", "2"]
    assert load_tool("get_flops").main(words) == 0
    stem = json.loads(out.read_text())["parts"]["backbone.conv1"]["gflops"]
    assert stem == pytest.approx(2 * 3 * 32 * 49 * 64 * 96 / 1e9)


def test_memory_of_a_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "memory.json"
    words = [DEMO, "--device", "cpu", "--frame-size", "64", "96", "--draws", "8"]
    options = ["--cfg-options", "train_dataloader.batch_size=1"]
    found = {}
    for name, added in (("two", []), ("one", options)):
        assert load_tool("get_training_memory").main([*words, "--json", str(out), *added]) == 0
        found[name] = json.loads(out.read_text())
    two, one = found["two"], found["one"]
    assert "2 samples, 4 frames, at most 64x96, float32" in capsys.readouterr().out
    assert (two["samples"], one["samples"], two["measured"]) == (2, 1, None)
    assert 1.7 < two["activations"] / one["activations"] < 2.1
    parts = ("weights", "gradients", "optimizer_state")
    assert [two[part] for part in parts] == [one[part] for part in parts]
    assert two["total"] == sum(two[part] for part in (*parts, "activations"))
    # AdamW keeps two values per parameter and counts the steps of each tensor.
    assert two["optimizer_state"] == pytest.approx(2 * two["gradients"], rel=0.01)


def test_a_config_is_printed_whole_in_part_and_against_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tool = load_tool("print_config")
    out = tmp_path / "whole.py"
    options = ["--cfg-options", "train_cfg.max_iters=7"]
    assert tool.main([DEMO, "--out", str(out), *options]) == 0
    assert "_base_" not in out.read_text()
    assert tool.main([str(out), "--diff", DEMO]) == 0
    changed = capsys.readouterr().out.splitlines()[2:]
    lines = [line for line in changed if line[0] in "+-"]
    assert [line[0] for line in lines] == ["-", "+"] and "max_iters=7" in lines[1]
    assert tool.main([DEMO, "--field", "param_scheduler.0.type"]) == 0
    assert capsys.readouterr().out.strip() == "type = 'LinearLR'"


@pytest.mark.parametrize(
    ("field", "words"),
    [("model.nek", "backbone"), ("param_scheduler.9", "0 to 1"), ("method_name.x", "a value")],
)
def test_an_unknown_field_shows_those_beside_it(
    field: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert load_tool("print_config").main([DEMO, "--field", field]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and words in error


def test_logs_are_tabulated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        folder = tmp_path / name / "20260101_000000" / "vis_data"
        folder.mkdir(parents=True)
        (folder / "scalars.json").write_text('{"loss": 2.5, "step": 10}\n')
    out = tmp_path / "curves.csv"
    words = [str(tmp_path / "a"), f"second={tmp_path / 'b'}", "--csv", str(out)]
    assert load_tool("analyze_logs").main(words) == 0
    assert "second" in capsys.readouterr().out
    assert out.read_text().splitlines()[1] == "a,loss,1,10,2.5,10,2.5"
    assert load_tool("analyze_logs").main([str(tmp_path / "none")]) == 1
    assert "no log" in capsys.readouterr().err


def test_the_environment(capsys: pytest.CaptureFixture[str]) -> None:
    assert load_tool("collect_env").main(["--json"]) == 0
    assert "operators" in json.loads(capsys.readouterr().out)


def test_errors_of_configs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("get_flops", "get_training_memory", "print_config"):
        assert load_tool(name).main([str(tmp_path / "none.py")]) == 1
        assert "none.py does not exist" in capsys.readouterr().err
    config = tmp_path / "config.py"
    config.write_text("a = 1\n")
    assert load_tool("get_flops").main([str(config)]) == 1
    assert "test_dataloader" in capsys.readouterr().err
    config.write_text("model = dict(type='visbench.IDOLTracker')\n")
    assert load_tool("get_training_memory").main([str(config), "--device", "cpu"]) == 1
    assert capsys.readouterr().err.startswith("error: ")
