# SPDX-License-Identifier: Apache-2.0
"""Sigmoid focal loss (arXiv:1708.02002, equation 5) under MMCV's operator names."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def sigmoid_focal_loss_forward(
    input: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
) -> None:
    """Write the loss of every logit into ``output``.

    Args:
        input: Logits (n, classes).
        target: Class index (n,); ``classes`` and other values outside mean background.
        weight: Weight of the rows of each class (classes,), or empty. Background rows weigh 1.
        output: Receives the loss (n, classes).
        gamma: Focusing exponent.
        alpha: Weight of the positive logits; negative ones weigh 1 - alpha.
    """
    logits, positive = _prepare(input, target)
    probability = logits.sigmoid()
    loss = torch.where(
        positive,
        -alpha * (1 - probability).pow(gamma) * F.logsigmoid(logits),
        -(1 - alpha) * probability.pow(gamma) * F.logsigmoid(-logits),
    )
    output.copy_(_weighted(loss, target, weight))


def sigmoid_focal_loss_backward(
    input: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, gamma: float, alpha: float
) -> None:
    """Write the derivative of the loss of every logit into ``grad_input`` (n, classes).

    See :func:`sigmoid_focal_loss_forward` for the arguments.
    """
    logits, positive = _prepare(input, target)
    sign = torch.where(positive, 1.0, -1.0).to(logits)
    share = torch.where(positive, alpha, 1 - alpha).to(logits)
    # With p the probability of the true side: d/dx = -sign * share * (1 - p)^gamma
    # * (1 - p - gamma * p * log p); the derivative of p with respect to the logit is p (1 - p).
    right = (sign * logits).sigmoid()
    wrong = (-sign * logits).sigmoid()
    slope = wrong - gamma * right * F.logsigmoid(sign * logits)
    grad_input.copy_(_weighted(-sign * share * wrong.pow(gamma) * slope, target, weight))


def _prepare(input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    logits = input.detach().to(torch.promote_types(input.dtype, torch.float32))
    classes = torch.arange(input.shape[1], device=input.device)
    return logits, target[:, None] == classes


def _weighted(values: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    if not weight.numel():
        return values
    known = (target >= 0) & (target < len(weight))
    rows = weight.to(values).take(target.clamp(0, len(weight) - 1))
    return values * torch.where(known, rows, torch.ones_like(rows))[:, None]
