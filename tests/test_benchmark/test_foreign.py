# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import gzip
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from visbench.benchmark import Row, RowStore
from visbench.benchmark.foreign import ForeignResults
from visbench.engine.errors import UserError
from visbench.evaluation import evaluate
from visbench.testing.goldens.evaluation import load_case

GOLDENS = Path(__file__).parents[1] / "data" / "goldens" / "evaluation"


class Files:
    """A golden case as files, and a store."""

    def __init__(self, folder: Path) -> None:
        content = load_case(GOLDENS, "basic")
        self.records: list[dict[str, Any]] = content["results"]
        self.annotations = folder / "youtube_vis_2019" / "valid.json"
        self.annotations.parent.mkdir()
        self.annotations.write_text(json.dumps(content["gt"]))
        self.results = folder / "theirs.json.gz"
        self.results.write_bytes(gzip.compress(json.dumps(self.records).encode()))
        self.store = RowStore(folder / "rows")
        self.output = io.StringIO()

    def rows(self, *others: Row, **options: Any) -> list[Row]:
        foreign = ForeignResults({"theirs": self.results}, self.annotations, **options)
        foreign.check()
        foreign.score(self.store, Console(file=self.output, width=200))
        return foreign.rows(self.store, others)

    def run(self) -> Row:
        """A row of a method on the same data."""
        own = self.results.with_name("results.json")
        own.write_text(json.dumps(self.records[::2]))
        copy = self.results.with_name("copy.json")
        copy.write_bytes(self.annotations.read_bytes())
        paths = {"results": str(own), "annotations": str(copy), "overlay": "a.mp4"}
        row = Row("InsPro", "configs/inspro.py", "known-name", 3, AP=1.0, config_hash="12", **paths)
        return row


@pytest.fixture
def case(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_a_row_has_the_numbers_of_the_evaluator(case: Files) -> None:
    (row,) = case.rows()
    expected = evaluate(case.annotations, case.results, bootstrap=1000).to_dict()
    assert (row.method, row.kind, row.dataset) == ("theirs", "foreign", "youtubevis2019-valid")
    assert pytest.approx(100 * expected["youtube_vis"]["AP"]) == row.AP
    assert row.details["metrics"]["youtube_vis/ARl"] == expected["youtube_vis"]["ARl"]
    low, high = expected["bootstrap"]["intervals"]["youtube_vis"]["AP"]
    assert row.details["interval"]["AP"] == pytest.approx([100 * low, 100 * high])
    assert len(row.details["resampled"]["AP"]) == 1000
    assert Path(row.results).samefile(case.results)


def test_rows_are_kept_by_the_content_of_the_files(case: Files) -> None:
    (first,) = case.rows()
    assert "scoring theirs" in case.output.getvalue()
    case.output.truncate(0)
    moved = case.results.with_name("moved.json.gz")
    case.results.rename(moved)
    case.results = moved
    assert case.rows() == [first]
    assert "scoring" not in case.output.getvalue()
    case.results.write_bytes(gzip.compress(json.dumps(case.records[:6]).encode()))
    (second,) = case.rows()
    assert second.AP != first.AP
    assert len(list(case.store.folder.iterdir())) == 2


def test_data_have_the_name_that_runs_give_them(case: Files) -> None:
    assert case.rows()[0].dataset == "youtubevis2019-valid"
    assert case.rows(case.run())[0].dataset == "known-name"
    elsewhere = replace(case.run(), annotations=str(case.results))
    assert case.rows(elsewhere)[0].dataset == "youtubevis2019-valid"
    assert case.rows(dataset="mine")[0].dataset == "mine"
    assert len(list(case.store.folder.glob("theirs__*"))) == 1, "it is scored once"


def test_class_agnostic_rows_have_a_table_of_their_own(case: Files) -> None:
    run = case.run()
    theirs, ours = case.rows(run, class_agnostic=True)
    assert theirs.dataset == ours.dataset == "known-name-class-agnostic"
    expected = evaluate(case.annotations, run.results, class_agnostic=True).metrics["youtube_vis"]
    assert pytest.approx(100 * expected["AP"]) == ours.AP
    assert (ours.method, ours.seed, ours.kind, ours.overlay) == ("InsPro", 3, "method", "")
    expected = evaluate(case.annotations, case.results, class_agnostic=True).metrics["youtube_vis"]
    assert pytest.approx(100 * expected["AP"]) == theirs.AP
    assert theirs.AP != case.rows()[0].AP
    assert case.rows(run, class_agnostic=True) == [theirs, ours]


def test_class_agnostic_rows_of_another_metric_are_not_taken(case: Files) -> None:
    run = case.run()
    case.rows(run, class_agnostic=True)
    with pytest.raises(UserError, match=r"--metric ovis: .* are of another metric"):
        case.rows(run, class_agnostic=True, metric="ovis")
    _, ours = case.rows(run, class_agnostic=True, metric="ovis", dataset="with-ovis")
    assert "ovis/AP" in ours.details["metrics"]


def test_masks_without_classes_are_scored_in_one_pool(case: Files) -> None:
    (expected,) = case.rows(class_agnostic=True)
    for position, record in enumerate(case.records):
        del record["category_id"]
        if position % 2:
            record["category_id"] = None
    case.results.write_bytes(gzip.compress(json.dumps(case.records).encode()))
    (row,) = case.rows(class_agnostic=True)
    assert pytest.approx(expected.AP) == row.AP
    assert row.class_agnostic


def test_unknown_classes_are_told_whenever_the_row_is_shown(case: Files) -> None:
    for record in case.records:
        record["category_id"] = 0
    case.results.write_bytes(gzip.compress(json.dumps(case.records).encode()))
    for _ in range(2):
        (row,) = case.rows()
        assert row.AP == 0
        assert "predictions of unknown categories ignored: 0" in case.output.getvalue()
        case.output.truncate(0)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.json", b"", "empty.json"),
        ("broken.zip", b"PK\x03\x04 and no more", "broken.zip"),
        ("object.json", b"{}", "object.json"),
        ("cut.json.gz", gzip.compress(b"[]" * 99)[:20], "cut.json.gz"),
    ],
)
def test_damaged_files_are_named(case: Files, name: str, content: bytes, message: str) -> None:
    case.results = case.results.with_name(name)
    case.results.write_bytes(content)
    with pytest.raises(UserError, match=message):
        case.rows()


def test_bad_files_are_named(case: Files) -> None:
    case.records[4]["score"] = float("nan")
    case.results.write_bytes(gzip.compress(json.dumps(case.records).encode()))
    with pytest.raises(UserError, match=r"theirs\.json\.gz: record 4: field 'score'"):
        case.rows()
    assert not case.store.folder.exists()
    case.results = case.results.with_name("none.json")
    with pytest.raises(UserError, match=r"--results theirs .*none\.json: no such file"):
        case.rows()
