# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from visbench.benchmark import RowStore, compare
from visbench.engine.errors import UserError


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

    def compare(self, *configs: Path, seeds: tuple[int, ...] = (0,)) -> int:
        console = Console(file=self.output, width=220)
        return compare(
            configs, self.work_dir, None, "cpu", seeds, console=console, worker="fake_worker"
        )

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
