# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from visbench.models.iai.association import (
    NO_ID,
    assign_ids,
    assignment_costs,
    class_vectors,
    identify,
    overlap_scores,
    paint,
    rank,
    solve,
    video_predictions,
)

NUM_IDS = 5
seeds = st.integers(0, 10_000)


def scores(rows: list[list[float]]) -> np.ndarray:
    return np.array(rows, dtype=np.float32).reshape(len(rows), -1)


def random_masks(seed: int, number: int, size: tuple[int, int] = (6, 7)) -> np.ndarray:
    return np.random.default_rng(seed).random((number, *size)) < 0.4


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(0, 4))
def test_assignment_is_the_best_of_all(seed: int, number: int) -> None:
    given_scores = np.random.default_rng(seed).random((number, 3))
    costs = assignment_costs(given_scores)
    assert costs.shape == (number, 3 + number)
    found = solve(costs)
    assert len(set(found.tolist())) == number
    best = min(
        sum(costs[row, column] for row, column in enumerate(columns))
        for columns in permutations(range(costs.shape[1]), number)
    )
    assert np.isclose(costs[np.arange(number), found].sum(), best)


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(0, 8), st.integers(0, 4), st.sampled_from(["discard", "share"]))
def test_ids_are_unique_and_never_skip(
    seed: int, number: int, num_known: int, overflow: str
) -> None:
    limit = NUM_IDS - (1 if overflow == "discard" else 2)
    num_known = min(num_known, limit)
    given_scores = np.random.default_rng(seed).random((number, NUM_IDS))
    ids, known, new = assign_ids(given_scores, num_known, overflow)
    tracks = ids[(ids != NO_ID) & (ids < limit)]
    assert len(set(tracks.tolist())) == len(tracks)
    assert num_known <= known <= limit
    assert set(range(num_known, known)) <= set(ids.tolist())
    assert (ids < known).sum() + (ids == limit).sum() * (overflow == "share") == number
    assert new == (known > num_known or (overflow == "share" and limit in ids))
    if overflow == "share":
        assert NO_ID not in ids


def test_all_detections_of_a_first_frame_are_new() -> None:
    ids, known, new = assign_ids(scores([[0.9, 0, 0, 0, 0.1], [0.9, 0, 0, 0, 0.1]]), 0)
    assert ids.tolist() == [0, 1] and known == 2 and new


def test_known_ids_are_matched_without_a_threshold() -> None:
    ids, known, new = assign_ids(scores([[0.1, 0.8, 0, 0, 0.05], [0.01, 0.9, 0, 0, 0.0]]), 2)
    assert ids.tolist() == [0, 1] and known == 2 and not new


def test_an_id_that_nobody_has_counts_as_new() -> None:
    ids, known, new = assign_ids(scores([[0, 0, 0, 0.9, 0.1]]), 1)
    assert ids.tolist() == [1] and known == 2 and new


def test_objects_beyond_the_ids_are_discarded_or_share_one() -> None:
    newcomers = scores([[0, 0, 0, 0, 0.9]] * 6)
    assert assign_ids(newcomers, 0, "discard")[0].tolist() == [0, 1, 2, 3, NO_ID, NO_ID]
    assert assign_ids(newcomers, 0, "share")[0].tolist() == [0, 1, 2, 3, 3, 3]
    assert assign_ids(newcomers, 4, "discard")[1:] == (4, False)
    assert assign_ids(newcomers, 3, "share")[1:] == (3, True)
    with pytest.raises(ValueError, match="overflow='keep' is not one of"):
        assign_ids(newcomers, 0, "keep")


def test_scores_that_are_not_finite_are_refused() -> None:
    with pytest.raises(FloatingPointError, match="scores of ids are not finite"):
        assign_ids(scores([[np.nan, 0, 0, 0, 0.5]]), 0)


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(0, 5), st.sampled_from([0.0, 0.1, 0.5, 1.0]))
def test_painting_gives_a_pixel_to_the_first_mask(seed: int, number: int, fraction: float) -> None:
    masks = random_masks(seed, number)
    owners, visible = paint(masks, fraction)
    for row, column in np.ndindex(owners.shape):
        holders = np.flatnonzero(masks[:, row, column])
        assert owners[row, column] == (holders[0] if len(holders) else -1)
    for index, mask in enumerate(masks):
        own = (owners == index).sum()
        assert visible[index] == (mask.sum() > 0 and own >= fraction * mask.sum())


def test_hidden_detections_are_dropped_and_keep_their_pixels() -> None:
    masks = np.zeros((4, 1, 30), dtype=bool)
    masks[0, 0, :19] = True
    masks[1, 0, :20] = True  # one pixel of twenty is left
    masks[2, 0, 19:22] = True
    found = identify(masks, np.tile(scores([[0, 0, 0, 0, 0.9]]), (4, 1)), 0)
    assert found.visible.tolist() == [True, False, True, False]
    assert found.ids.tolist() == [0, NO_ID, 1, NO_ID]
    assert found.label_map[0].tolist() == [0] * 19 + [NUM_IDS] + [1] * 2 + [NUM_IDS] * 8


def test_the_last_of_those_that_share_an_id_has_it() -> None:
    masks = np.zeros((3, 1, 6), dtype=bool)
    for index in range(3):
        masks[index, 0, 2 * index : 2 * index + 2] = True
    newcomers = np.tile(scores([[0, 0, 0, 0, 0.9]]), (3, 1))
    found = identify(masks, newcomers, 3, "share")
    assert found.ids.tolist() == [3, 3, 3]
    assert found.label_map[0].tolist() == [NO_ID] * 4 + [3] * 2
    vectors = class_vectors(found.ids, scores([[0.1], [0.2], [0.3]]), NUM_IDS)
    assert np.allclose(vectors[:, 0], [0, 0, 0, 0.3, 0])
    discarded = identify(masks, newcomers, 4, "discard")
    assert (discarded.label_map == NUM_IDS).all() and not discarded.new


def test_a_frame_without_detections_is_background() -> None:
    found = identify(np.zeros((0, 3, 4), dtype=bool), np.zeros((0, NUM_IDS)), 2)
    assert len(found.ids) == 0 and found.num_known == 2 and not found.new
    assert (found.label_map == NUM_IDS).all() and found.label_map.shape == (3, 4)


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(1, 4))
def test_overlap_is_that_of_sets_of_pixels(seed: int, number: int) -> None:
    masks = random_masks(seed, number)
    label_map = np.random.default_rng(seed).integers(-1, NUM_IDS + 1, masks.shape[1:])
    found = overlap_scores(masks, label_map, NUM_IDS)
    for row, mask in enumerate(masks):
        for object_id in range(NUM_IDS - 1):
            other = label_map == object_id
            union = (mask | other).sum()
            expected = (mask & other).sum() / union if union else 0
            assert np.isclose(found[row, object_id], expected)


def test_ranking_weighs_ids_by_the_frame() -> None:
    classes, ids = torch.tensor([[0.2, 0.6]]), torch.tensor([[0.1, 0.8, 0.3]])
    assert torch.isclose(rank(classes, ids, True), torch.tensor(1.0)).all()
    assert torch.isclose(rank(classes, ids, False), torch.tensor(1.1)).all()
    assert torch.isclose(rank(classes, ids, False, "average"), torch.tensor(0.7)).all()
    half = rank(classes, ids, True, quality=torch.tensor([0.5]))
    assert torch.isclose(half, torch.tensor(0.5)).all()
    assert torch.equal(rank(classes, None, True), torch.tensor([0.6]))
    with pytest.raises(ValueError, match="ranking='best' is not one of"):
        rank(classes, ids, True, "best")


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(1, 9))
def test_predictions_are_the_best_means(seed: int, maximum: int) -> None:
    totals = np.random.default_rng(seed).random((4, 3)).astype(np.float32)
    found = video_predictions(totals, 5, maximum, threshold=0.05)
    everything = sorted(((totals / 5).ravel()).tolist(), reverse=True)
    expected = [score for score in everything[:maximum] if score > 0.05]
    assert np.allclose([score for _, _, score in found], expected)
    for object_id, label, score in found:
        assert np.isclose(score, totals[object_id, label] / 5)


def test_a_video_without_frames_has_no_predictions() -> None:
    assert video_predictions(np.zeros((3, 2)), 0) == []
