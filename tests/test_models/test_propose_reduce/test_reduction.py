# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sequence_problems import brute_force_iou, overlaps_of, random_sequences

from visbench.models.propose_reduce.association import (
    CategoryAwareReduction,
    Reduction,
    SequenceNMS,
    SequenceSoftNMS,
    reduce_sequences,
)
from visbench.registry import TASK_UTILS

seeds = st.integers(0, 2**32 - 1)


def random_scores(seed: int, number: int, classes: int = 3) -> np.ndarray:
    """Return scores with ties, most of them between 0 and 1."""
    rng = np.random.default_rng(seed)
    return (rng.integers(0, 9, (number, classes + 1)) / 8).astype(np.float32)


def brute_force_nms(iou: np.ndarray, best: list[float], threshold: float, stop: float) -> list[int]:
    """Return what greedy suppression keeps, without sorting."""
    kept: list[int] = []
    flagged: set[int] = set()
    while len(flagged) < len(best):
        chosen = max((i for i in range(len(best)) if i not in flagged), key=lambda i: (best[i], -i))
        if best[chosen] < stop and kept:
            break
        kept.append(chosen)
        flagged |= {chosen, *(j for j in range(len(best)) if iou[chosen, j] >= threshold)}
    return kept


def brute_force_soft_nms(
    iou: np.ndarray, scores: list[np.float32], sigma: float, stop: float, limit: int
) -> tuple[list[int], list[np.float32]]:
    """Return what soft suppression keeps and the lowered scores."""
    scores, kept = list(scores), []
    while len(kept) < min(limit, len(scores)):
        rest = [i for i in range(len(scores)) if i not in kept]
        chosen = max(rest, key=lambda i: (scores[i], -i))
        if scores[chosen] < stop:
            break
        kept.append(chosen)
        for other in rest:
            if other != chosen and scores[other] >= stop:
                scores[other] *= np.float32(math.exp(-(iou[chosen, other] ** 2) / sigma))
    return kept, [scores[i] for i in kept]


@given(seeds, st.sampled_from([0.1, 0.5, 0.9, 1.0]), st.sampled_from([0.0, 0.3, 2.0]))
@settings(max_examples=30, deadline=None)
def test_nms_is_that_of_brute_force(seed: int, threshold: float, stop: float) -> None:
    masks = random_sequences(seed)
    scores = random_scores(seed, len(masks))
    kept, left = SequenceNMS(threshold, stop)(overlaps_of(masks), scores)
    best = scores[:, :-1].max(axis=1).tolist()
    assert kept.tolist() == brute_force_nms(brute_force_iou(masks), best, threshold, stop)
    np.testing.assert_array_equal(left, scores[kept])


@given(seeds, st.sampled_from([0.1, 0.5]), st.sampled_from([0.0, 0.3]), st.integers(1, 9))
@settings(max_examples=30, deadline=None)
def test_soft_nms_is_that_of_brute_force(seed: int, sigma: float, stop: float, limit: int) -> None:
    masks = random_sequences(seed)
    scores = random_scores(seed, len(masks), classes=1)
    kept, left = SequenceSoftNMS(sigma, stop, limit)(overlaps_of(masks), scores)
    expected = brute_force_soft_nms(brute_force_iou(masks), list(scores[:, 0]), sigma, stop, limit)
    assert kept.tolist() == expected[0]
    np.testing.assert_allclose(left[:, 0], expected[1], rtol=1e-6)
    np.testing.assert_array_equal(left[:, 1], scores[kept, 1])


@given(seeds, st.sampled_from([0.001, 0.3]), st.integers(1, 9))
@settings(max_examples=30, deadline=None)
def test_category_aware_reduction_is_brute_force_by_class(
    seed: int, stop: float, limit: int
) -> None:
    masks = random_sequences(seed)
    scores = random_scores(seed, len(masks))
    kept, left = CategoryAwareReduction(0.5, stop, limit)(overlaps_of(masks), scores)
    iou = brute_force_iou(masks)
    expected = np.full_like(scores, -1)
    expected[:, -1] = scores[:, -1]
    for label in range(scores.shape[1] - 1):
        chosen, lowered = brute_force_soft_nms(iou, list(scores[:, label]), 0.5, stop, limit)
        expected[chosen, label] = lowered
    assert kept.tolist() == list(range(len(masks)))
    np.testing.assert_allclose(left, expected, rtol=1e-6)


def test_soft_nms_lowers_all_classes_of_a_sequence_alike() -> None:
    masks = np.ones((2, 1, 2, 2), dtype=bool)
    scores = np.array([[0.9, 0.2, 0.3], [0.4, 0.8, 0.5]], dtype=np.float32)
    kept, left = SequenceSoftNMS(sigma=0.5)(overlaps_of(masks), scores)
    assert kept.tolist() == [0, 1]
    np.testing.assert_array_equal(left[0], scores[0])
    np.testing.assert_allclose(left[1], [0.4 * math.exp(-2), 0.8 * math.exp(-2), 0.5], rtol=1e-6)


def test_reducers_follow_each_other() -> None:
    masks = random_sequences(5, number=8)
    scores = random_scores(5, 8)
    first = SequenceNMS(0.3, 0.2)
    kept = first(overlaps_of(masks), scores).kept
    second = CategoryAwareReduction(sigma=0.1)(overlaps_of(masks[kept]), scores[kept])
    chained = reduce_sequences(
        [first, CategoryAwareReduction(sigma=0.1)], overlaps_of(masks), scores
    )
    assert len(kept) < 8
    assert chained.kept.tolist() == kept[second.kept].tolist()
    np.testing.assert_array_equal(chained.scores, second.scores)


def test_dropped_classes_stay_dropped_under_a_further_reducer() -> None:
    masks = np.ones((3, 1, 2, 2), dtype=bool)
    scores = np.array([[0.9, 0.1, 0.0], [0.8, 0.3, 0.0], [0.7, 0.2, 0.0]], dtype=np.float32)
    steps: list[Any] = [CategoryAwareReduction(max_sequences=1), SequenceSoftNMS()]
    kept, left = reduce_sequences(steps, overlaps_of(masks), scores)
    assert kept.tolist() == [0, 1]
    np.testing.assert_allclose(left[:, :2], [[0.9, -1], [-1, 0.3 * math.exp(-2)]], rtol=1e-6)


def test_without_reducers_all_sequences_stay() -> None:
    scores = random_scores(0, 3)
    kept, left = reduce_sequences([], overlaps_of(random_sequences(0, 3)), scores)
    assert kept.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(left, scores)


@pytest.mark.parametrize("reducer", [SequenceNMS(), SequenceSoftNMS(), CategoryAwareReduction()])
def test_no_sequences(reducer: Any) -> None:
    kept, scores = reduce_sequences([reducer], overlaps_of(np.zeros((0, 2, 3, 3))), np.ones((0, 4)))
    assert kept.shape == (0,)
    assert scores.shape == (0, 4)


def test_scores_below_the_stop() -> None:
    overlaps = overlaps_of(random_sequences(0, 4))
    scores = np.full((4, 3), 1e-4)
    assert reduce_sequences([SequenceNMS()], overlaps, scores).kept.tolist() == [0]
    assert reduce_sequences([SequenceSoftNMS()], overlaps, scores).kept.tolist() == []
    every: Reduction = reduce_sequences([CategoryAwareReduction()], overlaps, scores)
    assert every.kept.tolist() == [0, 1, 2, 3]
    assert (every.scores[:, :-1] == -1).all()


def test_empty_sequences_suppress_nothing() -> None:
    overlaps = overlaps_of(np.zeros((3, 2, 4, 4), dtype=bool))
    scores = np.array([[0.2, 0.8], [0.9, 0.1], [0.2, 0.8]])
    assert reduce_sequences([SequenceNMS()], overlaps, scores).kept.tolist() == [1, 0, 2]


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        (np.ones((3, 4)), r"shape \(2, classes \+ 1\), got \(3, 4\)"),
        (np.ones((2, 1)), "classes"),
        (np.ones(2), "classes"),
        (np.full((2, 3), np.nan), "not finite"),
    ],
)
def test_scores_that_do_not_fit_are_told(scores: np.ndarray, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        reduce_sequences([SequenceNMS()], overlaps_of(random_sequences(0, 2)), scores)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"type": "SequenceNMS", "iou_threshold": 0}, "iou_threshold must be above 0"),
        ({"type": "SequenceSoftNMS", "sigma": 0}, "sigma must be positive"),
        ({"type": "SequenceSoftNMS", "max_sequences": 0}, "max_sequences must be at least 1"),
        ({"type": "CategoryAwareReduction", "score_threshold": -2}, "score_threshold"),
    ],
)
def test_settings_that_mean_nothing_are_refused(config: dict, words: str) -> None:
    with pytest.raises(ValueError, match=f"{config['type']}: {words}"):
        TASK_UTILS.build({**config, "type": f"visbench.{config['type']}"})
