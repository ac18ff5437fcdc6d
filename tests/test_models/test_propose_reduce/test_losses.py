# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from visbench.models.propose_reduce.head import aggregated_masks, soft_aggregate
from visbench.models.propose_reduce.losses import PixelCrossEntropy, SoftIoULoss, soft_iou_loss


def clips(*objects: int, size: int = 6) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(sum(objects))
    log_odds, targets = [], []
    for count in objects:
        log_odds.append(torch.randn(1, count + 1, size, size, generator=generator))
        labels = torch.randint(0, count + 1, (size, size), generator=generator)
        targets.append((labels == torch.arange(1, count + 1)[:, None, None]).float())
    return log_odds, targets


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000))
def test_soft_iou_is_that_of_plain_loops(seed: int) -> None:
    rng = np.random.default_rng(seed)
    masks, targets = rng.random((3, 4, 5)), (rng.random((3, 4, 5)) < 0.3).astype(float)
    got = soft_iou_loss(torch.from_numpy(masks), torch.from_numpy(targets))
    for index in range(3):
        pairs = list(zip(masks[index].flat, targets[index].flat, strict=True))
        expected = 1 - sum(map(min, pairs)) / (sum(map(max, pairs)) + 1e-6)
        assert got[index].item() == pytest.approx(expected, abs=1e-9)


def test_two_empty_masks_have_the_loss_1() -> None:
    assert soft_iou_loss(torch.zeros(1, 2, 2), torch.zeros(1, 2, 2)).tolist() == [1.0]


def test_all_objects_of_the_batch_count_alike() -> None:
    log_odds, targets = clips(1, 3)
    losses = [
        soft_iou_loss(aggregated_masks(one), target)
        for one, target in zip(log_odds, targets, strict=True)
    ]
    expected = torch.cat(losses).mean()
    assert expected != (losses[0].mean() + losses[1].mean()) / 2
    torch.testing.assert_close(SoftIoULoss(2.0)(log_odds, targets), 2 * expected)


def test_pixel_cross_entropy_counts_every_pixel_once() -> None:
    log_odds, targets = clips(2)
    probabilities = log_odds[0].softmax(dim=1)[0]
    chosen = [
        probabilities[1 + targets[0][:, y, x].argmax() if targets[0][:, y, x].any() else 0, y, x]
        for y in range(6)
        for x in range(6)
    ]
    expected = -torch.stack(chosen).log().mean()
    torch.testing.assert_close(PixelCrossEntropy(3.0)(log_odds, targets), 3 * expected)


def test_pixel_cross_entropy_pulls_at_masks_that_are_nearly_empty() -> None:
    logits = torch.full((1, 1, 6, 6), -12.0, requires_grad=True)
    target = torch.zeros(1, 6, 6)
    target[0, 2:4, 2:4] = 1
    gradients = []
    for loss in (SoftIoULoss(), PixelCrossEntropy()):
        (gradient,) = torch.autograd.grad(
            loss([soft_aggregate(logits.sigmoid())], [target]), logits
        )
        gradients.append(gradient[0, 0, 2, 2].abs().item())
    assert gradients[0] < 1e-5
    assert gradients[1] > 1e-3
