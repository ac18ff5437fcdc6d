# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from visbench.models.inspro.losses import (
    InsProCriterion,
    box_deduplication_loss,
    dice_loss,
    mask_focal_loss,
    match_cost,
    nearest_negatives,
    still_loss,
)
from visbench.models.inspro.stage import StageOutput
from visbench.models.inspro.targets import ClipTargets


@st.composite
def scenes(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, int, float]:
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10_000)))
    slots, objects = draw(st.integers(1, 7)), draw(st.integers(0, 3))

    def boxes(number: int) -> torch.Tensor:
        start = torch.rand(number, 2, generator=generator) * 60
        size = torch.rand(number, 2, generator=generator) * 40 + 2
        return torch.cat([start, start + size], dim=1)

    matched = torch.rand(slots, generator=generator) < draw(st.floats(0, 1))
    beta = draw(st.sampled_from([0.0, 0.1, 0.5]))
    return boxes(slots), matched, boxes(objects), draw(st.integers(1, 5)), beta


def brute_force(
    boxes: torch.Tensor, matched: torch.Tensor, truth: torch.Tensor, k: int, beta: float
) -> list[float]:
    losses = []
    for left, top, right, bottom in truth.tolist():
        ranked = []
        for slot, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
            if matched[slot]:
                continue
            width = min(right, x2) - max(left, x1)
            height = min(bottom, y2) - max(top, y1)
            common = max(width, 0) * max(height, 0)
            union = (right - left) * (bottom - top) + (x2 - x1) * (y2 - y1) - common
            distance = ((x1 + x2 - left - right) / 2) ** 2 + ((y1 + y2 - top - bottom) / 2) ** 2
            ratio = distance / ((right - left) ** 2 + (bottom - top) ** 2)
            ranked.append((-common / union, slot, max(beta - ratio, 0)))
        losses.append(sum(value for *_, value in sorted(ranked)[:k]) / k)
    return losses


@given(scenes())
@settings(max_examples=150, deadline=None)
def test_deduplication(
    scene: tuple[torch.Tensor, torch.Tensor, torch.Tensor, int, float],
) -> None:
    boxes, matched, truth, k, beta = scene
    number = len(truth)
    boxes.requires_grad_()
    arguments = (matched.expand(number, -1), truth, k, beta)
    loss = box_deduplication_loss(boxes.expand(number, -1, -1), *arguments)
    torch.testing.assert_close(
        loss, torch.tensor(brute_force(boxes.detach(), *scene[1:])), atol=1e-5, rtol=1e-4
    )
    if beta == 0:
        assert not loss.any()
    (gradient,) = torch.autograd.grad(loss.sum(), boxes)
    assert not gradient[matched].any()
    scaled = box_deduplication_loss(
        3 * boxes.expand(number, -1, -1), matched.expand(number, -1), 3 * truth, k, beta
    )
    torch.testing.assert_close(scaled, loss, atol=1e-5, rtol=1e-4)


def test_ties_go_to_the_lowest_slot() -> None:
    boxes = torch.tensor([[50.0, 50, 60, 60]] * 4)[None]
    matched = torch.tensor([[False, True, False, False]])
    slots, valid = nearest_negatives(boxes, matched, torch.tensor([[0.0, 0, 10, 10]]), 4)
    assert slots[0, :3].tolist() == [0, 2, 3]
    assert valid.tolist() == [[True, True, True, False]]


def test_concentric_duplicate_costs_beta_without_gradient() -> None:
    boxes = torch.tensor([[[0.0, 0, 10, 10]]], requires_grad=True)
    truth, matched = torch.tensor([[2.0, 2, 8, 8]]), torch.tensor([[False]])
    loss = box_deduplication_loss(boxes, matched, truth, 1, 0.1)
    assert loss.item() == pytest.approx(0.1)
    loss.sum().backward()
    assert not boxes.grad.any()


def test_dice_and_focal_of_perfect_and_empty_masks() -> None:
    truth = torch.zeros(2, 4, 4)
    truth[0, :2] = 1
    logits = torch.where(truth > 0, 30.0, -30.0)
    assert dice_loss(logits, truth)[0].item() == pytest.approx(0, abs=1e-5)
    assert mask_focal_loss(logits, truth).tolist() == pytest.approx([0, 0], abs=1e-6)
    assert dice_loss(-logits, truth)[0].item() == pytest.approx(1, abs=1e-5)
    assert torch.isfinite(dice_loss(torch.full((1, 4, 4), -1e4), truth[1:])).all()


def test_cost_prefers_the_right_class_and_box() -> None:
    logits = torch.tensor([[3.0, -3], [-3, 3], [3, -3]]).expand(1, 3, 2)
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 10], [40, 40, 50, 50]])[None]
    truth, whwh = torch.tensor([[0.0, 0, 10, 10]]), torch.tensor([[96.0, 64, 96, 64]])
    (cost,) = match_cost(logits, boxes, torch.tensor([0]), truth, whwh)
    assert cost.argmin() == 0
    only_class = match_cost(logits, boxes, torch.tensor([1]), truth, whwh, (1.0, 0.0, 0.0))
    assert only_class.argmin() == 1


def test_saturated_logits_have_a_finite_cost() -> None:
    logits = torch.tensor([[[1e4, -1e4]]])
    boxes = torch.tensor([[[0.0, 0, 1, 1]]])
    cost = match_cost(logits, boxes, torch.tensor([1]), boxes[:, 0], torch.ones(1, 4))
    assert torch.isfinite(cost).all()


def test_weights_scale_the_losses() -> None:
    logits, truth, weight = torch.randn(2, 4, 4), torch.ones(2, 4, 4), torch.ones(2)
    one = InsProCriterion(dice_weight=1, mask_weight=1).mask_losses(logits, truth, weight)
    two = InsProCriterion(dice_weight=2, mask_weight=3).mask_losses(logits, truth, weight)
    torch.testing.assert_close(two["loss_dice"], 2 * one["loss_dice"])
    torch.testing.assert_close(two["loss_mask"], 3 * one["loss_mask"])


def test_still_loss_is_the_mean_motion_of_unmatched_boxes() -> None:
    sources = torch.rand(2, 3, 4, 4) * 50
    boxes = (sources + torch.tensor([1.0, 2, 3, 4])).requires_grad_()
    output = StageOutput(boxes, boxes, boxes, sources)
    matched = torch.zeros(2, 3, 4, dtype=torch.bool)
    matched[0, 1, 2:] = True
    whwh = torch.tensor([[96.0, 64, 96, 64]]).expand(3, 4)
    loss = still_loss(output, matched, whwh)
    moved = 1 / 96 + 2 / 64 + 3 / 96 + 4 / 64
    expected = torch.full((2, 3), moved)
    expected[0, 1] = moved / 2
    torch.testing.assert_close(loss, expected)
    (gradient,) = torch.autograd.grad(loss.sum(), boxes)
    assert not gradient[matched].any()
    assert gradient[~matched].all()


def test_padded_slots_have_no_part_in_any_loss() -> None:
    truth = torch.tensor([[10.0, 10, 40, 40], [20, 5, 50, 30]])
    targets = ClipTargets(
        num_clips=2,
        whwh=torch.tensor([[96.0, 64, 96, 64]] * 2),
        frame=torch.tensor([0, 1]),
        ids=[1, 4],
        labels=torch.tensor([0, 1]),
        boxes=truth,
        masks=torch.zeros(2, 1, 1),
    )
    # In the first frame the last slot is padding, right where the deduplication loss looks.
    boxes = torch.rand(1, 2, 3, 4).sort(dim=-1).values * 60
    boxes[0, 0, 2] = truth[0] + 1
    slots = torch.tensor([[0, 1]])
    padding = torch.tensor([[False, False, True], [False, False, False]])
    output = StageOutput(torch.randn(1, 2, 3, 2), boxes, torch.randn(1, 2, 3, 8), boxes + 2)
    criterion = InsProCriterion(dedup_beta=0.5, dedup_negatives=1, still_weight=1.0)
    losses = criterion.box_losses(output, targets, slots, padding)
    for field, value in zip(output._fields, output, strict=True):
        other = value.clone()
        other[:, padding] = torch.rand(4).sort().values * 60 if value.shape[-1] == 4 else 3.0
        changed = criterion.box_losses(output._replace(**{field: other}), targets, slots, padding)
        assert changed == losses
    assert criterion.box_losses(output, targets, slots) != losses
