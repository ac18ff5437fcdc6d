# SPDX-License-Identifier: Apache-2.0
"""Losses of IDOL: detection and masks of every decoder layer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.ops import box_convert, generalized_box_iou_loss, sigmoid_focal_loss

from visbench.models.idol.identity_losses import FrameQueries
from visbench.models.idol.matching import FOCAL_ALPHA, FOCAL_GAMMA, Match
from visbench.models.idol.targets import PairTargets
from visbench.registry import MODELS, TASK_UTILS


def focal_loss(logits: Tensor, targets: Tensor, normaliser: float | Tensor) -> Tensor:
    """Return the sigmoid focal loss of masks: mean over pixels, sum over masks, normalised.

    Args:
        logits: ``(n, ...)``.
        targets: ``(n, ...)``, 0 or 1.
        normaliser: What the sum is divided by.
    """
    loss = sigmoid_focal_loss(logits.float(), targets, FOCAL_ALPHA, FOCAL_GAMMA)
    pixels = max(loss[:1].numel(), 1)
    return loss.sum() / pixels / normaliser


def dice_loss(logits: Tensor, targets: Tensor, normaliser: float | Tensor) -> Tensor:
    """Return the Dice loss of masks with a smoothing of 1, summed over masks and normalised.

    Args:
        logits: ``(n, ...)``.
        targets: ``(n, ...)``, 0 or 1.
        normaliser: What the sum is divided by.
    """
    probability, targets = logits.float().sigmoid().flatten(1), targets.flatten(1)
    overlap = (probability * targets).sum(dim=1)
    total = probability.sum(dim=1) + targets.sum(dim=1)
    return (1 - (2 * overlap + 1) / (total + 1)).sum() / normaliser


@MODELS.register_module()
class IDOLCriterion(nn.Module):
    """The losses of a batch of training pairs (fact sheet, section 6), times their weights.

    Every decoder layer has its own matching and its own five losses; those before the last are
    named with the suffix ``_0``, ``_1``, ... Each is divided by the number of queries that are
    matched in the batch of this process. The identity losses belong to the last layer.

    Args:
        matcher: Config of a :class:`SimOTAMatcher`.
        identity: Config of what embeddings are trained with: a :class:`ContrastiveIdentityLoss`
            (the default) or an :class:`InstanceClassificationLoss`; None for a detector only.
        ce_weight: Weight of the focal loss of the classes.
        bbox_weight: Weight of the L1 loss of boxes, divided by the frame's size.
        giou_weight: Weight of the generalised IoU loss.
        mask_weight: Weight of the focal loss of masks.
        dice_weight: Weight of the Dice loss of masks.
    """

    def __init__(
        self,
        matcher: dict | None = None,
        identity: dict | None = {"type": "visbench.ContrastiveIdentityLoss"},  # noqa: B006
        ce_weight: float = 2.0,
        bbox_weight: float = 5.0,
        giou_weight: float = 2.0,
        mask_weight: float = 2.0,
        dice_weight: float = 5.0,
    ) -> None:
        super().__init__()
        self.matcher = TASK_UTILS.build(matcher or {"type": "visbench.SimOTAMatcher"})
        self.identity = None if identity is None else MODELS.build(identity)
        self.weights = {
            "loss_ce": ce_weight,
            "loss_bbox": bbox_weight,
            "loss_giou": giou_weight,
            "loss_mask": mask_weight,
            "loss_dice": dice_weight,
        }

    def match(
        self, logits: Tensor, boxes: Tensor, targets: Sequence[PairTargets]
    ) -> list[list[Match]]:
        """Match the queries of the key frames with their objects.

        Args:
            logits: ``(L, B, Q, K)`` of L decoder layers.
            boxes: ``(L, B, Q, 4)`` cxcywh, divided by the valid size of each frame.
            targets: The objects of the B pairs.

        Returns:
            L lists of B matches.
        """
        return [
            [
                self.matcher(logits[layer, image], boxes[layer, image], pair.labels, pair.boxes)
                for image, pair in enumerate(targets)
            ]
            for layer in range(len(logits))
        ]

    def box_losses(
        self,
        logits: Tensor,
        boxes: Tensor,
        targets: Sequence[PairTargets],
        matches: Sequence[Sequence[Match]],
    ) -> dict[str, Tensor]:
        """Return the class, L1 and generalised IoU losses of all layers.

        Args:
            logits: ``(L, B, Q, K)``.
            boxes: ``(L, B, Q, 4)``.
            targets: The objects.
            matches: From :meth:`match`.
        """
        losses: dict[str, Tensor] = {}
        for layer, of_images in enumerate(matches):
            values = self._box_losses(logits[layer], boxes[layer], targets, of_images)
            losses.update(self._named(values, layer, len(matches)))
        return losses

    def mask_losses(
        self,
        mask_logits: Sequence[Tensor],
        targets: Sequence[PairTargets],
        matches: Sequence[Sequence[Match]],
    ) -> dict[str, Tensor]:
        """Return the focal and Dice losses of the masks of all layers.

        Args:
            mask_logits: L tensors ``(n, h, w)`` at the stride of the targets: for the matched
                queries of the first image in ascending order, then those of the second, ...
            targets: The objects.
            matches: From :meth:`match`.
        """
        losses: dict[str, Tensor] = {}
        for layer, (logits, of_images) in enumerate(zip(mask_logits, matches, strict=True)):
            pairs = zip(targets, of_images, strict=True)
            truth = torch.cat([pair.masks[match.objects] for pair, match in pairs])
            number = max(len(truth), 1)
            values = {
                "loss_mask": focal_loss(logits, truth, number),
                "loss_dice": dice_loss(logits, truth, number),
            }
            losses.update(self._named(values, layer, len(matches)))
        return losses

    def identity_losses(
        self,
        key_embeddings: Tensor,
        reference: FrameQueries,
        targets: Sequence[PairTargets],
        matches: Sequence[Match],
    ) -> dict[str, Tensor]:
        """Return the losses that make embeddings tell objects apart.

        Args:
            key_embeddings: ``(B, Q, C)`` of the key frames.
            reference: Last layer's outputs for the reference frames.
            targets: The objects.
            matches: B matches of the last layer, ``match(...)[-1]``.
        """
        if self.identity is None:
            return {}
        losses: dict[str, Tensor] = self.identity(
            key_embeddings, reference, targets, [match.key_queries for match in matches]
        )
        return losses

    def _box_losses(
        self,
        logits: Tensor,
        boxes: Tensor,
        targets: Sequence[PairTargets],
        matches: Sequence[Match],
    ) -> dict[str, Tensor]:
        counts = torch.tensor([len(match.queries) for match in matches], device=logits.device)
        image = torch.arange(len(matches), device=logits.device).repeat_interleave(counts)
        query = torch.cat([match.queries for match in matches])
        pairs = list(zip(targets, matches, strict=True))
        labels = torch.cat([pair.labels[match.objects] for pair, match in pairs])
        truth = torch.cat([pair.boxes[match.objects] for pair, match in pairs])
        one_hot = torch.zeros_like(logits, dtype=torch.float32)
        one_hot[image, query, labels] = 1
        number = max(len(query), 1)
        found = boxes[image, query].float()
        overlap_loss = generalized_box_iou_loss(
            box_convert(found, "cxcywh", "xyxy"), box_convert(truth, "cxcywh", "xyxy")
        )
        focal = sigmoid_focal_loss(logits.float(), one_hot, FOCAL_ALPHA, FOCAL_GAMMA)
        return {
            "loss_ce": focal.sum() / number,
            "loss_bbox": (found - truth).abs().sum() / number,
            "loss_giou": overlap_loss.sum() / number,
        }

    def _named(self, losses: dict[str, Tensor], layer: int, layers: int) -> dict[str, Tensor]:
        suffix = "" if layer == layers - 1 else f"_{layer}"
        return {f"{name}{suffix}": loss * self.weights[name] for name, loss in losses.items()}
