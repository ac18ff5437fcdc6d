# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from visbench.evaluation import evaluate
from visbench.evaluation.hota import ALPHAS, HOTA_NAMES

sys.path.insert(0, str(Path(__file__).parent))

from random_problems import encode
from tracking_problems import CATEGORIES, dense_tracks, frame_iou, make_tracking_problem

Pairs = list[tuple[int, int]]


def best_pairs(score: np.ndarray) -> Pairs:
    """Return the one-to-one pairs of greatest sum, by trying all; ambiguous ones are assumed away.

    Pairs of score 0 are left out.
    """
    if score.shape[0] > score.shape[1]:
        return [(row, column) for column, row in best_pairs(score.T)]
    found: dict[frozenset[tuple[int, int]], float] = {}
    for columns in permutations(range(score.shape[1]), score.shape[0]):
        pairs = [(row, column) for row, column in enumerate(columns) if score[row, column] > 0]
        found[frozenset(pairs)] = sum(score[pair] for pair in pairs)
    best = max(found.values())
    winners = [pairs for pairs, total in found.items() if total > best - 1e-9]
    assume(len(winners) == 1)
    return sorted(winners[0])


class Sums:
    """The sums of one category, by plain loops over frames and tracks."""

    def __init__(self) -> None:
        self.true = [0] * len(ALPHAS)
        self.similarity = [0.0] * len(ALPHAS)
        self.association = [0.0] * len(ALPHAS)
        self.objects = self.predictions = self.identity = 0

    def add(self, truth: list[np.ndarray], found: list[np.ndarray]) -> None:
        length = len((truth + found)[0])
        s = np.array(
            [[[frame_iou(d[t], g[t]) for g in truth] for d in found] for t in range(length)]
        )
        s = s.reshape(length, len(found), len(truth))
        n = [sum(bool(mask.any()) for mask in track) for track in found]
        m = [sum(bool(mask.any()) for mask in track) for track in truth]
        self.objects += sum(m)
        self.predictions += sum(n)
        if not truth or not found:
            return
        aligned = np.zeros((len(found), len(truth)))
        for d in range(len(found)):
            for g in range(len(truth)):
                potential = sum(
                    s[t, d, g] / (s[t, d].sum() + s[t, :, g].sum() - s[t, d, g])
                    for t in range(length)
                    if s[t, d, g] > 0
                )
                if n[d] + m[g]:
                    aligned[d, g] = potential / (n[d] + m[g] - potential)
        pairs = [(t, *pair) for t in range(length) for pair in best_pairs(aligned * s[t])]
        for a, alpha in enumerate(ALPHAS):
            hits = [(d, g) for t, d, g in pairs if s[t, d, g] >= alpha - 1e-12]
            self.true[a] += len(hits)
            self.similarity[a] += sum(s[p] for p in pairs if s[p] >= alpha - 1e-12)
            for d, g in hits:
                common = hits.count((d, g))
                self.association[a] += common / (n[d] + m[g] - common)
        self.identity += self.most_identity_hits(s)

    def most_identity_hits(self, s: np.ndarray) -> int:
        common = (s >= 0.5).sum(axis=0)
        if common.shape[0] > common.shape[1]:
            common = common.T
        return max(
            sum(int(common[row, column]) for row, column in enumerate(columns))
            for columns in permutations(range(common.shape[1]), common.shape[0])
        )

    def numbers(self) -> list[float | None]:
        hota, deta, assa, loca = [], [], [], []
        for true, similarity, association in zip(
            self.true, self.similarity, self.association, strict=True
        ):
            deta.append(true / (self.objects + self.predictions - true))
            assa.append(association / true if true else 0.0)
            loca.append(similarity / true if true else 1.0)
            hota.append((deta[-1] * assa[-1]) ** 0.5)
        means: list[float | None] = [sum(v) / len(v) for v in (hota, deta, assa, loca)]
        if not any(self.true):
            means[3] = None
        return [*means, 2 * self.identity / (self.objects + self.predictions)]


def brute_force(
    gt: dict[str, Any], results: list[dict[str, Any]], pools: list[list[int]]
) -> dict[str, float]:
    truth, found = dense_tracks(gt, gt["annotations"]), dense_tracks(gt, results)
    rows = []
    for pool in pools:
        sums = Sums()
        for video in gt["videos"]:
            parts = [
                [
                    masks
                    for masks, record in zip(tracks, records, strict=True)
                    if record["video_id"] == video["id"] and record["category_id"] in pool
                ]
                for tracks, records in ((truth, gt["annotations"]), (found, results))
            ]
            if parts[0] or parts[1]:
                sums.add(*parts)
        if sums.objects:
            rows.append(sums.numbers())
    numbers = {}
    for column, name in enumerate(HOTA_NAMES):
        values = [row[column] for row in rows if row[column] is not None]
        numbers[name] = sum(values) / len(values) if values else -1.0
    return numbers


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), class_agnostic=st.booleans())
def test_numbers_equal_those_of_brute_force(seed: int, class_agnostic: bool) -> None:
    gt, results = make_tracking_problem(seed)
    pools = [CATEGORIES] if class_agnostic else [[category] for category in CATEGORIES]
    expected = brute_force(gt, results, pools)
    result = evaluate(gt, results, "hota", class_agnostic)
    assert result.metrics["hota"] == pytest.approx(expected, abs=1e-12)
    pooled = brute_force(gt, results, [CATEGORIES])
    assert result.details["hota"].class_agnostic == pytest.approx(pooled, abs=1e-12)


def problem(
    objects: list[str], predictions: list[str], scores: list[float] | None = None
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return one video where letters are places: ``"AAB."`` is at A twice, at B, then nowhere."""

    def masks(places: str) -> list[dict[str, Any] | None]:
        frames: list[dict[str, Any] | None] = []
        for place in places:
            mask = np.zeros((4, 20), bool)
            mask[:, 4 * "ABCDE".find(place) : 4 * "ABCDE".find(place) + 4] = True
            frames.append(None if place == "." else encode(mask))
        return frames

    length = len((objects + predictions)[0])
    video = {"id": 1, "height": 4, "width": 20, "file_names": ["f"] * length}
    gt = {
        "videos": [video],
        "categories": [{"id": 1, "name": "a"}],
        "annotations": [
            {"id": k + 1, "video_id": 1, "category_id": 1, "segmentations": masks(places)}
            for k, places in enumerate(objects)
        ],
    }
    scores = scores or [1.0] * len(predictions)
    results = [
        {"video_id": 1, "category_id": 1, "score": score, "segmentations": masks(places)}
        for places, score in zip(predictions, scores, strict=True)
    ]
    return gt, results


def test_perfect_tracks() -> None:
    found = evaluate(*problem(["AAB.", "CCDD"], ["CCDD", "AAB."]), "hota")
    assert found.metrics["hota"] == dict.fromkeys(HOTA_NAMES, 1.0)


def test_identity_switch_costs_association_only() -> None:
    found = evaluate(*problem(["AAAA", "BBBB"], ["AABB", "BBAA"]), "hota").metrics["hota"]
    # Every true positive shares 2 of 4 + 4 - 2 masks with its own pair of tracks.
    assert found == pytest.approx(
        {"HOTA": (1 / 3) ** 0.5, "DetA": 1.0, "AssA": 1 / 3, "LocA": 1.0, "IDF1": 0.5}
    )


def test_missed_frames_cost_detection_and_association() -> None:
    found = evaluate(*problem(["AAAA"], ["AA.."]), "hota").metrics["hota"]
    assert found == pytest.approx(
        {"HOTA": 0.5, "DetA": 0.5, "AssA": 0.5, "LocA": 1.0, "IDF1": 2 * 2 / 6}
    )


def test_weak_predictions_count_unless_a_threshold_leaves_them_out() -> None:
    case = problem(["AAAA"], ["AAAA", "CCCC"], [0.9, 0.1])
    assert evaluate(*case, "hota").metrics["hota"]["DetA"] == pytest.approx(0.5)
    kept = evaluate(*case, "hota", hota_score_threshold=0.1).metrics["hota"]
    assert kept["DetA"] == pytest.approx(0.5)
    left_out = evaluate(*case, "hota", hota_score_threshold=0.2).metrics["hota"]
    assert left_out == dict.fromkeys(HOTA_NAMES, 1.0)


def test_undefined_numbers() -> None:
    nothing = evaluate(*problem([], ["AA"]), "hota").metrics["hota"]
    assert nothing == dict.fromkeys(HOTA_NAMES, -1.0)
    missed = evaluate(*problem(["AA"], ["CC"]), "hota").metrics["hota"]
    assert missed == {"HOTA": 0.0, "DetA": 0.0, "AssA": 0.0, "LocA": -1.0, "IDF1": 0.0}
    empty = evaluate(*problem(["AA"], []), "hota").metrics["hota"]
    assert empty == missed


def test_masks_on_crowds_count_for_nothing() -> None:
    gt, results = problem(["AAAA", "CCCC"], ["AAAA", "CCC.", "DDDD"])
    gt["annotations"][1]["iscrowd"] = 1
    found = evaluate(gt, results, "hota").metrics["hota"]
    assert found["DetA"] == pytest.approx(0.5)
    assert found["AssA"] == 1.0
    assert found["IDF1"] == pytest.approx(2 * 4 / 12)


def test_details_hold_every_category() -> None:
    gt, results = problem(["AAAA"], ["AAAA"])
    gt["categories"].append({"id": 2, "name": "b"})
    gt["annotations"].append({**gt["annotations"][0], "id": 9, "category_id": 2})
    result = evaluate(gt, results, "hota")
    details = result.details["hota"]
    assert details.per_category[1]["HOTA"] == 1.0
    assert details.per_category[2]["HOTA"] == 0.0
    assert result.metrics["hota"]["HOTA"] == 0.5
    assert details.counts[1].true.tolist() == [4.0] * 19
    assert details.counts[2].objects == 4
    assert details.class_agnostic["DetA"] == pytest.approx(4 / 8)
    assert "class-agnostic" in result.summary()


def test_masks_of_another_size_and_later_frames_overlap_nothing() -> None:
    gt, results = problem(["AAAA"], ["AAAA"])
    entries = results[0]["segmentations"]
    entries[0] = encode(np.ones((2, 3), bool))
    entries.append(entries[1])
    found = evaluate(gt, results, "hota", official_bugs=True).metrics["hota"]
    assert found["DetA"] == pytest.approx(3 / 5)
    assert found["IDF1"] == pytest.approx(2 * 3 / 8)


def test_video_without_frames() -> None:
    gt, results = problem([""], [""])
    assert evaluate(gt, results, ["hota", "errors"]).metrics["hota"]["HOTA"] == -1.0
