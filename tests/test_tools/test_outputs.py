# SPDX-License-Identifier: Apache-2.0
"""Every tool that writes says before its work that it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest
from tool_modules import ROOT, load_tool

from visbench.apis.commands import demo
from visbench.apis.conversion import convert_checkpoint
from visbench.benchmark.commands import benchmark
from visbench.engine import commands as engine

DEMO = str(ROOT / "configs" / "idol" / "idol_demo_movingshapes.py")
CALLS = [
    ("analyze_logs", "none --out {}/curves.png", "--out"),
    ("analyze_logs", "none --csv {}/table.csv", "--csv"),
    ("browse_dataset", "none.py --out {}/sheet.png", "--out"),
    ("check_parity", "none --json {}/parity.json", "--json"),
    ("convert_dataset", "cvat none --out {}/out.json", "--out"),
    ("convert_dataset", "youtube-vis none --to davis --out {}", "--out"),
    ("convert_imagenet", "none --out {}", "--out"),
    ("dataset_statistics", "none --out {}/page.md", "--out"),
    ("evaluate", "none none --out {}/metrics.json", "--out"),
    ("get_flops", "none.py --json {}/flops.json", "--json"),
    ("get_training_memory", "none.py --json {}/memory.json", "--json"),
    ("make_shapes", "--videos 1 --root {}", "--root"),
    ("make_shapes", "--preview {}/sheet.png", "--preview"),
    ("print_config", "none.py --out {}/whole.py", "--out"),
    ("split_dataset", "none --out {}", "--out"),
]


@pytest.mark.parametrize(("tool", "words", "option"), CALLS)
def test_tools(
    tool: str, words: str, option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The other inputs are missing as well: what is written to is looked at before they are read.
    (tmp_path / "file").write_text("no folder")
    arguments = words.format(tmp_path / "file").split()
    assert load_tool(tool).main(arguments) != 0
    error = " ".join(capsys.readouterr().err.split())
    assert f"{option}: " in error and "file" in error and error.count("error") <= 1


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (f"compare {DEMO} --work-dir {{}}", "--work-dir"),
        (f"compare {DEMO} --work-dir {{}}.work --out {{}}/report", "--out"),
        ("claims --list --out {}/verdicts", "--out"),
        ("claims --work-dir {}.work --rows {}", "--rows"),
    ],
)
def test_benchmark(
    words: str, option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("no folder")
    assert benchmark(words.format(*[tmp_path / "file"] * 2).split()) == 2
    assert f"{option}: " in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("words", "option"),
    [
        ("--work-dir {}", "--work-dir"),
        ("--work-dir {}.work --out {}", "--out"),
        ("--work-dir {}.work --show-dir {}", "--show-dir"),
    ],
)
def test_training_and_test(
    words: str, option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("no folder")
    arguments = [DEMO, *words.format(*[tmp_path / "file"] * 2).split()]
    commands = [lambda: engine.test([arguments[0], str(tmp_path / "file"), *arguments[1:]])]
    if option == "--work-dir":
        commands.append(lambda: engine.train(arguments))
    for command in commands:
        assert engine.run_command(command) == 1
        assert f"{option}: " in capsys.readouterr().err


def test_demo_and_conversion(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "file"
    file.write_text("no folder")
    for words, option in (
        (["--out", f"{file}/o.mp4"], "--out"),
        (["--out", f"{tmp_path}/o.mp4", "--masks", str(file)], "--masks"),
        (["--out", f"{tmp_path}/o.mp4", "--contact-sheet", f"{file}/s.png"], "--contact-sheet"),
    ):
        assert demo([DEMO, str(file), "none.mp4", *words]) == 2
        assert f"{option}: " in capsys.readouterr().err
    words = [DEMO, "--source", "vnext", "none.pth", "--out", f"{file}/o.pth"]
    assert engine.run_command(lambda: convert_checkpoint(words)) == 1
    assert "--out: " in capsys.readouterr().err
