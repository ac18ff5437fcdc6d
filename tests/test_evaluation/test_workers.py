# SPDX-License-Identifier: Apache-2.0
"""Two processes give what one gives, and report what one reports."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from random_problems import make_problem

from visbench.evaluation import EvaluationResult, InputError, evaluate, workers
from visbench.evaluation.streams import find_split, iterate_records

pytestmark = pytest.mark.skipif(not workers._can_fork(), reason="needs safely forked processes")


def run(
    gt: dict[str, Any], results: list[dict[str, Any]], folder: Path, number: int, **options: Any
) -> EvaluationResult:
    path = folder / "results.json"
    path.write_text(json.dumps(results))
    return evaluate(gt, path, workers=number, **options)


def assert_same(one: EvaluationResult, two: EvaluationResult) -> None:
    assert one.to_dict() == two.to_dict()
    assert one.warnings == two.warnings
    assert one.skipped == two.skipped
    for kind, cells in one.cells.items():
        assert len(cells) == len(two.cells[kind])
        for first, second in zip(cells, two.cells[kind], strict=True):
            assert np.array_equal(first.result_index, second.result_index)
            assert np.array_equal(first.ious, second.ious)
            assert np.array_equal(first.areas, second.areas)


def used_two(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Record whether what the second process collected was used."""
    found: list[bool] = []
    receive = workers._receive

    def spy(connection: Any) -> Any:
        collected = receive(connection)
        found.append(collected is not None)
        return collected

    monkeypatch.setattr(workers, "_receive", spy)
    return found


@pytest.mark.parametrize("seed", [0, 1, 3, 4])
@pytest.mark.parametrize("metric", ["youtube_vis", "ovis"])
def test_two_processes_equal_one(
    seed: int, metric: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gt, results = make_problem(seed)
    results = results * 3
    used = used_two(monkeypatch)
    options = {"metric": metric, "class_agnostic": seed % 2 == 1}
    one = run(gt, results, tmp_path, 1, **options)
    assert used == []
    two = run(gt, results, tmp_path, 2, **options)
    assert used == [True]
    assert_same(one, two)


@pytest.mark.parametrize("where", [0, -1])
def test_error_is_that_of_one_process(
    where: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gt, results = make_problem(1)
    results = [dict(record) for record in results * 4]
    results[where]["score"] = None
    messages = []
    for number in (1, 2):
        with pytest.raises(InputError) as caught:
            run(gt, results, tmp_path, number)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    assert f"record {where % len(results)}:" in messages[0]
    one, two = (run(gt, results, tmp_path, number, tolerant=True) for number in (1, 2))
    assert len(one.skipped) == 1
    assert_same(one, two)


def test_wrong_guess_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gt, results = make_problem(3)
    key = next(iter(results[0]))
    # Looks like the boundary between two records, in a string and in a nested list.
    decoy = [{key: 1}, {key: 2}]
    text = json.dumps([{"a": 1}, {key: 1}])
    results = [{**record, "note": text, "more": decoy} for record in results * 4]
    used = used_two(monkeypatch)
    for share in np.linspace(0.05, 0.95, 40):
        monkeypatch.setattr(workers, "_FIRST_SHARE", share)
        assert_same(run(gt, results, tmp_path, 1), run(gt, results, tmp_path, 2))
    assert len(used) < 40
    assert True in used


def test_second_process_that_dies_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gt, results = make_problem(3)
    results = results * 3
    one = run(gt, results, tmp_path, 1)
    monkeypatch.setattr(workers, "_work", lambda *args: None)
    assert_same(one, run(gt, results, tmp_path, 2))


def test_one_process_where_forking_is_not_safe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gt, results = make_problem(3)
    used = used_two(monkeypatch)
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        run(gt, results * 3, tmp_path, 2)
    finally:
        done.set()
        thread.join()
    assert used == []


def test_number_of_processes_is_checked(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="workers must be 1, 2 or None, found 3"):
        run(*make_problem(0), tmp_path, 3)


@pytest.mark.parametrize("offset", range(0, 60, 7))
def test_parts_of_a_file(offset: int, tmp_path: Path) -> None:
    records = [{"a": k, "b": [{"c": "}, {"}]} for k in range(5)]
    path = tmp_path / "r.json"
    path.write_text(json.dumps(records))
    split = find_split(path, offset)
    assert split is not None
    first = list(iterate_records(path, 0, split))
    assert first + list(iterate_records(path, split, None, len(first))) == records
    assert list(iterate_records(path, 0, split + 3)) == records
