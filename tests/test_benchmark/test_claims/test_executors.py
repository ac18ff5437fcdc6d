# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest
from claims_bench import ClaimsBench, worker_path
from rich.console import Console

from visbench.benchmark.claims.campaign import Campaign, Judge, plan_runs
from visbench.benchmark.claims.executors import (
    LocalExecutor,
    SubmititExecutor,
    device_groups,
    make_executor,
)
from visbench.benchmark.claims.rows import ClaimRows
from visbench.benchmark.claims.unit import Terms, Unit
from visbench.engine.errors import UserError


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ClaimsBench:
    monkeypatch.setenv("PYTHONPATH", worker_path())
    monkeypatch.setenv("FAKE_CALLS", str(tmp_path / "calls.txt"))
    bench = ClaimsBench(tmp_path)
    bench.config("a", [5.0], width=1)
    bench.config("b", [1.0], width=2)
    return bench


@pytest.fixture
def submitit_path(monkeypatch: pytest.MonkeyPatch) -> None:
    submitit = pytest.importorskip("submitit")
    # A job is a process of its own, which must find the library, the worker and submitit.
    place = Path(submitit.__file__).parents[1]
    monkeypatch.setenv("PYTHONPATH", f"{worker_path()}{os.pathsep}{place}")


def test_jobs_through_submitit(bench: ClaimsBench, submitit_path: None) -> None:
    book = bench.claims(("a", "b"))
    terms = Terms(bench.work_dir, bench.rows, "cpu", worker="claims_worker")
    output = io.StringIO()
    console = Console(file=output, width=300)
    executor = SubmititExecutor(terms, 2, "local", {"timeout_min": 5}, console, poll_s=0.05)
    runs = plan_runs(book.claims, (0,), book, terms)
    campaign = Campaign(book.claims, runs, terms, Judge(), executor, console)
    campaign.run()
    assert campaign.failed == []
    assert sorted(bench.calls) == ["test a", "test b", "train a", "train b"]
    (found,) = Judge().verdicts(book.claims, ClaimRows(bench.rows).all())
    assert [pair.difference for pair in found.pairs] == [4.0]
    assert "a seed 0: job " in output.getvalue()


def test_a_job_that_dies_is_a_failed_row(
    bench: ClaimsBench, submitit_path: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = bench.claims(("a", "b"))
    terms = Terms(bench.work_dir, bench.rows, "cpu", worker="claims_worker")
    console = Console(file=io.StringIO(), width=300)
    executor = SubmititExecutor(terms, 2, "local", {}, console, poll_s=0.05)

    def broken(*args: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr("visbench.benchmark.claims.executors.run_unit", broken)
    runs = plan_runs(book.claims, (0,), book, terms)
    campaign = Campaign(book.claims, runs, terms, Judge(), executor, console)
    campaign.run()
    assert len(campaign.failed) == 2
    reasons = {row.reason for row in campaign.failed}
    assert reasons == {"FailedJobError: OSError: the disk is full"}
    assert "the disk is full" in Path(campaign.failed[0].log).read_text()


def test_parameters_that_submitit_refuses(tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    terms = Terms(tmp_path, tmp_path / "rows")
    with pytest.raises(UserError, match=r"submitit cannot use cluster 'local' with .*queue"):
        SubmititExecutor(terms, 1, "local", {"queue": "fast"}, Console(file=io.StringIO()))


def test_without_submitit_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    terms = Terms(tmp_path, tmp_path / "rows")
    with pytest.raises(UserError, match=r"pip install 'visbench\[cluster\]'"):
        make_executor("slurm", terms, 1, [None], {}, Console(file=io.StringIO()))


def test_the_default_executor_needs_no_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    terms = Terms(tmp_path, tmp_path / "rows")
    executor = make_executor("local", terms, 1, [None], {}, Console(file=io.StringIO()))
    assert isinstance(executor, LocalExecutor)
    executor.close()


def test_slots_take_devices_in_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    terms = Terms(tmp_path, tmp_path)
    devices = ["cuda:0", "cuda:1"]
    groups = device_groups(terms, 3, devices)
    assert [group["device"] for group in groups] == ["cuda:0", "cuda:1", "cuda:0"]
    assert {group["environment"]["OMP_NUM_THREADS"] for group in groups} == {"3"}
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    (first, *_) = device_groups(terms, 4, [None])
    assert (first["device"], first["environment"]["OMP_NUM_THREADS"]) == (None, "2")


def test_runs_of_several_devices_get_groups(tmp_path: Path) -> None:
    terms = Terms(tmp_path, tmp_path, devices_per_run=2)
    devices = [f"cuda:{number}" for number in range(5)]
    groups = device_groups(terms, 3, devices)
    visible = [group["environment"]["CUDA_VISIBLE_DEVICES"] for group in groups]
    assert visible == ["0,1", "2,3", "0,1"]
    assert {group["device"] for group in groups} == {"cuda"}
    assert "CUDA_VISIBLE_DEVICES" not in device_groups(terms, 1, ["cpu"])[0]["environment"]
    with pytest.raises(UserError, match="needs 2 devices; --device names 1"):
        device_groups(terms, 1, ["cuda:1"])


@pytest.mark.parametrize(
    ("device", "gpus"), [(None, {"gpus_per_node": 2}), ("cpu", {}), ("cuda", {"gpus_per_node": 2})]
)
def test_what_a_slurm_job_asks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str | None, gpus: dict[str, int]
) -> None:
    given: list[tuple[str, dict[str, object]]] = []
    monkeypatch.setattr(
        "visbench.benchmark.claims.executors.SubmititExecutor",
        lambda terms, slots, cluster, parameters, console: given.append((cluster, parameters)),
    )
    terms = Terms(tmp_path, tmp_path, device, devices_per_run=2)
    console = Console(file=io.StringIO())
    # A machine that submits jobs needs no GPU of its own.
    make_executor("slurm", terms, 1, [device], {"slurm_partition": "gpu"}, console)
    assert given == [("slurm", {"nodes": 1, **gpus, "slurm_partition": "gpu"})]
    with pytest.raises(UserError, match="name one kind"):
        make_executor("slurm", terms, 1, ["cuda:0", "cuda:1"], {}, console)


def test_a_submission_that_fails_is_explained(bench: ClaimsBench, submitit_path: None) -> None:
    book = bench.claims(("a", "b"))
    terms = Terms(bench.work_dir, bench.rows, "cpu", worker="claims_worker")
    executor = SubmititExecutor(terms, 1, "local", {}, Console(file=io.StringIO()))

    def refused(*args: object) -> None:
        raise RuntimeError("sbatch: invalid partition")

    executor._executor.submit = refused
    run, _ = plan_runs(book.claims, (0,), book, terms)["a-b", 0]
    with pytest.raises(UserError, match="a seed 0 cannot be submitted: sbatch: invalid partition"):
        executor.submit(Unit((run,)))
