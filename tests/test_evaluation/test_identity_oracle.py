# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visbench.evaluation import evaluate
from visbench.evaluation.identity_oracle import assign_frames

sys.path.insert(0, str(Path(__file__).parent))

from random_problems import encode
from test_hota import best_pairs, problem
from tracking_problems import CATEGORIES, dense_tracks, frame_iou, make_tracking_problem

Dense = np.ndarray
Linked = list[tuple[float, Dense]]


def link(truth: list[Dense], found: list[Dense], scores: list[float]) -> Linked:
    """Return scores and masks of the new tracks of one video and category, by plain loops.

    Args:
        truth: Objects that are no crowds.
        found: Predictions, by descending score.
        scores: Of the predictions.
    """
    length = len((truth + found)[0])
    owner: dict[tuple[int, int], int] = {}
    on_object: set[tuple[int, int]] = set()
    for t in range(length):
        ious = np.array([[frame_iou(d[t], g[t]) for g in truth] for d in found])
        ious = np.where(ious < 0.1, 0.0, ious).reshape(len(found), len(truth))
        owner.update({(t, d): g for d, g in best_pairs(ious)} if ious.size else {})
        on_object |= {(t, int(d)) for d in np.flatnonzero(ious.any(axis=1))}
    links = [
        [sum(owner.get((t, d)) == g for t in range(length)) for g in range(len(truth))]
        for d in range(len(found))
    ]
    home = [row.index(max(row)) if any(row) else None for row in links]
    rest = [
        {
            t
            for t in range(length)
            if found[d][t].any()
            and (t, d) not in owner
            and (home[d] is None or (t, d) not in on_object)
        }
        for d in range(len(found))
    ]
    tracks: Linked = []
    for g in range(len(truth)):
        parts = {t: d for (t, d), other in owner.items() if other == g}
        if not parts:
            continue
        at_home = [d for d in range(len(found)) if home[d] == g]
        if at_home:
            main = max(at_home, key=lambda d: links[d][g])
            score = min(parts.values())
            parts.update({t: main for t in rest[main] if t not in parts})
            rest[main] = set()
        else:
            score = min(parts.values())
        masks = [
            found[parts[t]][t] if t in parts else np.zeros_like(truth[g][t]) for t in range(length)
        ]
        tracks.append((scores[score], np.stack(masks)))
    for d in range(len(found)):
        if rest[d] or home[d] is None:
            kept = np.array([t in rest[d] for t in range(length)])[:, None, None]
            tracks.append((scores[d], found[d] & kept))
    return tracks


def relinked(gt: dict[str, Any], results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return results with the identities of the ground truth."""
    order = np.argsort([-record["score"] for record in results], kind="stable")
    results = [results[i] for i in order]
    truth, found = dense_tracks(gt, gt["annotations"]), dense_tracks(gt, results)
    records = []
    for video in gt["videos"]:
        for category in CATEGORIES:
            place = video["id"], category
            objects = [
                masks
                for masks, record in zip(truth, gt["annotations"], strict=True)
                if (record["video_id"], record["category_id"]) == place and not record["iscrowd"]
            ]
            here = [
                (record["score"], masks)
                for masks, record in zip(found, results, strict=True)
                if (record["video_id"], record["category_id"]) == place
            ]
            if not here:
                continue
            for score, masks in link(objects, [m for _, m in here], [s for s, _ in here]):
                records.append(
                    {
                        "video_id": video["id"],
                        "category_id": category,
                        "score": score,
                        "segmentations": [encode(mask) for mask in masks],
                    }
                )
    return records


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), crowds=st.booleans())
def test_numbers_equal_those_of_results_linked_by_hand(seed: int, crowds: bool) -> None:
    gt, results = make_tracking_problem(seed, crowds)
    found = evaluate(gt, results, ["youtube_vis", "ovis"], oracle="ids").oracle_ids
    expected = evaluate(gt, relinked(gt, results), ["youtube_vis", "ovis"]).metrics
    assert found == expected


CASES = {
    "identity switch": (["AAAA", "CCCC"], ["AACC", "CCAA"], 1.0),
    "one track over two objects": (["AA..", "..CC"], ["AACC"], 1.0),
    "fragments": (["AAAA"], ["AA..", "..AA"], 1.0),
    "missed frames stay missed": (["AAAA"], ["AAA."], 0.6),
    "wrong masks stay with their track": (["AAA."], ["AAAD"], 0.6),
    "a duplicate stays": (["AAAA"], ["AAAA", "AAAA"], 1.0),
    "nothing on the object": (["AAAA"], ["DDDD"], 0.0),
}


@pytest.mark.parametrize("name", CASES)
def test_clear_cases(name: str) -> None:
    objects, predictions, expected = CASES[name]
    scores = [1 - 0.1 * k for k in range(len(predictions))]
    result = evaluate(*problem(objects, predictions, scores), "youtube_vis", oracle="ids")
    assert result.oracle_ids is not None
    assert result.oracle_ids["youtube_vis"]["AP"] == pytest.approx(expected)
    assert result.to_dict()["oracle_ids"] == result.oracle_ids


def test_class_agnostic_order_of_objects_is_respected() -> None:
    gt, results = problem(["AAAA", "CCCC"], ["AACC", "CCAA"], [0.9, 0.8])
    gt["categories"].append({"id": 2, "name": "b"})
    # The pool of objects is by category, so the second one comes first.
    gt["annotations"][0]["category_id"] = 2
    result = evaluate(gt, results, "youtube_vis", class_agnostic=True, oracle="ids")
    assert result.oracle_ids is not None
    assert result.oracle_ids["youtube_vis"]["AP"] == pytest.approx(1.0)
    assert result.metrics["youtube_vis"]["AP"] == pytest.approx(0.0)


def test_pairs_below_a_tenth_are_no_pairs() -> None:
    ious = np.array([[[0.09, 0.0], [0.6, 0.5], [0.55, 0.0]]])
    assert assign_frames(ious).tolist() == [[-1, 1, 0]]


@pytest.mark.parametrize(
    ("metric", "oracle", "words"),
    [
        ("hota", "ids", "ask for metric youtube_vis or ovis"),
        ("imagenet_vid", "ids", "ask for metric youtube_vis or ovis"),
        ("youtube_vis", "masks", "unknown oracle 'masks'"),
    ],
)
def test_impossible_oracles_are_refused(metric: str, oracle: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        evaluate(*problem(["AA"], ["AA"]), metric, oracle=oracle)
