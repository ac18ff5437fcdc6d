# SPDX-License-Identifier: Apache-2.0
"""The propagation loss (Propose-Reduce, section 3.2; reference code)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from visbench.models.propose_reduce.head import aggregated_masks
from visbench.registry import MODELS


def soft_iou_loss(masks: Tensor, targets: Tensor, eps: float = 1e-6) -> Tensor:
    """Return one minus the soft IoU, ``sum of minima / (sum of maxima + eps)``, of every object.

    Args:
        masks: ``(n, H, W)`` soft masks, 0 to 1.
        targets: ``(n, H, W)`` ground truth, 0 or 1.
        eps: Keeps the loss of two empty masks finite; it is then 1.

    Returns:
        ``(n,)`` losses, 0 to 1.
    """
    intersection = torch.minimum(masks, targets).flatten(1).sum(dim=1)
    union = torch.maximum(masks, targets).flatten(1).sum(dim=1)
    return 1 - intersection / (union + eps)


@MODELS.register_module()
class SoftIoULoss(nn.Module):
    """Mean soft IoU loss over all propagated objects of all clips; the background has no term.

    The paper averages within a frame first, the reference over all objects of the batch; we follow
    the reference.

    Args:
        loss_weight: Factor of the loss.
        eps: See :func:`soft_iou_loss`.
    """

    def __init__(self, loss_weight: float = 1.0, eps: float = 1e-6) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        self.eps = eps

    def forward(self, log_odds: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
        """Return the loss of a batch with at least one object.

        Args:
            log_odds: One ``(1, O + 1, H, W)`` of Soft-Agg per clip, the background first.
            targets: One ``(O, H, W)`` per clip: the same objects' ground truth, 0 or 1.
        """
        losses = [
            soft_iou_loss(aggregated_masks(one), target.to(one.dtype), self.eps)
            for one, target in zip(log_odds, targets, strict=True)
        ]
        return self.loss_weight * torch.cat(losses).mean()


@MODELS.register_module()
class PixelCrossEntropy(nn.Module):
    """Cross-entropy in every pixel between the background and the propagated objects.

    Ours, for training from scratch: masks that have become empty everywhere have no gradient under
    the soft IoU loss and never recover.

    Args:
        loss_weight: Factor of the loss.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, log_odds: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
        """Return the mean over the pixels of a clip, then over the clips.

        Args:
            log_odds: One ``(1, O + 1, H, W)`` of Soft-Agg per clip, the background first.
            targets: One ``(O, H, W)`` per clip: the same objects' ground truth, 0 or 1. Of
                overlapping objects the last one counts.
        """
        losses = []
        for one, target in zip(log_odds, targets, strict=True):
            channels = torch.arange(1, len(target) + 1, device=target.device)
            labels = (target.bool() * channels[:, None, None]).amax(dim=0)
            losses.append(F.cross_entropy(one, labels[None]))
        return self.loss_weight * torch.stack(losses).mean()
