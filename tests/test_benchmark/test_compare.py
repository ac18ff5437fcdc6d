# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from visbench.benchmark import RowStore, compare
from visbench.benchmark.foreign import ForeignResults
from visbench.engine.errors import UserError
from visbench.testing.goldens.evaluation import load_case

GOLDENS = Path(__file__).parents[1] / "data" / "goldens" / "evaluation"


class Bench:
    """A work folder, configs and the fake worker."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.work_dir = folder / "work"
        self.calls_file = folder / "calls.txt"
        self.output = io.StringIO()

    def config(self, name: str, text: str = "") -> Path:
        path = self.folder / f"{name}.py"
        path.write_text(f"name = {name!r}\n{text}\n")
        return path

    def compare(self, *configs: Path, seeds: tuple[int, ...] = (0,), **options: Any) -> int:
        console = Console(file=self.output, width=220)
        done = {"console": console, "worker": "fake_worker", **options}
        return compare(configs, self.work_dir, None, "cpu", seeds, **done)

    @property
    def calls(self) -> list[str]:
        return self.calls_file.read_text().splitlines() if self.calls_file.exists() else []

    @property
    def table(self) -> list[dict[str, str]]:
        text = (self.work_dir / "report.csv").read_text()
        return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.setenv("FAKE_CALLS", str(tmp_path / "calls.txt"))
    return Bench(tmp_path)


def test_rows_reports_and_overlays(bench: Bench) -> None:
    assert bench.compare(bench.config("one"), bench.config("two")) == 0
    assert bench.calls == [
        *("data one two", "train one", "test one", "train two", "test two", "controls one"),
    ]
    first, second, *controls = bench.table
    assert (first["method"], Path(first["config"]).name) == ("Fake", "one.py")
    assert Path(second["config"]).name == "two.py"
    assert (first["AP"], first["AR1"], first["training_s"]) == ("41.2500", "", "90.0000")
    assert [row["kind"] for row in controls] == ["control"] * 3
    assert Path(first["overlay"]).read_bytes() == b"video"
    markdown = (bench.work_dir / "report.md").read_text()
    assert "| Fake | one | movingshapes-v1-easy-val | 0 | 41.2 |" in markdown
    assert "cpu on two cores; torch 2.11.0" in markdown
    shown = bench.output.getvalue()
    assert "one seed 0: train: 2/2" in shown
    assert "41.2" in shown


def test_a_second_call_starts_no_process(bench: Bench) -> None:
    config = bench.config("one")
    bench.compare(config)
    before = bench.calls
    rows = sorted(path.read_bytes() for path in (bench.work_dir / "rows").iterdir())
    assert bench.compare(config) == 0
    assert bench.calls == before
    assert rows == sorted(path.read_bytes() for path in (bench.work_dir / "rows").iterdir())
    assert len(bench.table) == 4


def test_a_changed_config_is_a_new_run(bench: Bench) -> None:
    bench.compare(bench.config("one"))
    bench.compare(bench.config("one", "learning_rate = 2"))
    assert bench.calls.count("train one") == 2
    assert len(list((bench.work_dir / "rows").glob("one__*.json"))) == 2


def test_seeds_are_rows(bench: Bench) -> None:
    bench.compare(bench.config("one"), seeds=(3, 4, 3))
    assert [row["seed"] for row in bench.table if row["kind"] == "method"] == ["3", "4"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("error = 'train'", "train: the loss is infinite"),
        ("error = 'test'", "test: the loss is infinite"),
        (
            "crash = 'train'",
            "train: the process was ended by SIGKILL; was there too little memory?",
        ),
        ("exit = 'test'", "test: exit status 3: last words"),
    ],
)
def test_a_failure_is_a_row_and_the_others_go_on(bench: Bench, text: str, reason: str) -> None:
    assert bench.compare(bench.config("bad", text), bench.config("good")) == 1
    bad, good = bench.table[:2]
    assert (bad["status"], bad["reason"], bad["AP"]) == ("failed", reason, "")
    assert "an ordinary line" in Path(bad["log"]).read_text()
    assert (good["status"], good["AP"]) == ("finished", "41.2500")
    markdown = (bench.work_dir / "report.md").read_text()
    assert f"failed: {reason}; log: {bad['log']}" in markdown


def test_a_failed_run_goes_on_where_it_stopped(bench: Bench) -> None:
    config = bench.config("one", "error = 'test'")
    assert bench.compare(config) == 1
    (run,) = (bench.work_dir / "runs").glob("one__*")
    # The cause is gone; the config must stay the same, so the fake's test result is put there.
    facts = {"method": "Fake", "dataset": "d", "AP": 1.0}
    (run / "test.json").write_text(json.dumps(facts))
    assert bench.compare(config) == 0
    assert bench.calls.count("train one") == 1
    assert bench.table[0]["AP"] == "1.0000"
    assert len(list((bench.work_dir / "rows").glob("one__*.failed-1.json"))) == 1


def test_an_interrupted_test_does_not_train_again(bench: Bench) -> None:
    config = bench.config("one")
    bench.compare(config)
    (run,) = (bench.work_dir / "runs").glob("one__*")
    (run / "test.json").unlink()
    next((bench.work_dir / "rows").glob("one__*")).unlink()
    bench.compare(config)
    assert bench.calls.count("train one") == 1
    assert bench.calls.count("test one") == 2


def test_missing_and_broken_configs_start_nothing(bench: Bench) -> None:
    good = bench.config("good")
    with pytest.raises(UserError, match=r"none\.py does not exist"):
        bench.compare(good, bench.folder / "none.py")
    with pytest.raises(UserError, match=r"bad\.py has a mistake in line 2"):
        bench.compare(good, bench.config("bad", "a = ("))
    (bench.folder / "sub").mkdir()
    twin = bench.folder / "sub" / "good.py"
    twin.write_text("")
    with pytest.raises(UserError, match="two configs are named good"):
        bench.compare(good, twin)
    assert bench.calls == []


def test_a_damaged_row_names_the_file(bench: Bench) -> None:
    config = bench.config("one")
    bench.compare(config)
    path = next((bench.work_dir / "rows").glob("one__*"))
    path.write_text('{"method": "Fa')
    with pytest.raises(UserError, match=rf"row {path} cannot be read .*move it away"):
        bench.compare(config)


def test_two_comparisons_in_one_folder(bench: Bench) -> None:
    import fcntl

    bench.work_dir.mkdir()
    with (bench.work_dir / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another comparison is running"):
            bench.compare(bench.config("one"))


def test_rows_are_found_again_by_the_store(bench: Bench) -> None:
    config = bench.config("one")
    bench.compare(config)
    (path,) = (bench.work_dir / "rows").glob("one__movingshapes-v1-easy-val__seed0__*.json")
    digest = path.stem.split("__")[-1]
    row = RowStore(bench.work_dir / "rows").finished(config, 0, digest)
    assert row is not None
    assert row.versions == {"torch": "2.11.0"}


def test_one_training_is_tested_on_several_data_sets(bench: Bench) -> None:
    config, data = bench.config("one"), ("easy", "occluded")
    assert bench.compare(config, seeds=(0, 1), datasets=data) == 0
    assert [call for call in bench.calls if call.startswith(("train", "test"))] == [
        *("train one", "test one", "test one"),
        *("train one", "test one", "test one"),
    ]
    rows = [row for row in bench.table if row["kind"] == "method"]
    names = [f"movingshapes-v1-{name}-val" for name in data]
    assert [(row["dataset"], row["seed"]) for row in rows] == [
        *((names[0], "0"), (names[0], "1"), (names[1], "0"), (names[1], "1")),
    ]
    # The config's own data are `easy`: asked for or not, they are the same test.
    run = bench.work_dir / "runs" / f"one__seed0__{rows[0]['config_hash']}"
    tests = {path.name for path in run.glob("test*.json")}
    assert tests == {"test.json", f"test_{names[1]}.json"}
    summary = csv.DictReader(io.StringIO((bench.work_dir / "report-summary.csv").read_text()))
    assert [row["n"] for row in summary if row["kind"] == "method"] == ["2", "2"]


def test_a_data_set_that_is_added_costs_a_test_only(bench: Bench) -> None:
    config = bench.config("one")
    bench.compare(config)
    before = bench.calls
    assert bench.compare(config, datasets=("own", "crowded")) == 0
    assert bench.calls[len(before) :] == ["data one", "test one", "controls one"]
    after = bench.calls
    assert bench.compare(config, datasets=("easy", "crowded")) == 0
    assert bench.calls[len(after) :] == ["data one"], "`easy` is found to be the config's own"
    assert bench.compare(config, datasets=("easy", "crowded")) == 0
    assert len(bench.calls) == len(after) + 1


def test_a_training_that_fails_is_tried_once_for_all_its_tests(bench: Bench) -> None:
    config = bench.config("one", "error = 'train'")
    assert bench.compare(config, datasets=("easy", "occluded")) == 1
    assert bench.calls.count("train one") == 1
    failed = [row for row in bench.table if row["kind"] == "method"]
    assert [row["dataset"].split("-")[2] for row in failed] == ["easy", "occluded"]
    assert {row["reason"] for row in failed} == {"train: the loss is infinite"}


def test_a_row_is_found_where_the_data_have_no_name_yet(bench: Bench) -> None:
    config = bench.config("one", "unnamed = True")
    assert bench.compare(config) == 0
    assert bench.compare(config) == 0
    assert bench.calls.count("train one") == bench.calls.count("test one") == 1


@pytest.mark.parametrize("again", [False, True])
def test_a_name_of_data_stands_for_the_same_data(bench: Bench, again: bool) -> None:
    config = bench.config("one")
    first, other = "name=mine,preset=long", "name=Mine,preset=crowded"
    if again:
        bench.compare(config, datasets=(first,))
        # As the worker names them.
        (path,) = (bench.work_dir / "datasets").iterdir()
        path.write_text(json.dumps({"": "movingshapes-v1-easy-val", first: "mine"}))
    before = bench.calls
    datasets = (other,) if again else (first, other)
    with pytest.raises(UserError, match=r"the name 'Mine|the name 'mine' stands for"):
        bench.compare(config, datasets=datasets)
    assert bench.calls == before
    if again:
        own = "name=movingshapes-v1-easy-val,preset=long"
        with pytest.raises(UserError, match="stands for 'own' in"):
            bench.compare(config, datasets=(own,))


def test_rows_of_other_code_are_taken_over_and_named(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = bench.config("one")
    bench.compare(config)
    (path,) = (bench.work_dir / "rows").glob("one__*.json")
    row = json.loads(path.read_text())
    path.write_text(json.dumps({**row, "versions": {"visbench": "0.0.1+abc"}}))
    bench.compare(config)
    assert "finished before, by visbench 0.0.1+abc (this is " in bench.output.getvalue()


def test_an_interruption_keeps_foreign_rows(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    case = load_case(GOLDENS, "basic")
    annotations, results = bench.folder / "gt.json", bench.folder / "theirs.json"
    annotations.write_text(json.dumps(case["gt"]))
    results.write_text(json.dumps(case["results"]))
    foreign = ForeignResults({"theirs": results}, annotations)

    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("visbench.benchmark.comparison.Comparison.row", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bench.compare(bench.config("one"), foreign=foreign)
    assert len(list((bench.work_dir / "rows").glob("theirs__*.json"))) == 1


def test_data_that_are_not_written_as_they_must_be_start_nothing(bench: Bench) -> None:
    with pytest.raises(UserError, match="add name=NAME"):
        bench.compare(bench.config("one"), datasets=("data_root=elsewhere",))
    assert bench.calls == []


def test_foreign_results_stand_in_the_same_table(bench: Bench) -> None:
    case = load_case(GOLDENS, "basic")
    annotations, results = bench.folder / "gt.json", bench.folder / "theirs.json"
    annotations.write_text(json.dumps(case["gt"]))
    results.write_text(json.dumps(case["results"]))
    config = bench.config("one")
    foreign = ForeignResults({"theirs": results}, annotations, "movingshapes-v1-easy-val")
    assert bench.compare(config, foreign=foreign) == 0
    assert [row["kind"] for row in bench.table] == ["method", "foreign", *["control"] * 3]
    assert bench.table[1]["AP"] == f"{100 * case['expected']['stats'][0]:.4f}"
    assert "Made elsewhere" in (bench.work_dir / "report.md").read_text()
    assert "theirs" in bench.output.getvalue()
    missing = ForeignResults({"theirs": bench.folder / "none.json"}, annotations)
    before = bench.calls
    with pytest.raises(UserError, match="no such file"):
        bench.compare(config, bench.config("two"), foreign=missing)
    assert bench.calls == before
