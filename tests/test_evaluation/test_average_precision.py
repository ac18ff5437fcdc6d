# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visbench.evaluation import VideoEvaluator, evaluate
from visbench.evaluation.average_precision import IOU_THRESHOLDS, match

sys.path.insert(0, str(Path(__file__).parent))

from random_problems import make_problem
from slow_oracle import THRESHOLDS, Oracle
from slow_oracle import match as slow_match


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), class_agnostic=st.booleans())
def test_arrays_equal_those_of_brute_force(seed: int, class_agnostic: bool) -> None:
    gt, results = make_problem(seed)
    oracle = Oracle(gt, results, class_agnostic)
    found = evaluate(gt, results, ["youtube_vis", "ovis"], class_agnostic=class_agnostic)
    np.testing.assert_array_equal(found.curves["ovis"].precision, oracle.precision)
    np.testing.assert_array_equal(found.curves["ovis"].recall, oracle.recall)
    np.testing.assert_array_equal(
        found.curves["youtube_vis"].precision, oracle.precision[:, :, :, :, 0]
    )
    defined = oracle.recall[:, :, 0, 0, 1][oracle.recall[:, :, 0, 0, 1] > -1]
    expected = defined.mean() if defined.size else -1
    assert found.metrics["youtube_vis"]["AR10"] == expected
    assert found.metrics["ovis"]["AR10"] == expected


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_video_by_video_gives_what_the_file_gives(seed: int) -> None:
    gt, results = make_problem(seed)
    evaluator = VideoEvaluator(gt, ["youtube_vis", "ovis"])
    for video_id in sorted({record["video_id"] for record in results}, reverse=True):
        records = [
            {
                **record,
                "segmentations": [
                    {**m, "counts": m["counts"].encode()}
                    if m and isinstance(m["counts"], str)
                    else m
                    for m in record["segmentations"]
                ],
            }
            for record in results
            if record["video_id"] == video_id
        ]
        evaluator.update(video_id, records)
    expected = evaluate(gt, results, ["youtube_vis", "ovis"])
    found = evaluator.compute()
    assert found.to_dict() == expected.to_dict()
    np.testing.assert_array_equal(found.curves["ovis"].scores, expected.curves["ovis"].scores)


@settings(max_examples=60, deadline=None)
@given(
    ious=st.integers(1, 5).flatmap(
        lambda g: st.lists(
            st.lists(
                st.sampled_from([0.0, 0.5, 0.55, 0.7, 0.8999999999999999, 0.95, 1.0]),
                min_size=g,
                max_size=g,
            ),
            min_size=1,
            max_size=5,
        )
    ),
    flags=st.lists(st.integers(0, 2), min_size=5, max_size=5),
)
def test_matching_follows_the_plain_rules(ious: list[list[float]], flags: list[int]) -> None:
    count = len(ious[0])
    crowd = [flag == 2 for flag in flags[:count]]
    ignored = [flag > 0 for flag in flags[:count]]
    found = match(np.array(ious), np.array(ignored), np.array(crowd))
    expected = [slow_match(ious, ignored, crowd, threshold) for threshold in THRESHOLDS]
    assert found.tolist() == expected


def test_thresholds_are_those_of_the_reference_to_the_last_bit() -> None:
    assert IOU_THRESHOLDS[8] == 0.8999999999999999


@pytest.mark.parametrize("limit", [1, 10, 100])
def test_only_the_first_hundred_predictions_of_a_category_count(limit: int) -> None:
    gt, _ = make_problem(0)
    gt["annotations"] = gt["annotations"][:1]
    track = gt["annotations"][0]
    track.update(iscrowd=0, areas=[10] * len(track["areas"]))
    perfect = {k: track[k] for k in ("video_id", "category_id", "segmentations")}
    nothing = {**perfect, "segmentations": [None] * len(track["segmentations"]), "score": 0.9}
    early = [nothing] * (limit - 1) + [{**perfect, "score": 0.5}]
    late = [nothing] * limit + [{**perfect, "score": 0.5}]
    assert evaluate(gt, early).metrics["youtube_vis"][f"AR{limit}"] == 1.0
    assert evaluate(gt, late).metrics["youtube_vis"][f"AR{limit}"] == 0.0
