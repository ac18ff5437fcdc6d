# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from claims_bench import ClaimsBench, worker_path
from rich.console import Console

from visbench.benchmark.claims.campaign import Campaign, Judge, plan_runs
from visbench.benchmark.claims.data import ClaimBook, read_claims
from visbench.benchmark.claims.executors import Executor, LocalExecutor
from visbench.benchmark.claims.rows import ClaimRows
from visbench.benchmark.claims.training import resolve, write_derived
from visbench.benchmark.claims.unit import Terms, Unit, run_unit
from visbench.benchmark.rows import Row


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ClaimsBench:
    monkeypatch.setenv("PYTHONPATH", worker_path())
    monkeypatch.setenv("FAKE_CALLS", str(tmp_path / "calls.txt"))
    return ClaimsBench(tmp_path)


class ClockedExecutor(Executor):
    """Runs nothing: units end in the order of their times, which the clock follows."""

    def __init__(self, terms: Terms, slots: int, seconds: float = 100.0) -> None:
        super().__init__(terms, slots)
        self.now = 0.0
        self.seconds = seconds
        self.started: list[str] = []
        self.most = 0
        self._ends: list[tuple[float, int, Unit]] = []

    def submit(self, unit: Unit) -> None:
        assert unit.training_name not in {other.training_name for _, _, other in self._ends}
        self.started.append(unit.title)
        self._ends.append((self.now + self.seconds, len(self.started), unit))
        self.most = max(self.most, len(self._ends))

    def finished(self) -> list[tuple[Unit, list[Row]]]:
        self._ends.sort(key=lambda entry: entry[:2])
        self.now, _, unit = self._ends.pop(0)
        rows = []
        for run in unit.runs:
            ap = json.loads(Path(run.config).read_text().splitlines()[0].removeprefix("ap = "))
            values = {"method": "M", "config": run.config, "dataset": run.dataset}
            values |= {"seed": run.seed, "AP": ap[run.seed], "config_hash": run.digest}
            values |= {"training_s": self.seconds - 10, "details": {"test_s": 10.0}}
            values |= {"versions": {"visbench": run.training_name.rpartition("__")[2]}}
            rows.append(Row.from_dict(values))
            ClaimRows(self.terms.rows).add(rows[-1])
        return [(unit, rows)]

    def cancel(self) -> None:
        self._ends.clear()

    def close(self) -> None:
        assert not self._ends


def clocked(
    bench: ClaimsBench,
    book: ClaimBook,
    budget: float | None = None,
    slots: int = 1,
    seeds: tuple[int, ...] = (0, 1, 2),
) -> tuple[ClockedExecutor, str]:
    terms = Terms(bench.work_dir, bench.rows)
    executor = ClockedExecutor(terms, slots)
    output = io.StringIO()
    Campaign(
        book.claims,
        plan_runs(book.claims, seeds, book, terms),
        terms,
        Judge(),
        executor,
        Console(file=output, width=200),
        budget,
        clock=lambda: executor.now,
    ).run()
    return executor, output.getvalue()


def test_every_claim_gets_a_pair_then_the_undecided_ones_more(bench: ClaimsBench) -> None:
    bench.config("clear1", [9.0, 9.0, 9.1], width=1)
    bench.config("clear2", [1.0, 1.0, 1.0], width=2)
    bench.config("vague1", [5.0, 3.0, 4.0], width=3)
    bench.config("vague2", [4.0, 4.0, 4.0], width=4)
    book = bench.claims(("clear1", "clear2"), ("vague1", "vague2"))
    executor, _ = clocked(bench, book)
    assert executor.started == [
        *("clear1 seed 0", "clear2 seed 0", "vague1 seed 0", "vague2 seed 0"),
        *("clear1 seed 1", "clear2 seed 1", "vague1 seed 1", "vague2 seed 1"),
        # The first claim is decided now: its third seed is the last thing to do.
        *("vague1 seed 2", "vague2 seed 2", "clear1 seed 2", "clear2 seed 2"),
    ]
    outcomes = [v.outcome for v in Judge().verdicts(book.claims, ClaimRows(bench.rows).all())]
    assert outcomes == ["reproduced", "undecided"]


def test_nothing_starts_that_would_end_after_the_budget(bench: ClaimsBench) -> None:
    for name, ap in (("a", 2.0), ("b", 1.0), ("c", 3.0)):
        bench.config(name, [ap] * 3, width=ord(name))
    book = bench.claims(("a", "b"), ("a", "c"))
    # Nothing is known yet, so a pair is expected to take 2 * 360 s.
    executor, text = clocked(bench, book, budget=700)
    assert executor.started == []
    assert "stopped: a-b with seed 0 would take 12.0 minutes; 11.7 of the budget are left" in text
    # 100 s each from the first row on: a, b, c of seed 0 and one half pair do not fit into 720 s,
    # but a and b of seed 1, c of seed 1 and the third seed's first pair's 200 s do not exceed 800.
    executor, text = clocked(bench, book, budget=720)
    assert executor.started == [
        *("a seed 0", "b seed 0", "c seed 0", "a seed 1", "b seed 1", "c seed 1"),
    ]
    assert executor.now <= 720
    assert "2.0 of the budget are left" in text


def test_a_pair_that_fits_is_started_though_one_before_does_not(bench: ClaimsBench) -> None:
    for name in ("a", "b", "c"):
        bench.config(name, [1.0, 1.0], width=ord(name))
    bench.config("a2", [2.0, 2.0], width=ord("a"), top_k=2)
    clocked(bench, bench.claims(("a", "a2")), seeds=(0,))
    book = bench.claims(("b", "c"), ("a", "a2"))
    # b and c are two trainings and come first; a and a2 share one.
    executor, _ = clocked(bench, book, budget=150, seeds=(0, 1))
    assert executor.started == ["a, a2 seed 1"]
    executor, text = clocked(bench, book, budget=10, seeds=(0, 1))
    assert executor.started == []
    assert "stopped: b-c with seed 0 would take 3.3 minutes; 0.2 of the budget are left" in text


def test_several_at_a_time_never_share_a_training_folder(bench: ClaimsBench) -> None:
    for name in ("b", "c", "d"):
        bench.config(name, [1.0, 1.5, 1.2], width=ord(name))
    bench.config("b2", [2.0, 2.0, 2.5], width=ord("b"), top_k=2)
    book = bench.claims(("b", "c"), ("b2", "c"), ("b2", "d"), ("b", "b2"))
    # The executor itself refuses a second unit at a training.
    executor, _ = clocked(bench, book, slots=3)
    assert executor.most == 3
    rows = ClaimRows(bench.rows).all()
    assert len(rows) == 4 * 3
    assert [v.n for v in Judge().verdicts(book.claims, rows)] == [3] * 4


def test_rows_of_before_are_work_that_is_done(bench: ClaimsBench) -> None:
    for name, ap in (("a", 2.0), ("b", 1.0)):
        bench.config(name, [ap, ap, ap], width=ord(name))
    book = bench.claims(("a", "b"))
    clocked(bench, book, seeds=(0,))
    before = {path.name: path.read_bytes() for path in bench.rows.iterdir()}
    executor, _ = clocked(bench, book, seeds=(0, 1))
    assert executor.started == ["a seed 1", "b seed 1"]
    assert before.items() <= {path.name: path.read_bytes() for path in bench.rows.iterdir()}.items()
    assert clocked(bench, book, seeds=(0, 1))[0].started == []


def local(bench: ClaimsBench, book: ClaimBook, slots: int = 1) -> Campaign:
    terms = Terms(bench.work_dir, bench.rows, "cpu", worker="claims_worker")
    console = Console(file=io.StringIO(), width=200)
    executor = LocalExecutor(terms, slots, ["cpu"], console)
    runs = plan_runs(book.claims, (0,), book, terms)
    campaign = Campaign(book.claims, runs, terms, Judge(), executor, console)
    campaign.run()
    return campaign


def test_processes_of_this_machine(bench: ClaimsBench) -> None:
    bench.config("a", [5.0, 5.5], width=1)
    bench.config("a2", [4.0, 4.5], width=1, top_k=2)
    bench.config("b", [1.0, 1.1], width=2)
    book = bench.claims(("a", "a2"), ("a", "b"))
    assert local(bench, book, slots=2).failed == []
    # One training serves a and a2.
    assert sorted(bench.calls) == sorted(["train a", "test a", "test a2", "train b", "test b"])
    rows = ClaimRows(bench.rows).all()
    assert {(row.details["training"], row.details["devices"]) for row in rows} == {
        (run.training, 1)
        for pair in plan_runs(book.claims, (0,), book, Terms(bench.work_dir, bench.rows)).values()
        for run in pair
    }
    assert all(row.details["test_s"] > 0 and row.checkpoint == row.log == "" for row in rows)
    found = Judge().verdicts(book.claims, rows)
    assert [[pair.difference for pair in v.pairs] for v in found] == [[1.0], [4.0]]
    assert Judge(only_current=True).verdicts(book.claims, rows)[0].n == 1


def test_a_failure_stands_apart_and_is_not_repeated(bench: ClaimsBench) -> None:
    bench.config("a", [5.0, 5.5], width=1)
    bench.config("b", [1.0, 1.1], "error = 'train'", width=2)
    book = bench.claims(("a", "b"))
    campaign = local(bench, book)
    assert [row.reason for row in campaign.failed] == ["train: the loss is infinite"]
    assert Path(campaign.failed[0].log).is_file()
    assert bench.calls.count("train b") == 1
    assert {row.config for row in ClaimRows(bench.rows).all()} == {str(bench.folder / "a.py")}
    assert len(list((bench.work_dir / "rows").glob("b__*.failed-1.json"))) == 1


def test_a_training_that_is_done_is_not_repeated(bench: ClaimsBench) -> None:
    bench.config("a", [5.0], width=1)
    book = bench.claims(("a", "a"))
    terms = Terms(bench.work_dir, bench.rows, "cpu", worker="claims_worker")
    (run, _), *_ = plan_runs(book.claims, (0,), book, terms).values()
    phases: list[str] = []
    run_unit(Unit((run,)), terms, lambda phase, event: phases.append(phase))
    assert set(phases) == {"train", "test"}
    next(bench.rows.iterdir()).unlink()
    (row,) = run_unit(Unit((run,)), terms)
    assert (row.AP, row.status) == (5.0, "finished")
    assert bench.calls == ["train a", "test a"]


def test_several_devices_share_the_batch_of_a_training(bench: ClaimsBench) -> None:
    bench.config("a", [5.0], "train_dataloader = dict(batch_size=4)", width=1)
    book = bench.claims(("a", "a"))
    terms = Terms(bench.work_dir, bench.rows, "cpu", devices_per_run=2, worker="claims_worker")
    (run, _), *_ = plan_runs(book.claims, (0,), book, terms).values()
    assert resolve(run.file)["train_dataloader"]["batch_size"] == 2
    assert run.test_file == run.config
    heard: list[str] = []
    (row,) = run_unit(Unit((run,)), terms, lambda phase, event: heard.append(phase))
    assert (row.AP, row.status, row.details["devices"]) == (5.0, "finished", 2)
    # Two processes train, one tests.
    assert bench.calls == ["train a", "train a", "test a"]
    assert "train" in heard


def test_an_interrupt_ends_what_is_running(bench: ClaimsBench) -> None:
    bench.config("a", [5.0], width=1)
    bench.config("b", [5.0], width=2)
    book = bench.claims(("a", "b"))

    class Interrupted(ClockedExecutor):
        def finished(self) -> list[tuple[Unit, list[Row]]]:
            raise KeyboardInterrupt

    terms = Terms(bench.work_dir, bench.rows)
    executor = Interrupted(terms, 1)
    runs = plan_runs(book.claims, (0,), book, terms)
    campaign = Campaign(book.claims, runs, terms, Judge(), executor, Console(file=io.StringIO()))
    with pytest.raises(KeyboardInterrupt):
        campaign.run()
    assert executor.started == ["a seed 0"]


def test_the_time_of_a_test_is_known_if_it_was_made_in_one_go(bench: ClaimsBench) -> None:
    bench.config("a", [5.0, 6.0])
    bench.config("b", [1.0, 2.0], width=2)
    book = bench.claims(("a", "b"))
    terms = Terms(bench.work_dir, bench.rows, "cpu", worker="claims_worker")
    run, _ = plan_runs(book.claims, (0,), book, terms)["a-b", 0]
    (row,) = run_unit(Unit((run,)), terms)
    assert row.details["test_s"] > 0
    # The test was finished, but killed before its row was written.
    next(bench.rows.iterdir()).unlink()
    (again,) = run_unit(Unit((run,)), terms)
    assert again.details["test_s"] is None
    assert bench.calls == ["train a", "test a"]


def test_data_of_any_name_are_run_once(bench: ClaimsBench) -> None:
    bench.config("a", [5.0])
    bench.config("b", [1.0], width=2)
    bench.claims(("a", "b"))
    bench.file.write_text(bench.file.read_text().replace("movingshapes-v1-easy-val", "Mine A"))
    book = read_claims(bench.file)
    assert len(clocked(bench, book, seeds=(0,))[0].started) == 2
    assert clocked(bench, book, seeds=(0,))[0].started == []


def test_a_batch_of_the_data_is_shared(bench: ClaimsBench, tmp_path: Path) -> None:
    bench.config("a", [5.0], "train_dataloader = dict(batch_size=3)")
    options = {"train_dataloader.batch_size": 8}
    path = write_derived(tmp_path / "derived" / "a.py", bench.folder / "a.py", options, 2)
    assert resolve(path)["train_dataloader"]["batch_size"] == 4
