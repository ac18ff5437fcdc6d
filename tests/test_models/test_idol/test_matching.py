# SPDX-License-Identifier: Apache-2.0
"""Matching and sample selection against slow versions with loops, written from the fact sheet."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from visbench.models.idol import (
    CostRankSelection,
    IoUSelection,
    OptimalTransportSelection,
    SimOTAMatcher,
)
from visbench.models.idol.matching import assign

Problem = tuple[Tensor, Tensor, Tensor, Tensor]


def problem(seed: int, queries: int = 20, objects: int = 3, duplicates: bool = False) -> Problem:
    """Return logits, boxes, labels and objects; half of the queries lie near an object."""
    generator = torch.Generator().manual_seed(seed)
    gt_boxes = 0.1 + 0.5 * torch.rand(objects, 4, generator=generator)
    boxes = 0.05 + 0.8 * torch.rand(queries, 4, generator=generator)
    if objects:
        near = gt_boxes[torch.arange(queries // 2) % objects]
        noise = torch.randn(queries // 2, 4, generator=generator)
        boxes[: queries // 2] = (near + 0.02 * noise).clamp(0.01, 0.99)
    labels = torch.randint(0, 4, (objects,), generator=generator)
    if duplicates:
        gt_boxes[:], labels[:] = gt_boxes[:1], labels[:1]
    return torch.randn(queries, 4, generator=generator), boxes, labels, gt_boxes


def corners(box: list[float]) -> list[float]:
    x, y, width, height = box
    return [x - width / 2, y - height / 2, x + width / 2, y + height / 2]


def slow_overlaps(box: list[float], other: list[float]) -> tuple[float, float]:
    a, b = corners(box), corners(other)
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = box[2] * box[3] + other[2] * other[3] - width * height
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    return width * height / union, width * height / union - (hull - union) / (hull + 1e-7)


def slow_costs(logits: Tensor, boxes: Tensor, labels: Tensor, gt_boxes: Tensor) -> np.ndarray:
    costs = np.zeros((len(boxes), len(gt_boxes)))
    for q, box in enumerate(boxes.tolist()):
        inside, central = [], []
        for other in gt_boxes.tolist():
            left, top, right, bottom = corners(other)
            inside.append(left < box[0] < right and top < box[1] < bottom)
            central.append(max(abs(box[0] - other[0]), abs(box[1] - other[1])) < 0.078125)
        for g, other in enumerate(gt_boxes.tolist()):
            p = 1 / (1 + math.exp(-float(logits[q, labels[g]])))
            costs[q, g] = -0.25 * (1 - p) ** 2 * math.log(p + 1e-8)
            costs[q, g] += 0.75 * p**2 * math.log(1 - p + 1e-8)
            costs[q, g] -= 3 * slow_overlaps(box, other)[1]
            costs[q, g] += 100 * (not (inside[g] and central[g]))
            costs[q, g] += 10_000 * (not (any(inside) or any(central)))
    return costs


def slow_assign(cost: np.ndarray, overlaps: np.ndarray, number: int) -> dict[int, set[int]]:
    """Return the objects of every matched query."""
    owners: dict[int, set[int]] = {}
    for g in range(cost.shape[1]):
        count = max(1, int(sum(sorted(overlaps[:, g])[::-1][:number])))
        for q in sorted(range(len(cost)), key=lambda q: cost[q, g])[:count]:
            owners.setdefault(q, set()).add(g)
    contested = {q for q, objects in owners.items() if len(objects) > 1}

    def resolve() -> None:
        for q in contested:
            owners[q] = {int(cost[q].argmin())}

    resolve()
    while missing := set(range(cost.shape[1])) - set().union(*owners.values()):
        for q in owners:
            cost[q] += 1e5
        for g in missing:
            owners.setdefault(int(cost[:, g].argmin()), set()).add(g)
        if any(len(objects) > 1 for objects in owners.values()):
            resolve()
    return owners


@given(st.integers(0, 10_000), st.integers(1, 5))
@settings(max_examples=30, deadline=None)
def test_match_is_that_of_loops(seed: int, objects: int) -> None:
    inputs = problem(seed, objects=objects)
    matcher = SimOTAMatcher()
    cost, overlaps = matcher.costs(*inputs)
    assert np.allclose(cost, slow_costs(*inputs), atol=2e-3)
    final = cost.numpy().copy()
    expected = slow_assign(final, overlaps.numpy(), 10)
    match = matcher(*inputs)
    assert match.queries.tolist() == sorted(expected)
    assert match.objects.tolist() == [min(expected[q]) for q in sorted(expected)]
    for g, query in enumerate(match.key_queries.tolist()):
        own = [q for q, owned in expected.items() if g in owned]
        assert query in own
        assert final[query, g] == final[own, g].min()


@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_every_object_has_a_query_however_few_there_are(
    seed: int, queries: int, objects: int
) -> None:
    inputs = problem(seed, queries, objects, duplicates=seed % 2 == 0)
    match = SimOTAMatcher()(*inputs)
    assert len(match.key_queries) == objects
    assert set(match.key_queries.tolist()) <= set(match.queries.tolist())
    assert (match.queries.diff() > 0).all()
    cost, overlaps = SimOTAMatcher().costs(*inputs)
    assert assign(cost, overlaps, 10).any(dim=0).all()


def test_order_of_objects_does_not_matter() -> None:
    logits, boxes, labels, gt_boxes = problem(5, objects=4)
    order = torch.tensor([2, 0, 3, 1])
    match = SimOTAMatcher()(logits, boxes, labels, gt_boxes)
    other = SimOTAMatcher()(logits, boxes, labels[order], gt_boxes[order])
    assert torch.equal(match.queries, other.queries)
    assert torch.equal(match.objects, order[other.objects])
    assert torch.equal(match.key_queries[order], other.key_queries)


def test_identical_objects_get_queries_of_their_own_while_there_are_free_ones() -> None:
    match = SimOTAMatcher()(*problem(3, objects=2, duplicates=True))
    assert len(set(match.key_queries.tolist())) == 2


def test_nothing_to_match() -> None:
    match = SimOTAMatcher()(*problem(0, objects=0))
    assert [len(index) for index in match] == [0, 0, 0]
    selection = OptimalTransportSelection()(*problem(0, objects=0))
    assert selection.positive.shape == selection.negative.shape == (0, 20)


def test_predictions_that_are_not_finite_are_refused() -> None:
    logits, *others = problem(0)
    logits[3] = torch.nan
    with pytest.raises(FloatingPointError, match="no longer finite"):
        SimOTAMatcher()(logits, *others)


def test_samples_are_those_of_two_assignments() -> None:
    inputs = problem(11, queries=150, objects=3)
    cost, overlaps = SimOTAMatcher().costs(*inputs)
    selection = OptimalTransportSelection()(*inputs)
    for rows, number in ((selection.positive, 10), (~selection.negative, 100)):
        expected = np.zeros((150, 3), dtype=bool)
        for query, objects in slow_assign(cost.numpy(), overlaps.numpy(), number).items():
            expected[query, list(objects)] = True
        assert np.array_equal(rows.numpy().T, expected)
    assert not (selection.positive & selection.negative).any()


def test_samples_by_rank_ignore_other_objects() -> None:
    logits, boxes, labels, gt_boxes = problem(11, queries=150, objects=3)
    together = CostRankSelection()(logits, boxes, labels, gt_boxes)
    cost, overlaps = SimOTAMatcher().costs(logits, boxes, labels, gt_boxes)
    for g in range(3):
        order = cost[:, g].argsort(stable=True)
        largest = overlaps[:, g].sort(descending=True).values
        few, many = (max(1, int(largest[:n].sum())) for n in (10, 100))
        assert set(together.positive[g].nonzero()[:, 0].tolist()) == set(order[:few].tolist())
        assert set(together.negative[g].nonzero()[:, 0].tolist()) == set(order[many:].tolist())


def test_samples_of_identical_objects_depend_on_the_selection() -> None:
    inputs = problem(3, queries=60, objects=2, duplicates=True)
    ranked, transported = CostRankSelection()(*inputs), OptimalTransportSelection()(*inputs)
    assert torch.equal(ranked.positive[0], ranked.positive[1])
    assert not (transported.positive[0] & transported.positive[1]).any()


def test_samples_by_overlap() -> None:
    inputs = problem(2, objects=3)
    selection = IoUSelection()(*inputs)
    for g, other in enumerate(inputs[3].tolist()):
        for q, box in enumerate(inputs[1].tolist()):
            overlap = slow_overlaps(box, other)[0]
            assert bool(selection.positive[g, q]) == (overlap > 0.7)
            assert bool(selection.negative[g, q]) == (overlap < 0.3)


def test_arguments_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="num_candidates=0"):
        SimOTAMatcher(num_candidates=0)
    with pytest.raises(ValueError, match=r"negative_iou=0\.8"):
        IoUSelection(negative_iou=0.8)
