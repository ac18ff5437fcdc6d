# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import csv
import io

import pytest
from rich.console import Console

from visbench.benchmark import Row
from visbench.benchmark.csv_files import CSV_COLUMNS, csv_text
from visbench.benchmark.tables import failures, markdown, terminal_table

FINISHED = Row(
    "InsPro",
    "configs/inspro_demo.py",
    "easy",
    0,
    AP=47.123456,
    AP50=70.0,
    AP75=50.0,
    AR1=40.0,
    AR10=55.0,
    parameters_m=2.5,
    gflops_per_frame=1.234,
    training_s=150.0,
    fps=21.06,
    host_memory_mb=900.4,
    machine="two cores",
    device="cpu",
    versions={"torch": "2.11.0"},
)
FAILED = Row("IAI", "configs/iai.py", "easy", 1, status="failed", reason="a | b", log="x/train.log")
CONTROL = Row("floor: colours + IoU", "", "easy", 0, AP=20.0, kind="control")
ROWS = [CONTROL, FINISHED, FAILED]


def _text(width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(terminal_table(ROWS, width))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_csv_has_points_and_all_columns() -> None:
    first, second, control = list(csv.DictReader(io.StringIO(csv_text(ROWS))))
    assert tuple(first) == CSV_COLUMNS
    assert CSV_COLUMNS[:9] == (
        *("method", "config", "dataset", "seed", "AP", "AP50", "AP75", "AR1", "AR10"),
    )
    assert (first["AP"], first["fps"], first["device_memory_mb"]) == ("47.1235", "21.0600", "")
    assert first["versions"] == "torch 2.11.0"
    assert (second["status"], second["reason"], second["AP"]) == ("failed", "a | b", "")
    assert control["kind"] == "control"


def test_markdown_marks_controls_and_explains_failures() -> None:
    text = markdown(ROWS)
    assert "| InsPro | inspro_demo | easy | 0 | 47.1 | 70.0 | 50.0 | 40.0 | 55.0 | 2.50 |" in text
    assert "| *floor: colours + IoU* | - | easy | - | 20.0 |" in text
    assert "- IAI (configs/iai.py, seed 1) failed: a | b; log: x/train.log" in text
    assert "torch.utils.flop_counter" in text
    assert "cpu on two cores; torch 2.11.0" in text
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") - line.count("\\|") for line in lines}) == 1


def test_controls_come_last() -> None:
    text = _text(200)
    assert text.index("InsPro") < text.index("IAI") < text.index("floor")


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_no_number_is_cut_off_at_any_width(width: int) -> None:
    text = _text(width)
    assert "…" not in text
    assert all(len(line) <= width for line in text.splitlines())
    assert "47.1" in text
    assert "finished" in text
    assert ("GFLOPs" in text) == (width == 200)


def test_failures_say_why_and_where() -> None:
    assert failures(ROWS) == ["IAI (configs/iai.py, seed 1) failed: a | b; log: x/train.log"]


def test_brackets_in_names_are_shown() -> None:
    console = Console(file=io.StringIO(), width=200)
    row = Row("sam[v2] [/x]", "", "own[1]", 0, AP=1.0, kind="foreign")
    console.print(terminal_table([row], 200))
    assert isinstance(console.file, io.StringIO)
    assert "sam[v2] [/x]" in console.file.getvalue()
    assert "on own[1]" in console.file.getvalue()


def test_a_reason_of_several_lines_is_one() -> None:
    row = Row("IAI", "iai.py", "easy", 1, status="failed", reason="one\n\n  two")
    assert failures([row]) == ["IAI (iai.py, seed 1) failed: one two"]
