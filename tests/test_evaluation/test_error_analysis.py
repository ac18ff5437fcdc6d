# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visbench.evaluation import evaluate
from visbench.evaluation.error_analysis import FOUND, IGNORED, KINDS

sys.path.insert(0, str(Path(__file__).parent))

import slow_errors
from slow_errors import SlowErrors, all_thresholds, slow_gains
from test_hota import problem
from tracking_problems import make_tracking_problem


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), crowds=st.booleans())
def test_reasons_and_gains_equal_those_of_brute_force(seed: int, crowds: bool) -> None:
    gt, results = make_tracking_problem(seed, crowds)
    result = evaluate(gt, results, ["errors", "youtube_vis"])
    errors = all_thresholds(gt, results)
    details = result.details["errors"]
    for t, expected in enumerate(errors):
        assert found_reasons(details.videos, t) == slow_reasons(expected)
    expected_gains = slow_gains(errors)
    if expected_gains is None:
        assert set(result.metrics["errors"].values()) == {-1.0}
        return
    gains, steps = expected_gains
    assert result.metrics["errors"] == pytest.approx(gains, abs=1e-12)
    assert details.steps == pytest.approx(steps, abs=1e-12)
    assert sum(details.steps.values()) == pytest.approx(1 - gains["AP"], abs=1e-12)
    assert gains["AP"] == pytest.approx(result.metrics["youtube_vis"]["AP"], abs=1e-12)


def found_reasons(videos: Any, t: int) -> tuple[dict[int, str], dict[int, str]]:
    names = {**dict(enumerate(KINDS)), FOUND: "found", IGNORED: "ignored"}
    predictions = {
        int(index): names[int(kind)]
        for video in videos
        for index, kind in zip(video.result_index, video.kinds[t], strict=True)
    }
    objects = {
        int(index): names[int(loss)]
        for video in videos
        for index, loss in zip(video.gt_ids, video.losses[t], strict=True)
    }
    return predictions, objects


def slow_reasons(errors: SlowErrors) -> tuple[dict[int, str], dict[int, str]]:
    predictions = {}
    for p in errors.found:
        owner = errors.owner[p]
        free = errors.kinds.get(p, "")
        predictions[p.number] = free if owner is None else "ignored" if owner.crowd else "found"
    objects = {
        g.record["id"]: "ignored" if g.crowd else errors.lost.get(g, "found")
        for g in errors.objects
    }
    return predictions, objects


def test_order_of_repairs_is_the_documented_one() -> None:
    assert list(KINDS) == slow_errors.KINDS


CASES = {
    "missed": (["AAAA", "CCCC"], ["AAAA"], "missed"),
    "duplicate": (["AAAA"], ["AAAA", "AAAA"], "duplicate"),
    "background": (["AAAA"], ["AAAA", "DDDD"], "background"),
    "fragment": (["AAAA"], ["A..."], "association"),
    "many fragments": (["AAAAAAAAAAAA"], ["A..........."], "association"),
    "identity switch": (["AAAA", "CCCC"], ["AACC", "CCAA"], "association"),
    "runs on": (["AA......"], ["AADDDDDD"], "association"),
}


@pytest.mark.parametrize("name", CASES)
def test_kind_of_clear_cases(name: str) -> None:
    objects, predictions, kind = CASES[name]
    scores = [1 - 0.1 * k for k in range(len(predictions))]
    result = evaluate(*problem(objects, predictions, scores), "errors")
    details = result.details["errors"]
    counts = {**details.false_positives}
    counts["missed"] = details.lost_objects["missed"]
    assert {other for other, number in counts.items() if number.any()} == {kind}
    numbers = result.metrics["errors"]
    assert numbers["AP"] + numbers[kind] == pytest.approx(1.0)
    assert result.details["errors"].steps[kind] == pytest.approx(numbers[kind])


def test_wrong_class_is_repaired_to_a_perfect_result() -> None:
    gt, results = problem(["AAAA", "CCCC"], ["AAAA", "CCCC"])
    gt["categories"].append({"id": 2, "name": "b"})
    gt["annotations"][1]["category_id"] = 2
    results[0]["category_id"], results[1]["category_id"] = 2, 1
    numbers = evaluate(gt, results, "errors").metrics["errors"]
    assert numbers["AP"] == 0.0
    assert numbers["wrong_class"] == pytest.approx(1.0)
    assert numbers["missed"] == 0.0


def test_a_mask_is_wrong_where_the_track_is_right() -> None:
    gt, results = problem(["AAAA"], ["AAAA"])
    big = problem(["AAAA"], ["BBBB"])[1][0]["segmentations"][0]
    from pycocotools import mask as mask_utils

    merged = mask_utils.merge([big, results[0]["segmentations"][0]])
    wide = {"size": merged["size"], "counts": merged["counts"].decode()}
    results[0]["segmentations"] = [wide] * 4
    result = evaluate(gt, results, "errors")
    # IoU is one half: right at 0.5, wrong above.
    assert result.details["errors"].false_positives["wrong_mask"].tolist() == [0] + [1] * 9
    assert result.metrics["errors"]["wrong_mask"] == pytest.approx(0.9)


def test_class_agnostic_knows_no_wrong_class() -> None:
    gt, results = make_tracking_problem(12)
    details = evaluate(gt, results, "errors", class_agnostic=True).details["errors"]
    assert not details.false_positives["wrong_class"].any()
    assert not details.false_positives["wrong_class_and_mask"].any()
