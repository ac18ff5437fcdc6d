# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from visbench.evaluation import InputError, check_results, evaluate, submission, write_submission

sys.path.insert(0, str(Path(__file__).parent))

from test_bad_input import BAD_RESULTS, make_gt, make_results

STRING = {"size": [4, 5], "counts": "36;"}


def ready_results() -> list[dict[str, Any]]:
    results = make_results()
    results[0]["segmentations"] = [STRING, None]
    results[1]["segmentations"] = [STRING]
    return results


def test_archive_holds_exactly_the_results(tmp_path: Path) -> None:
    results = make_results()
    results[0]["segmentations"] = [{**STRING, "counts": b"36;"}, None]
    path = write_submission(results, tmp_path / "new" / "submission.zip", make_gt())
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["results.json"]
        assert json.loads(archive.read("results.json")) == ready_results()
    assert evaluate(make_gt(), path).metrics["youtube_vis"]["AP"] == pytest.approx(1.0)
    assert check_results(path, make_gt()).passed
    assert [p.name for p in path.parent.iterdir()] == ["submission.zip"]


def test_results_of_a_file_are_written_and_ground_truth_is_not_needed(tmp_path: Path) -> None:
    source = tmp_path / "results.json"
    source.write_text(json.dumps(ready_results()))
    gt = {**make_gt(), "annotations": None}
    write_submission(source, tmp_path / "a.zip", gt)
    write_submission(source, tmp_path / "b.zip")
    write_submission([], tmp_path / "empty.zip", gt)
    with zipfile.ZipFile(tmp_path / "empty.zip") as archive:
        assert json.loads(archive.read("results.json")) == []


@pytest.mark.parametrize("name", BAD_RESULTS)
def test_defects_are_found_and_nothing_is_written(name: str, tmp_path: Path) -> None:
    results = ready_results()
    BAD_RESULTS[name][0](results)
    report = check_results(results, make_gt())
    assert not report.passed
    assert "record 1" in report.problems[0]
    out = tmp_path / "submission.zip"
    out.write_bytes(b"older submission")
    with pytest.raises(InputError, match="1 problems"):
        write_submission(results, out, make_gt())
    assert [p.name for p in tmp_path.iterdir()] == ["submission.zip"]
    assert out.read_bytes() == b"older submission"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"score": 1.5}, "outside [0, 1]"),
        ({"score": -0.1}, "outside [0, 1]"),
        ({"category_id": 3}, "3 is not a category"),
        ({"segmentations": [{"size": [4, 5], "counts": [20]}]}, "'counts' must be a string"),
    ],
)
def test_what_an_evaluation_accepts_but_a_server_does_not(
    fields: dict[str, Any], words: str
) -> None:
    results = ready_results()
    results[1].update(fields)
    evaluate(make_gt(), results)
    (problem,) = check_results(results, make_gt()).problems
    assert words in problem
    assert problem.startswith("results: record 1: field")


def test_all_problems_are_listed() -> None:
    results = [{**record, "score": 2} for record in ready_results() * 15]
    report = check_results(results, make_gt())
    assert len(report.problems) == 30
    with pytest.raises(InputError, match=r"30 problems:(.|\n)*and 10 more"):
        report.require()


def test_without_annotations_the_records_alone_are_checked() -> None:
    assert check_results(ready_results()).passed
    results = ready_results()
    results[0]["segmentations"][0] = {"size": [4, 5], "counts": "36m0"}
    assert "29 pixels" in check_results(results).problems[0]


def test_videos_without_predictions_are_a_warning() -> None:
    report = check_results(ready_results()[:1], make_gt())
    assert report.passed
    assert (report.records, report.videos) == (1, 1)
    assert "1 of 2 videos" in report.warnings[0]


def test_size_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submission, "MAX_BYTES", 50)
    assert "more than 50" in check_results(ready_results(), make_gt()).problems[0]
    with pytest.raises(InputError, match="more than 50"):
        write_submission(ready_results(), tmp_path / "a.zip")
    assert list(tmp_path.iterdir()) == []


def test_name_must_be_that_of_a_zip(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"must end in \.zip"):
        write_submission(ready_results(), tmp_path / "results.json")
