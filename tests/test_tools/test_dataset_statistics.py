# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
from tool_modules import load_tool


def test_tables_are_printed_and_written(
    tiny_youtube_vis: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "train.md"
    assert (
        load_tool("dataset_statistics").main(
            [str(tiny_youtube_vis / "train.json"), "--out", str(out)]
        )
        == 0
    )
    assert "frames without object" in capsys.readouterr().out
    assert "| disc | 3 | 3 | 14 |" in out.read_text()


def test_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert load_tool("dataset_statistics").main([str(tmp_path / "none.json")]) == 2
    assert "none.json" in "".join(capsys.readouterr().err.split("\n"))
    with pytest.raises(SystemExit):
        load_tool("dataset_statistics").main(["x.json", "--out", "page.pdf"])
    assert ".md or .html" in capsys.readouterr().err
