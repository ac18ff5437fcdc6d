# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import mmcv.ops
import pytest
import torch
from torch import Tensor

TARGET = torch.tensor([0, 1, 2, 3, 1])  # 3 is the background of 3 classes


def logits(scale: float = 3.0) -> Tensor:
    return scale * torch.randn(5, 3, generator=torch.Generator().manual_seed(0)).double()


def by_definition(x: Tensor, gamma: float, alpha: float) -> Tensor:
    positive = TARGET[:, None] == torch.arange(3)
    p = x.sigmoid()
    share = torch.where(positive, p, 1 - p)
    scale = torch.where(positive, alpha, 1 - alpha)
    return -scale * (1 - share) ** gamma * share.log()


@pytest.mark.parametrize("gamma", [0.0, 1.5, 2.0])
@pytest.mark.parametrize("alpha", [0.25, 0.5])
def test_equals_the_definition(gamma: float, alpha: float) -> None:
    x = logits()
    loss = mmcv.ops.sigmoid_focal_loss(x, TARGET, gamma, alpha, None, "none")
    torch.testing.assert_close(loss, by_definition(x, gamma, alpha))
    mean = mmcv.ops.sigmoid_focal_loss(x, TARGET, gamma, alpha, None, "mean")
    torch.testing.assert_close(mean, loss.sum() / 5)


@pytest.mark.parametrize("gamma", [0.0, 1.5, 2.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_gradients(gamma: float, weighted: bool) -> None:
    weight = torch.tensor([0.5, 2.0, 3.0]).double() if weighted else None
    assert torch.autograd.gradcheck(
        lambda x: mmcv.ops.sigmoid_focal_loss(x, TARGET, gamma, 0.25, weight, "sum"),
        logits().requires_grad_(),
    )


def test_class_weights_leave_background_alone() -> None:
    x, weight = logits(), torch.tensor([0.5, 2.0, 3.0]).double()
    rows = torch.tensor([0.5, 2.0, 3.0, 1.0, 2.0]).double()
    loss = mmcv.ops.sigmoid_focal_loss(x, TARGET, 2.0, 0.25, weight, "none")
    plain = mmcv.ops.sigmoid_focal_loss(x, TARGET, 2.0, 0.25, None, "none")
    torch.testing.assert_close(loss, plain * rows[:, None])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_extreme_logits_stay_finite(dtype: torch.dtype) -> None:
    x = logits(100.0).to(dtype).requires_grad_()
    loss = mmcv.ops.sigmoid_focal_loss(x, TARGET, 2.0, 0.25, None, "sum")
    (gradient,) = torch.autograd.grad(loss, x)
    assert loss.isfinite()
    assert gradient.isfinite().all()
    assert gradient.dtype == dtype
