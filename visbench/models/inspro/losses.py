# SPDX-License-Identifier: Apache-2.0
"""Matching cost and losses of InsPro (section 3 of the paper)."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from mmdet.structures.bbox import bbox_overlaps
from mmdet.utils import reduce_mean
from torch import Tensor, nn
from torchvision.ops import sigmoid_focal_loss

from visbench.models.inspro.association import (
    IndependentMatching,
    TemporallyConsistentMatching,
)
from visbench.models.inspro.stage import StageOutput
from visbench.models.inspro.targets import ClipTargets, Matcher, match_clips
from visbench.models.layers import box_centres
from visbench.registry import MODELS

FOCAL_ALPHA = 0.25
FOCAL_GAMMA = 2.0


def match_cost(
    logits: Tensor,
    boxes: Tensor,
    labels: Tensor,
    gt_boxes: Tensor,
    whwh: Tensor,
    weights: tuple[float, float, float] = (2.0, 5.0, 2.0),
) -> Tensor:
    """Return what it costs to give an object to each slot (Eq. 3).

    Leading dimensions ``...`` (stages, objects) broadcast.

    Args:
        logits: ``(..., N, K)`` class logits of the frame of each object.
        boxes: ``(..., N, 4)`` predicted xyxy boxes in pixels.
        labels: ``(...)`` class of each object.
        gt_boxes: ``(..., 4)`` box of each object in pixels.
        whwh: ``(..., 4)`` width, height, width, height of each object's frame.
        weights: Weights of the focal, L1 and generalised IoU terms.

    Returns:
        ``(..., N)``, in float32.
    """
    index = labels[..., None, None].expand(*logits.shape[:-1], 1)
    logit = logits.float().gather(-1, index)[..., 0]
    probability = logit.sigmoid()
    positive = FOCAL_ALPHA * (1 - probability) ** FOCAL_GAMMA * F.softplus(-logit)
    negative = (1 - FOCAL_ALPHA) * probability**FOCAL_GAMMA * F.softplus(logit)
    target = gt_boxes[..., None, :]
    distance = ((boxes.float() - target) / whwh[..., None, :]).abs().sum(-1)
    overlap = giou(boxes.float(), target)
    return weights[0] * (positive - negative) + weights[1] * distance - weights[2] * overlap


def giou(boxes: Tensor, others: Tensor) -> Tensor:
    """Return the generalised IoU of paired boxes ``(..., 4)``, which broadcast."""
    boxes, others = torch.broadcast_tensors(boxes, others)
    pairs = bbox_overlaps(boxes.reshape(-1, 4), others.reshape(-1, 4), mode="giou", is_aligned=True)
    return pairs.view(boxes.shape[:-1])


def classification_loss(logits: Tensor, targets: Tensor, padding: Tensor | None = None) -> Tensor:
    """Return the sigmoid focal loss per frame, summed over slots and classes.

    Args:
        logits: ``(..., N, K)``.
        targets: ``(..., N, K)``, 1 for the class of a matched slot and 0 elsewhere.
        padding: Booleans that broadcast to ``(..., N)``, true for slots without a loss.

    Returns:
        ``(...)``, not yet divided by the number of objects.
    """
    loss = sigmoid_focal_loss(logits.float(), targets, FOCAL_ALPHA, FOCAL_GAMMA)
    if padding is not None:
        loss = loss.masked_fill(padding[..., None], 0.0)
    return loss.sum(dim=(-2, -1))


def l1_loss(boxes: Tensor, gt_boxes: Tensor, whwh: Tensor) -> Tensor:
    """Return the L1 distance of paired boxes ``(n, 4)``, divided by the frame's size."""
    return ((boxes.float() - gt_boxes) / whwh).abs().sum(-1)


def giou_loss(boxes: Tensor, gt_boxes: Tensor) -> Tensor:
    """Return one minus the generalised IoU of paired boxes ``(n, 4)``."""
    return 1 - giou(boxes.float(), gt_boxes)


def nearest_negatives(
    boxes: Tensor, matched: Tensor, gt_boxes: Tensor, num_negatives: int
) -> tuple[Tensor, Tensor]:
    """Choose, for each object, the unmatched slots that overlap it most.

    Args:
        boxes: ``(n, N, 4)`` predicted boxes in the frame of each object.
        matched: ``(n, N)`` booleans, true for slots matched to any object of that frame and stage.
        gt_boxes: ``(n, 4)`` the objects.
        num_negatives: k of Eq. 4.

    Returns:
        Slots ``(n, min(k, N))`` by falling IoU, the lowest slot first on ties, and booleans of the
        same shape, false where there are no more unmatched slots.
    """
    others = gt_boxes[:, None].expand_as(boxes).reshape(-1, 4)
    overlaps = bbox_overlaps(boxes.detach().reshape(-1, 4), others, is_aligned=True)
    overlaps = overlaps.view(matched.shape).masked_fill(matched, -1.0)
    values, slots = overlaps.sort(dim=1, descending=True, stable=True)
    return slots[:, :num_negatives], values[:, :num_negatives] >= 0


def box_deduplication_loss(
    boxes: Tensor,
    matched: Tensor,
    gt_boxes: Tensor,
    num_negatives: int = 5,
    beta: float = 0.1,
) -> Tensor:
    """Push the nearest unmatched boxes away from each object (Eq. 4).

    The squared distance of the centres is taken in pixels and divided by the squared diagonal of
    the object. Gradient flows only into the centres of the chosen negatives. With fewer than k
    negatives the sum is still divided by k.

    Args:
        boxes: ``(n, N, 4)`` predicted boxes in the frame of each object, xyxy in pixels.
        matched: ``(n, N)`` booleans, true for slots matched to any object of that frame and stage.
        gt_boxes: ``(n, 4)`` the objects.
        num_negatives: k.
        beta: Squared distance, in diagonals, from which there is no loss; 0 switches it off.

    Returns:
        ``(n,)`` loss of every object.
    """
    boxes = boxes.float()
    slots, valid = nearest_negatives(boxes, matched, gt_boxes, num_negatives)
    chosen = box_centres(boxes).gather(1, slots[..., None].expand(-1, -1, 2))
    distance = (chosen - box_centres(gt_boxes)[:, None]).square().sum(-1)
    diagonal = (gt_boxes[:, 2:] - gt_boxes[:, :2]).square().sum(-1).clamp(min=1e-6)
    hinge = (beta - distance / diagonal[:, None]).clamp(min=0) * valid
    return hinge.sum(dim=1) / num_negatives


def still_loss(
    outputs: StageOutput, matched: Tensor, whwh: Tensor, padding: Tensor | None = None
) -> Tensor:
    """Return how far the boxes of unmatched slots move; not in the paper.

    Args:
        outputs: ``(M, F, N, ...)``.
        matched: ``(M, F, N)`` booleans.
        whwh: ``(F, 4)`` width, height, width, height of the frames.
        padding: ``(F, N)`` booleans, true for slots that do not count.

    Returns:
        ``(M, F)``: L1 distance divided by the frame's size, the mean over all slots.
    """
    distance = ((outputs.boxes.float() - outputs.sources) / whwh[:, None]).abs().sum(-1)
    if padding is None:
        return distance.masked_fill(matched, 0.0).mean(-1)
    return distance.masked_fill(matched | padding, 0.0).sum(-1) / (~padding).sum(-1)


def dice_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return CondInst's Dice loss of every object.

    Args:
        logits: ``(n, h, w)``.
        targets: ``(n, h, w)``, 0 or 1.

    Returns:
        ``(n,)``: ``1 - 2 sum(m y) / (sum(m^2) + sum(y^2) + 1e-5)``.
    """
    masks, truth = logits.float().sigmoid().flatten(1), targets.float().flatten(1)
    product = (masks * truth).sum(1)
    return 1 - 2 * product / (masks.square().sum(1) + truth.square().sum(1) + 1e-5)


def mask_focal_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the sigmoid focal loss of every object ``(n,)``, the mean over its pixels."""
    loss = sigmoid_focal_loss(logits.float(), targets.float(), FOCAL_ALPHA, FOCAL_GAMMA)
    return loss.flatten(1).mean(1)


@MODELS.register_module()
class InsProCriterion(nn.Module):
    """Match clips and weigh the losses of all stages and frames.

    Per frame, every term is divided by the number of objects of that frame (at least 1, averaged
    over processes); frames and clips are averaged, stages summed.

    Args:
        tcm: Whether an object keeps its slot over the clip; otherwise every frame is matched anew.
        tcm_stage_mode: How stages match new objects, ``per_stage_new`` or ``last``.
        dedup_beta: beta of the box deduplication loss; 0 switches it off.
        dedup_negatives: k of the box deduplication loss.
        cost_weights: Weights of the focal, L1 and generalised IoU terms of the matching cost.
        cls_weight: Weight of the class loss.
        l1_weight: Weight of the L1 loss.
        giou_weight: Weight of the generalised IoU loss.
        dedup_weight: Weight of the box deduplication loss.
        dice_weight: Weight of the Dice loss.
        mask_weight: Weight of the focal loss on mask pixels.
        still_weight: Weight of the loss that keeps boxes of unmatched slots where they are; 0, as
            in the paper, leaves it out. Nothing else supervises these boxes, so a short training
            lets them drift a little in every frame until none is left to take a new object.
    """

    def __init__(
        self,
        tcm: bool = True,
        tcm_stage_mode: str = "per_stage_new",
        dedup_beta: float = 0.1,
        dedup_negatives: int = 5,
        cost_weights: tuple[float, float, float] = (2.0, 5.0, 2.0),
        cls_weight: float = 2.0,
        l1_weight: float = 5.0,
        giou_weight: float = 2.0,
        dedup_weight: float = 1.0,
        dice_weight: float = 5.0,
        mask_weight: float = 5.0,
        still_weight: float = 0.0,
    ) -> None:
        super().__init__()
        if dedup_negatives < 1 or dedup_beta < 0:
            raise ValueError(
                f"dedup_negatives={dedup_negatives} must be at least 1 and "
                f"dedup_beta={dedup_beta} at least 0"
            )
        TemporallyConsistentMatching(1, tcm_stage_mode)  # refuses an unknown mode before training
        self.tcm = tcm
        self.tcm_stage_mode = tcm_stage_mode
        self.dedup_beta = dedup_beta
        self.dedup_negatives = dedup_negatives
        cls_cost, l1_cost, giou_cost = cost_weights
        self.cost_weights = (float(cls_cost), float(l1_cost), float(giou_cost))
        self.weights = {
            "loss_cls": cls_weight,
            "loss_l1": l1_weight,
            "loss_giou": giou_weight,
            "loss_dedup": dedup_weight,
            "loss_dice": dice_weight,
            "loss_mask": mask_weight,
            "loss_still": still_weight,
        }

    def match(self, outputs: StageOutput, targets: ClipTargets) -> Tensor:
        """Return the slot of every object in every stage, ``(M, O)``; -1 for none.

        Args:
            outputs: ``(M, F, N, ...)`` of all frames.
            targets: The objects.
        """
        costs = self.costs(outputs, targets)
        return match_clips(costs, targets, partial(self._matcher, outputs.logits.shape[2]))

    @torch.no_grad()
    def costs(self, outputs: StageOutput, targets: ClipTargets) -> Tensor:
        """Return the cost ``(M, O, N)`` of every slot for every object in every stage."""
        return match_cost(
            outputs.logits[:, targets.frame],
            outputs.boxes[:, targets.frame],
            targets.labels.expand(len(outputs.logits), -1),
            targets.boxes,
            targets.whwh[targets.frame],
            self.cost_weights,
        )

    def _matcher(self, num_slots: int) -> Matcher:
        if self.tcm:
            return TemporallyConsistentMatching(num_slots, self.tcm_stage_mode)
        return IndependentMatching(num_slots)

    def frame_weights(self, targets: ClipTargets) -> Tensor:
        """Return the weight ``(F,)`` of an object's losses: one over objects and frames."""
        counts = reduce_mean(targets.counts.float()).clamp(min=1)
        return 1 / (counts * len(counts))

    def box_losses(
        self,
        outputs: StageOutput,
        targets: ClipTargets,
        slots: Tensor,
        padding: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Return the weighted class, L1, generalised IoU and deduplication losses.

        Args:
            outputs: ``(M, F, N, ...)``.
            targets: The objects.
            slots: ``(M, O)`` from :meth:`match`.
            padding: ``(F, N)`` booleans, true for slots that have no part in any loss.
        """
        per_frame = self.frame_weights(targets)
        stage, index = (slots >= 0).nonzero(as_tuple=True)
        slot, frame = slots[stage, index], targets.frame[index]
        one_hot = torch.zeros_like(outputs.logits, dtype=torch.float32)
        one_hot[stage, frame, slot, targets.labels[index]] = 1
        boxes, truth = outputs.boxes[stage, frame, slot].float(), targets.boxes[index]
        weight = per_frame[frame]
        matched = torch.zeros(outputs.logits.shape[:3], dtype=torch.bool, device=slots.device)
        matched[stage, frame, slot] = True
        taken = matched if padding is None else matched | padding
        dedup = self._deduplication(outputs, targets, taken)
        losses = {}
        if self.weights["loss_still"]:
            losses["loss_still"] = still_loss(outputs, matched, targets.whwh, padding).sum() / len(
                per_frame
            )
        return self._weighted(
            **losses,
            loss_cls=(classification_loss(outputs.logits, one_hot, padding) * per_frame).sum(),
            loss_l1=(l1_loss(boxes, truth, targets.whwh[frame]) * weight).sum(),
            loss_giou=(giou_loss(boxes, truth) * weight).sum(),
            loss_dedup=(dedup * per_frame[targets.frame].repeat(len(slots))).sum(),
        )

    def _deduplication(self, outputs: StageOutput, targets: ClipTargets, taken: Tensor) -> Tensor:
        """Return the deduplication losses ``(M * O,)`` of the objects, stage by stage.

        Args:
            outputs: ``(M, F, N, ...)``.
            targets: The objects.
            taken: ``(M, F, N)`` booleans, true for slots that are not to be pushed away.
        """
        num_stages, _, num_slots = taken.shape
        return box_deduplication_loss(
            outputs.boxes[:, targets.frame].reshape(-1, num_slots, 4),
            taken[:, targets.frame].reshape(-1, num_slots),
            targets.boxes.repeat(num_stages, 1),
            self.dedup_negatives,
            self.dedup_beta,
        )

    def mask_losses(self, logits: Tensor, truth: Tensor, weight: Tensor) -> dict[str, Tensor]:
        """Return the weighted Dice and focal losses of n matched objects.

        Args:
            logits: ``(n, h, w)``.
            truth: ``(n, h, w)``, 0 or 1.
            weight: ``(n,)`` weight of each object, from :meth:`frame_weights`.
        """
        return self._weighted(
            loss_dice=(dice_loss(logits, truth) * weight).sum(),
            loss_mask=(mask_focal_loss(logits, truth) * weight).sum(),
        )

    def _weighted(self, **losses: Tensor) -> dict[str, Tensor]:
        return {name: loss * self.weights[name] for name, loss in losses.items()}
