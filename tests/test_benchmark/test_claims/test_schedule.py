# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from visbench.benchmark.claims.data import Claim, ClaimData
from visbench.benchmark.claims.schedule import (
    DEFAULT_COST,
    Candidate,
    CostModel,
    Schedule,
    budget_seconds,
)
from visbench.benchmark.claims.unit import Run
from visbench.benchmark.claims.verdict import Pair, Verdict
from visbench.benchmark.rows import Row
from visbench.engine.errors import UserError

DATA = ClaimData("easy", "shapes")


@pytest.mark.parametrize(
    ("text", "seconds"), [("90m", 5400), ("1h30m", 5400), ("45s", 45), ("1.5h", 5400)]
)
def test_budgets(text: str, seconds: float) -> None:
    assert budget_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "90", "m", "1h 30m", "-5m", "1d"])
def test_what_is_no_budget(text: str) -> None:
    with pytest.raises(UserError, match="is no time; write hours"):
        budget_seconds(text)


def run(config: str, seed: int, training: str | None = None) -> Run:
    return Run(config, config, config, seed, "shapes", "d", training or config)


def row(config: str, machine: str, training_s: float | None, test_s: float | None) -> Row:
    return Row(
        "M",
        config,
        "shapes",
        0,
        machine=machine,
        training_s=training_s,
        details={} if test_s is None else {"test_s": test_s},
    )


def test_costs_come_from_the_closest_rows() -> None:
    rows: list[Row] = []
    model = CostModel(rows, "mine")
    assert model.training(run("a.py", 0)) == DEFAULT_COST["training"]
    model.add(row("b.py", "other", 70.0, 7.0))
    assert model.training(run("a.py", 0)) == 70
    model.add(row("x/a.py", "other", 80.0, None))
    assert (model.training(run("a.py", 0)), model.test(run("a.py", 0))) == (80, 7)
    model.add(row("c.py", "mine, 2 threads", 20.0, 2.0))
    assert (model.training(run("a.py", 0)), model.test(run("a.py", 0))) == (20, 2)
    for seconds in (10.0, 12.0, 11.0):
        model.add(row("a.py", "mine, 1 threads", seconds, 1.0))
    assert model.training(run("a.py", 0)) == 11


def claims(*names: str) -> list[Claim]:
    return [
        Claim(name, "s", Path(f"{name}-a.py"), Path(f"{name}-b.py"), DATA, "AP", 1, "P", "1")
        for name in names
    ]


def verdicts(**differences: list[float]) -> list[Verdict]:
    return [
        Verdict(claim, tuple(Pair(seed, "v", d, 0.0) for seed, d in enumerate(values)))
        for claim, values in zip(claims(*differences), differences.values(), strict=True)
    ]


def schedule(
    names: list[str], seeds: int = 4, rows: list[Row] | None = None, shared: str = ""
) -> Schedule:
    runs = {
        (name, seed): (
            run(f"{name}-a.py", seed, f"{name}-t" if name == shared else None),
            run(f"{name}-b.py", seed, f"{name}-t" if name == shared else None),
        )
        for seed in range(seeds)
        for name in names
    }
    return Schedule(runs, CostModel(rows or [], "mine"), lambda run: False)


def order(candidates: list[Candidate]) -> list[tuple[str, int]]:
    return [(candidate.claim.id, candidate.seed) for candidate in candidates]


def test_the_most_undecided_come_first() -> None:
    state = verdicts(
        decided=[5.0, 5.1],
        two=[5.0, -1.0],
        one=[5.0],
        none=[],
        enough=[5.0, 5.1, 5.2, 5.1],
    )
    plan = schedule([verdict.claim.id for verdict in state])
    assert order(plan.candidates(state, set())) == [
        ("none", 0),
        ("one", 1),
        ("two", 2),
        ("decided", 2),
    ]


def test_among_equals_the_cheapest_comes_first() -> None:
    rows = [row(f"{name}.py", "mine", 10.0, 1.0) for name in ("dear-a", "dear-b")]
    rows += [row(f"{name}.py", "mine", 5.0, 1.0) for name in ("cheap-a", "cheap-b")]
    state = verdicts(dear=[], cheap=[], shared=[])
    plan = schedule(["dear", "cheap", "shared"], rows=rows, shared="shared")
    candidates = plan.candidates(state, set())
    # One training of 7.5 s (the median) and two tests; two of 5 s; two of 10 s.
    assert order(candidates) == [("shared", 0), ("cheap", 0), ("dear", 0)]
    assert [candidate.costs for candidate in candidates] == [(9.5,), (6, 6), (11, 11)]
    assert candidates[1].seconds(free=1) == 12
    assert candidates[1].seconds(free=2) == 6
    assert [len(unit.runs) for unit in candidates[0].units] == [2]


def test_half_a_pair_costs_half() -> None:
    state = verdicts(one=[], two=[])
    plan = schedule(["one", "two"])
    done = {run("two-a.py", 0).name}
    first = plan.candidates(state, done)[0]
    assert (first.claim.id, len(first.units), first.units[0].runs[0].config) == (
        *("two", 1),
        "two-b.py",
    )


def test_what_is_planned_counts_as_a_pair_to_be() -> None:
    state = verdicts(one=[], two=[])
    plan = schedule(["one", "two"])
    first = plan.candidates(state, set())[0]
    plan.plan(first)
    assert order(plan.candidates(state, set())) == [("two", 0), ("one", 1)]


def test_a_failed_run_is_not_tried_again() -> None:
    state = verdicts(one=[])
    plan = schedule(["one"], seeds=2)
    first = plan.candidates(state, set())[0]
    plan.plan(first)
    for unit in first.units:
        plan.ended(unit)
    assert order(plan.candidates(state, set())) == [("one", 1)]


def test_nothing_left() -> None:
    assert schedule(["one"], seeds=1).candidates(verdicts(one=[1.0]), set()) == []
