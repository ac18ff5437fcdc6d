# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tool() -> ModuleType:
    path = ROOT / "tools" / "dataset_statistics.py"
    spec = importlib.util.spec_from_file_location("dataset_statistics", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_tables_are_printed_and_written(
    tool: ModuleType, tiny_youtube_vis: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "train.md"
    assert tool.main([str(tiny_youtube_vis / "train.json"), "--out", str(out)]) == 0
    assert "frames without object" in capsys.readouterr().out
    assert "| disc | 3 | 3 | 14 |" in out.read_text()


def test_errors(tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tool.main([str(tmp_path / "none.json")]) == 2
    assert "none.json" in "".join(capsys.readouterr().err.split("\n"))
    with pytest.raises(SystemExit):
        tool.main(["x.json", "--out", "page.pdf"])
    assert ".md or .html" in capsys.readouterr().err
