# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import builtins
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visbench.evaluation import AnalysisOptions, VideoEvaluator, evaluate, load_annotations
from visbench.evaluation.analysis import resamples
from visbench.evaluation.breakdown import make_splits, motion_iou

sys.path.insert(0, str(Path(__file__).parent))

from test_hota import problem
from tracking_problems import make_tracking_problem

METRICS = ["youtube_vis", "ovis", "hota", "errors"]
EVERYTHING = AnalysisOptions(0.2, "ids", breakdown=True, bootstrap=5, seed=3, per_video=True)


def all_of(gt: Any, results: Any, metric: Any = METRICS, **options: Any) -> Any:
    options = {
        "hota_score_threshold": 0.2,
        "oracle": "ids",
        "breakdown": True,
        "bootstrap": 5,
        "seed": 3,
        "per_video": True,
        **options,
    }
    return evaluate(gt, results, metric, **options)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), class_agnostic=st.booleans())
def test_video_by_video_gives_what_the_file_gives(seed: int, class_agnostic: bool) -> None:
    gt, results = make_tracking_problem(seed, crowds=True)
    evaluator = VideoEvaluator(gt, METRICS, class_agnostic=class_agnostic, analysis=EVERYTHING)
    for video_id in sorted({record["video_id"] for record in results}, reverse=True):
        evaluator.update(video_id, [r for r in results if r["video_id"] == video_id])
    expected = all_of(gt, results, class_agnostic=class_agnostic)
    assert evaluator.compute().to_dict() == expected.to_dict()


def repeat(gt: dict[str, Any], results: list[dict[str, Any]], weights: Any) -> tuple[Any, Any]:
    """Return a problem with as many copies of every video as its weight says."""
    copies: dict[str, list[Any]] = {"videos": [], "annotations": []}
    records = []
    for video, weight in zip(sorted(gt["videos"], key=lambda v: v["id"]), weights, strict=True):
        for copy in range(int(weight)):
            number = {"video_id": 100 * copy + video["id"]}
            copies["videos"].append({**video, "id": number["video_id"]})
            for track in gt["annotations"]:
                if track["video_id"] == video["id"]:
                    track_id = len(copies["annotations"]) + 1
                    copies["annotations"].append({**track, **number, "id": track_id})
            records += [{**r, **number} for r in results if r["video_id"] == video["id"]]
    return {**gt, **copies}, records


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_intervals_are_those_of_explicit_resamples(seed: int) -> None:
    gt, results = make_tracking_problem(seed, crowds=True, least_videos=2)
    number = 6
    found = evaluate(gt, results, METRICS, bootstrap=number, seed=seed % 100).bootstrap
    assert found is not None
    samples = [
        evaluate(*repeat(gt, results, weights), METRICS).metrics
        for weights in resamples(len(gt["videos"]), number, seed % 100)
    ]
    for metric, names in found.intervals.items():
        for name, limits in names.items():
            values = [sample[metric][name] for sample in samples]
            defined = [value for value in values if value != -1]
            expected = np.quantile(defined, [0.025, 0.975]) if defined else [-1.0, -1.0]
            assert limits == pytest.approx(expected, abs=1e-9), (metric, name)


def test_resamples_are_seeded_draws_with_replacement() -> None:
    weights = resamples(7, 400, 1)
    assert weights.shape == (400, 7)
    assert (weights.sum(axis=1) == 7).all()
    assert np.array_equal(weights, resamples(7, 400, 1))
    assert not np.array_equal(weights, resamples(7, 400, 2))
    assert weights.mean(axis=0) == pytest.approx(1, abs=0.2)
    assert resamples(0, 3, 1).shape == (3, 0)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"bootstrap": -1}, "at least 0 resamples"), ({"seed": -1}, "seed must be at least 0")],
)
def test_options_out_of_range_are_refused(options: dict[str, int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        evaluate(*problem(["A"], ["A"]), **options)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_numbers_of_a_video_are_those_of_a_file_without_the_others(seed: int) -> None:
    gt, results = make_tracking_problem(seed, crowds=True)
    per_video = evaluate(gt, results, METRICS, per_video=True).per_video
    assert per_video is not None
    assert list(per_video) == [str(video_id) for video_id in sorted(v["id"] for v in gt["videos"])]
    for video in gt["videos"]:
        alone = {
            **gt,
            "videos": [video],
            "annotations": [t for t in gt["annotations"] if t["video_id"] == video["id"]],
        }
        records = [record for record in results if record["video_id"] == video["id"]]
        assert_close(per_video[str(video["id"])], evaluate(alone, records, METRICS).metrics)


def assert_close(found: Mapping[str, Mapping[str, float]], expected: Any) -> None:
    assert found.keys() == expected.keys()
    for metric, numbers in found.items():
        assert numbers == pytest.approx(expected[metric], abs=1e-12)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_classes_and_levels_of_occlusion(seed: int) -> None:
    gt, results = make_tracking_problem(seed)
    result = evaluate(gt, results, METRICS, breakdown=True)
    assert result.breakdown is not None
    for name, numbers in result.breakdown["youtube_vis"].get("class", {}).items():
        category = int(name.split()[1])
        alone = {
            **gt,
            "annotations": [t for t in gt["annotations"] if t["category_id"] == category],
        }
        records = [record for record in results if record["category_id"] == category]
        expected = evaluate(alone, records, METRICS).metrics
        assert numbers == expected["youtube_vis"]
        hota = result.breakdown["hota"]["class"][name]
        assert hota == pytest.approx(expected["hota"], abs=1e-12)
        errors = result.breakdown["errors"]["class"][name]
        assert errors["AP"] == pytest.approx(expected["youtube_vis"]["AP"], abs=1e-12)
    levels = result.breakdown["youtube_vis"].get("occlusion", {})
    for level in ("light", "medium", "heavy"):
        expected = result.metrics["ovis"][f"AP_{level}"]
        assert levels.get(level, {"AP": -1.0})["AP"] == expected
        assert result.metrics["ovis"][f"AR_{level}"] == levels.get(level, {"AR100": -1.0})["AR100"]
        group = result.breakdown["errors"].get("occlusion", {}).get(level, {"AP": -1.0})
        assert group["AP"] == pytest.approx(expected, abs=1e-12)


def test_hota_of_a_group_leaves_out_who_finds_another_object() -> None:
    gt, results = problem(["AAAA", "CCCC"], ["AAAA", "CC..", "EEEE"])
    gt["annotations"][0]["occlusion"] = ["no_occlusion"] * 4
    gt["annotations"][1]["occlusion"] = ["severe_occlusion"] * 4
    result = evaluate(gt, results, ["hota", "youtube_vis"], breakdown=True)
    assert result.breakdown is not None
    groups = result.breakdown["hota"]["occlusion"]
    assert set(groups) == {"light", "heavy"}
    assert groups["light"]["DetA"] == pytest.approx(4 / 8)
    assert groups["heavy"]["DetA"] == pytest.approx(2 / 8)


def test_groups_are_as_defined() -> None:
    gt, _ = problem(["AAAA", "AB..", "A.A.", "ABBB"], [])
    for track, area in zip(gt["annotations"], (1, 2, 5, 6), strict=True):
        # Of 80 pixels; limits are 1.42 and 5.69 pixels.
        track["areas"] = [area] * 4
    gt["videos"].append({**gt["videos"][0], "id": 2, "file_names": ["f"] * 21})
    splits = make_splits(load_annotations(gt))
    groups = {
        split: {name: group.objects or group.videos for name, group in names.items()}
        for split, names in splits.items()
        if split != "class"
    }
    assert groups == {
        "video_length": {"short": {1}, "medium": {2}},
        "object_size": {"small": {1}, "medium": {2, 3}, "large": {4}},
        "motion": {"slow": {1}, "fast": {2, 4}},
    }
    assert splits["class"]["a"].categories == {1}
    assert "class" not in make_splits(load_annotations(gt), class_agnostic=True)


def test_motion_is_the_mean_box_overlap_of_consecutive_frames() -> None:
    gt, _ = problem(["AA.B", "AAB.", "A.A."], [])
    tracks = load_annotations(gt).tracks
    assert tracks is not None
    assert [motion_iou(track) for track in tracks] == [1.0, 0.5, None]


def test_categories_of_the_same_name_are_told_apart() -> None:
    gt, _ = problem(["AA", "BB"], [])
    gt["categories"].append({"id": 7, "name": "a"})
    gt["annotations"][1]["category_id"] = 7
    assert list(make_splits(load_annotations(gt))["class"]) == ["a (1)", "a (7)"]


def test_without_ground_truth_everything_is_undefined_and_nothing_fails() -> None:
    result = all_of(*problem([], ["AA"]))
    assert {value for numbers in result.metrics.values() for value in numbers.values()} == {-1.0}
    assert result.bootstrap.intervals["youtube_vis"]["AP"] == (-1.0, -1.0)
    assert list(result.breakdown["hota"]) == ["video_length"]
    assert "youtube_vis" in result.summary()


def test_extra_blocks_are_written_only_when_asked_for() -> None:
    gt, results = make_tracking_problem(5)
    plain = evaluate(gt, results, METRICS).to_dict()
    assert list(plain) == METRICS
    everything = all_of(gt, results).to_dict()
    extra = ["oracle_ids", "breakdown", "per_video", "bootstrap"]
    assert list(everything) == [*METRICS, *extra]
    assert json.loads(json.dumps(everything)) == everything
    assert everything["bootstrap"]["resamples"] == 5
    assert everything["bootstrap"]["confidence"] == 0.95


def test_metric_all_gives_whatever_masks_allow() -> None:
    gt, results = make_tracking_problem(5)
    assert list(all_of(gt, results, "all").metrics) == METRICS


def test_box_metric_has_breakdown_and_intervals() -> None:
    gt, results = problem(["AAAA", "CCCC"], ["AAAA"])
    boxes = {"A": [0, 0, 4, 4], "C": [8, 0, 4, 4]}
    for record, place in zip([*gt["annotations"], *results], "ACA", strict=True):
        record["bboxes"] = [boxes[place]] * 4
        del record["segmentations"]
    result = evaluate(gt, results, "imagenet_vid", breakdown=True, bootstrap=3, per_video=True)
    assert result.breakdown is not None
    assert set(result.breakdown["imagenet_vid"]) == {
        "class",
        "video_length",
        "object_size",
        "motion",
    }
    assert result.bootstrap is not None
    assert result.bootstrap.intervals["imagenet_vid"]["AR100"] == pytest.approx((0.5, 0.5))


def test_summary_shows_what_was_asked_for() -> None:
    gt, results = make_tracking_problem(5)
    assert "interval" not in evaluate(gt, results, METRICS).summary()
    text = all_of(gt, results).summary()
    words = ["95 % interval over videos, 5 resamples", "true identities", "hota by motion"]
    words += ["youtube_vis per video", "wrong_class_and_mask"]
    for word in words:
        assert word in text


def test_rows_hold_every_number_once() -> None:
    gt, results = make_tracking_problem(5)
    result = all_of(gt, results)
    rows = result.rows()
    keys = [(row["metric"], row["split"], row["group"], row["name"]) for row in rows]
    assert len(set(keys)) == len(keys)
    row = next(row for row in rows if row["name"] == "HOTA" and row["split"] == "all")
    assert row["value"] == result.metrics["hota"]["HOTA"]
    assert (row["low"], row["high"]) == result.bootstrap.intervals["hota"]["HOTA"]
    assert {"all", "oracle_ids", "class", "video", "motion"} <= {row["split"] for row in rows}
    assert -1.0 not in {row["value"] for row in rows}


def test_pandas_frame_has_these_rows() -> None:
    pandas = pytest.importorskip("pandas")
    result = evaluate(*make_tracking_problem(5), METRICS)
    frame = result.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    chosen = frame[(frame.metric == "youtube_vis") & (frame.name == "AP50")]
    assert chosen.value.tolist() == [result.metrics["youtube_vis"]["AP50"]]


@pytest.mark.parametrize("metric", [None, *METRICS])
def test_figures(metric: str | None) -> None:
    pytest.importorskip("plotly")
    figure = evaluate(*make_tracking_problem(5), METRICS).plot(metric)
    assert figure.layout.title.text == (metric or "youtube_vis")
    assert len(figure.data) >= 2


def test_figure_of_a_metric_that_was_not_computed() -> None:
    with pytest.raises(ValueError, match="'davis' was not computed; there is youtube_vis"):
        evaluate(*make_tracking_problem(5)).plot("davis")


@pytest.mark.parametrize(("name", "method"), [("pandas", "to_pandas"), ("plotly", "plot")])
def test_missing_extra_is_named(name: str, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def refuse(wanted: str, *others: Any) -> Any:
        if wanted.split(".")[0] == name:
            raise ImportError(wanted)
        return original(wanted, *others)

    result = evaluate(*make_tracking_problem(5))
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ImportError, match=r"pip install 'visbench\[report\]'"):
        getattr(result, method)()
