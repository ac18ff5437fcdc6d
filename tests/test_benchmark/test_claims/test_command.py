# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import csv
from pathlib import Path

import pytest
from claims_bench import DATASET, ClaimsBench, worker_path

from visbench.benchmark.commands import benchmark, benchmark_parser


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ClaimsBench:
    monkeypatch.setenv("PYTHONPATH", worker_path())
    monkeypatch.setenv("FAKE_CALLS", str(tmp_path / "calls.txt"))
    monkeypatch.setattr("visbench.benchmark.claims_command.WORKER", "claims_worker")
    bench = ClaimsBench(tmp_path)
    bench.config("a", [5.0, 6.0], width=1)
    bench.config("b", [1.0, 2.1], width=2)
    bench.claims(("a", "b"))
    return bench


def claims(bench: ClaimsBench, *words: str) -> int:
    places = ["--claims", str(bench.file), "--rows", str(bench.rows)]
    return benchmark(["claims", *places, "--work-dir", str(bench.work_dir), *words])


def test_a_list_runs_nothing(bench: ClaimsBench, capsys: pytest.CaptureFixture[str]) -> None:
    assert claims(bench, "--list") == 0
    assert "1 claims: 0 reproduced, 0 not reproduced, 0 undecided, 1 not run" in (
        capsys.readouterr().out
    )
    assert bench.calls == []
    assert not bench.work_dir.exists()


def test_from_nothing_to_a_verdict(
    bench: ClaimsBench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = bench.folder / "report" / "claims"
    words = ["--seed", "0", "1", "--device", "cpu", "--budget", "2h"]
    assert claims(bench, *words, "--out", str(out)) == 0
    shown = capsys.readouterr().out
    assert "1 reproduced" in shown
    assert bench.calls[0] == "data a b"
    assert len(bench.calls) == 9
    (line,) = csv.DictReader((bench.folder / "report" / "claims.csv").open())
    assert (line["n"], line["seeds"], line["difference"]) == ("2", "0 1", "+3.9500")
    assert "**reproduced**" in out.with_suffix(".md").read_text()
    assert claims(bench, *words) == 0
    assert bench.calls.count("train a") == 2


def test_a_failed_run_is_the_exit_status(bench: ClaimsBench) -> None:
    bench.config("b", [1.0], "error = 'test'", width=2)
    assert claims(bench, "--seed", "0", "--device", "cpu") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--claim", "x"], "claim 'x' does not exist; there are a-b"),
        (["--add", "a.py", "0"], "--add a.py 0: give CONFIG SEED FOLDER"),
        (["--add", "a.py", "one", "x"], "--add a.py one x: give CONFIG SEED FOLDER"),
        (["--cluster", "fast", "--device", "cpu"], "--cluster fast: write NAME=VALUE"),
        (["--import", "none.csv"], "none.csv does not exist"),
    ],
)
def test_mistakes(
    bench: ClaimsBench, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert claims(bench, *words) == 2
    assert message in capsys.readouterr().err
    assert bench.calls == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--budget", "90"], "budget '90' is no time; write hours, minutes"),
        (["--jobs", "0"], "'0' must be a whole number of at least 1"),
        (["--executor", "pbs"], "invalid choice: 'pbs'"),
    ],
)
def test_words_that_cannot_be_read(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        benchmark_parser().parse_args(["claims", *words])
    assert message in capsys.readouterr().err


def test_tables_of_before_are_imported(
    bench: ClaimsBench, capsys: pytest.CaptureFixture[str]
) -> None:
    table = bench.folder / "old.csv"
    lines = [f"M,{name}.py,{DATASET},0,{ap}" for name, ap in (("a", 3.0), ("b", 1.0))]
    table.write_text("\n".join(["method,config,dataset,seed,AP", *lines]))
    assert claims(bench, "--import", str(table)) == 0
    shown = capsys.readouterr().out
    assert "2 rows added, 0 were there" in shown
    assert "1 not run" in shown
    assert claims(bench, "--list", "--include-unversioned") == 0
    assert "1 undecided" in capsys.readouterr().out
