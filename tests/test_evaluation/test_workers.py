# SPDX-License-Identifier: Apache-2.0
"""Two processes give what one gives, and report what one reports."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from random_problems import make_problem

from visbench.evaluation import (
    EvaluationResult,
    InputError,
    evaluate,
    large_files,
    load_annotations,
    workers,
)
from visbench.evaluation.large_files import SecondProcess
from visbench.evaluation.streams import find_split, iterate_records

pytestmark = pytest.mark.skipif(not large_files.can_fork(), reason="needs safely forked processes")


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
    """Record whether what a second process returned was used."""
    found: list[bool] = []
    result = SecondProcess.result

    def spy(self: SecondProcess[Any]) -> Any:
        value = result(self)
        found.append(value is not None)
        return value

    monkeypatch.setattr(SecondProcess, "result", spy)
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
    monkeypatch.setattr(large_files, "_work", lambda *args: None)
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


def ground_truth(folder: Path, change: Callable[[list[dict[str, Any]]], object]) -> Path:
    """Write an annotation file after a change to its objects."""
    gt, _ = make_problem(1)
    copies = [{**track} for _ in range(4) for track in gt["annotations"]]
    for number, track in enumerate(copies, 1):
        track["id"] = number
    change(copies)
    path = folder / "gt.json"
    path.write_text(json.dumps({**gt, "annotations": copies}))
    return path


def test_annotations_read_by_two_processes_equal_those_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = ground_truth(tmp_path, lambda tracks: None)
    used = used_two(monkeypatch)
    one, two = (load_annotations(path, workers=number).tracks for number in (1, 2))
    assert used == [True]
    assert one is not None
    assert two is not None
    assert len(one) == len(two) >= 4
    for first, second in zip(one, two, strict=True):
        assert (first.id, first.area, first.is_crowd) == (second.id, second.area, second.is_crowd)
        assert first.masks is not None
        assert second.masks is not None
        assert first.masks.rles == second.masks.rles
        assert np.array_equal(first.masks.areas, second.masks.areas)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tracks: tracks[-1].update(id=1), "1 occurs twice"),
        (lambda tracks: tracks[-1].update(category_id=99), "99 is not among the file's categories"),
        (lambda tracks: tracks[0].update(category_id=99), "99 is not among the file's categories"),
    ],
)
def test_defect_of_annotations_is_reported_as_by_one_process(
    change: Callable[[list[dict[str, Any]]], object], message: str, tmp_path: Path
) -> None:
    path = ground_truth(tmp_path, change)
    messages = []
    for number in (1, 2):
        with pytest.raises(InputError, match=message) as caught:
            load_annotations(path, workers=number)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    one, two = (load_annotations(path, workers=number, tolerant=True) for number in (1, 2))
    assert one.notes.skipped == two.notes.skipped == messages[:1]
    assert [track.id for track in one.tracks or []] == [track.id for track in two.tracks or []]


def test_annotations_of_a_process_that_dies_are_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = ground_truth(tmp_path, lambda tracks: None)
    one = load_annotations(path, workers=1)
    monkeypatch.setattr(large_files, "_work", lambda *args: None)
    two = load_annotations(path, workers=2)
    assert [track.id for track in one.tracks or []] == [track.id for track in two.tracks or []]


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
