# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from visbench.models.inspro.association import (
    IndependentMatching,
    TemporallyConsistentMatching,
    accumulate_scores,
    best_slots,
    extend_bank,
    predict_video,
    solve,
    video_scores,
)

COSTS = st.floats(-100, 100, width=32)


@st.composite
def clips(draw: st.DrawFn) -> tuple[int, list[tuple[list[int], np.ndarray]]]:
    slots, stages = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    frames = []
    for _ in range(draw(st.integers(1, 5))):
        ids = draw(st.lists(st.integers(0, 6), unique=True, max_size=5))
        frames.append((ids, draw(arrays(np.float32, (stages, slots, len(ids)), elements=COSTS))))
    return slots, frames


@given(clips(), st.sampled_from(["per_stage_new", "last"]))
@settings(max_examples=150, deadline=None)
def test_an_object_keeps_its_slot_and_a_slot_its_object(
    clip: tuple[int, list[tuple[list[int], np.ndarray]]], mode: str
) -> None:
    num_slots, frames = clip
    matcher = TemporallyConsistentMatching(num_slots, mode)
    before: dict[int, int] = {}
    for ids, costs in frames:
        slots = matcher.match(ids, costs)
        assert slots.shape == (len(costs), len(ids))
        for stage in slots:
            used = stage[stage >= 0].tolist()
            assert len(set(used)) == len(used)
            for object_id, slot in zip(ids, stage.tolist(), strict=True):
                if object_id in before:
                    assert slot == before[object_id]
                else:
                    assert slot not in before.values()
        now = dict(matcher.slot_of)
        assert before.items() <= now.items()
        assert len(set(now.values())) == len(now)
        free = num_slots - len(before)
        new = [object_id for object_id in ids if object_id not in before]
        assert len(now) - len(before) == min(free, len(new))
        owners = matcher.owners()
        assert {i: int(np.flatnonzero(owners == i)[0]) for i in now} == now
        before = now


@given(arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(0, 4)), elements=COSTS))
@settings(max_examples=100, deadline=None)
def test_solve_is_the_cheapest_assignment(costs: np.ndarray) -> None:
    slots = solve(costs)
    found = [(slot, column) for column, slot in enumerate(slots.tolist()) if slot >= 0]
    wide = costs if costs.shape[0] <= costs.shape[1] else costs.T
    best = min(
        sum(float(wide[row, column]) for row, column in enumerate(columns))
        for columns in permutations(range(wide.shape[1]), wide.shape[0])
    )
    assert len(found) == min(costs.shape)
    assert sum(float(costs[pair]) for pair in found) == pytest.approx(best, abs=1e-3)


def test_first_frame_is_independent_matching() -> None:
    costs = np.random.default_rng(0).normal(size=(2, 5, 3))
    ours = TemporallyConsistentMatching(5).match([4, 1, 9], costs)
    np.testing.assert_array_equal(ours, IndependentMatching(5).match([4, 1, 9], costs))


def test_stage_modes_differ_for_new_objects_only() -> None:
    costs = np.stack([np.eye(2), 1 - np.eye(2)])
    each = TemporallyConsistentMatching(2, "per_stage_new")
    last = TemporallyConsistentMatching(2, "last")
    assert each.match([0, 1], costs).tolist() == [[1, 0], [0, 1]]
    assert last.match([0, 1], costs).tolist() == [[0, 1], [0, 1]]
    assert each.slot_of == last.slot_of
    assert each.match([0, 1], costs).tolist() == [[0, 1], [0, 1]]


@pytest.mark.parametrize("matcher", [TemporallyConsistentMatching(3), IndependentMatching(3)])
def test_an_id_must_not_occur_twice(
    matcher: TemporallyConsistentMatching | IndependentMatching,
) -> None:
    with pytest.raises(ValueError, match="occurs twice"):
        matcher.match([2, 2], np.zeros((1, 3, 2)))


def test_costs_that_are_not_finite_are_named() -> None:
    with pytest.raises(FloatingPointError, match="learning rate"):
        solve(np.array([[np.nan, 1.0]]))


def test_bank_keeps_the_newest() -> None:
    bank: list[torch.Tensor] = []
    for value in range(5):
        bank = extend_bank(bank, torch.tensor([float(value)]), 3)
    assert [float(entry) for entry in bank] == [2.0, 3.0, 4.0]


@pytest.mark.parametrize(
    ("reduce", "expected"),
    [
        ("mean_all", [[0.3, 0.4], [0.15, 0.0]]),
        ("mean_present", [[0.5, 0.4], [0.3, 0.0]]),
        ("max", [[0.5, 0.6], [0.3, 0.0]]),
    ],
)
def test_score_reductions(reduce: str, expected: list[list[float]]) -> None:
    frames = torch.tensor([[[0.1, 0.2], [0.3, 0.0]], [[0.5, 0.6], [0.0, 0.0]]])
    totals = counts = torch.zeros(2, 2)
    for frame in frames:
        totals, counts = accumulate_scores(totals, counts, frame, 0.15, reduce)
    torch.testing.assert_close(video_scores(totals, counts), torch.tensor(expected))


def test_unknown_score_reduction_is_refused() -> None:
    zeros = torch.zeros(1, 1)
    with pytest.raises(ValueError, match="mean_all"):
        accumulate_scores(zeros, zeros, zeros, 0.0, "median")


def test_no_frame_gives_score_zero() -> None:
    assert video_scores(torch.zeros(2, 2), torch.zeros(2, 2)).tolist() == [[0, 0], [0, 0]]


def test_best_slots_come_in_ascending_order() -> None:
    scores = torch.tensor([[0.1, 0.2], [0.9, 0.0], [0.2, 0.0], [0.0, 0.8]])
    assert best_slots(scores, 2).tolist() == [1, 3]
    assert best_slots(scores, 9).tolist() == [0, 1, 2, 3]


def test_several_classes_of_a_slot_share_a_track() -> None:
    scores = torch.tensor([[0.9, 0.7], [0.8, 0.1]])
    slots, predictions = predict_video(scores, [0, 1], 3)
    assert slots == [0, 1]
    assert [(p.track_index, p.label) for p in predictions] == [(0, 0), (1, 0), (0, 1)]
    slots, predictions = predict_video(scores, [1], 3)
    assert slots == [1]
    assert [(p.track_index, p.label) for p in predictions] == [(0, 0)]
