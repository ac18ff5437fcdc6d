# SPDX-License-Identifier: Apache-2.0
"""From object features to masks: in training and at test, or not at all.

Both branches answer to the same calls, so the detector does not ask which one it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.models.dense_heads.condinst_head import MaskFeatModule
from torch import Tensor, nn

from visbench.models.inspro.losses import InsProCriterion
from visbench.models.inspro.stage import StageOutput
from visbench.models.inspro.stage_series import StageSeries
from visbench.models.inspro.targets import ClipTargets
from visbench.models.layers import masks_at_original_size
from visbench.models.layers.dynamic_masks import upsample_logits
from visbench.structures import RLE, Frame, encode_masks

LOGIT_UPSAMPLING = 2
"""Masks are supervised and turned into probabilities at half the stride of the mask features."""


class MaskBranch(MaskFeatModule):
    """CondInst's mask features and what is made of them.

    Args:
        **kwargs: As MMDetection's ``MaskFeatModule`` takes them.
    """

    @property
    def target_stride(self) -> int:
        """Stride in pixels at which masks are supervised."""
        return int(self.mask_stride) // LOGIT_UPSAMPLING

    def head_config(self, head: dict) -> dict:
        """Return the head's config with a dynamic mask network that fits the features."""
        sizes = {"in_channels": self.out_channels, "stride": self.mask_stride}
        return {**head, "mask_head": {**sizes, **(head.get("mask_head") or {})}}

    def losses(
        self,
        mask_features: Tensor,
        outputs: StageOutput,
        targets: ClipTargets,
        slots: Tensor,
        head: StageSeries,
        criterion: InsProCriterion,
    ) -> dict[str, Tensor]:
        """Return ``loss_dice`` and ``loss_mask`` of the matched slots.

        Args:
            mask_features: ``(F, channels, h, w)`` of all frames.
            outputs: ``(M, F, N, ...)``.
            targets: The O objects with their masks.
            slots: ``(M, O)`` slot of every object in every stage, -1 for none.
            head: Generates the mask parameters.
            criterion: Weighs the losses.
        """
        supervised = torch.zeros_like(slots, dtype=torch.bool)
        supervised[head.mask_stages] = True
        stage, index = ((slots >= 0) & supervised).nonzero(as_tuple=True)
        frame, slot = targets.frame[index], slots[stage, index]
        # Averaged over processes, so it is asked for in every one, with or without objects.
        per_frame = criterion.frame_weights(targets)
        logits = head.mask_logits(
            mask_features,
            outputs.features[stage, frame, slot],
            outputs.boxes[stage, frame, slot],
            frame,
            stage,
        )
        if len(index) == 0:
            # Distributed training wants every parameter in the graph of every process.
            zero = (mask_features.sum() + logits.sum()) * 0
            return {"loss_dice": zero, "loss_mask": zero}
        assert targets.masks is not None
        logits = upsample_logits(logits, LOGIT_UPSAMPLING)
        return criterion.mask_losses(logits, targets.masks[index], per_frame[frame])

    def encode(
        self,
        mask_features: Tensor,
        output: StageOutput,
        slots: Tensor,
        head: StageSeries,
        frame: Frame,
        threshold: float,
    ) -> list[RLE] | None:
        """Return the masks of some slots of a single frame at original size.

        Args:
            mask_features: ``(1, channels, h, w)``.
            output: ``(1, N, ...)`` of the last stage.
            slots: ``(n,)``.
            head: Generates the mask parameters.
            frame: The prepared frame.
            threshold: A pixel belongs to a mask above this probability.
        """
        logits = head.mask_logits(
            mask_features, output.features[0, slots], output.boxes[0, slots], slots * 0
        )
        masks = masks_at_original_size(
            upsample_logits(logits, LOGIT_UPSAMPLING),
            self.target_stride,
            frame.valid_size,
            frame.original_size,
            threshold,
        )
        return encode_masks(masks)

    def raw(
        self, mask_features: Tensor, output: StageOutput, slots: Tensor, head: StageSeries
    ) -> dict[str, Tensor]:
        """Return mask logits of n slots of each of F frames.

        Args:
            mask_features: ``(F, channels, h, w)``.
            output: ``(F, N, ...)`` of the last stage.
            slots: ``(F, n)``.
            head: Generates the mask parameters.

        Returns:
            ``masks``: ``(F * n, h, w)``.
        """
        frames = torch.arange(len(slots), device=slots.device).repeat_interleave(slots.shape[1])
        index = (frames, slots.flatten())
        logits = head.mask_logits(
            mask_features, output.features[index], output.boxes[index], frames
        )
        return {"masks": logits}


class NoMaskBranch(nn.Module):
    """Stands in for :class:`MaskBranch` in a model of boxes only (InsPro-VID)."""

    target_stride = None

    def forward(self, features: Sequence[Tensor]) -> None:
        """Compute nothing."""

    def head_config(self, head: dict) -> dict:
        """Return the head's config without a dynamic mask network."""
        return {**head, "mask_head": None}

    def losses(self, *args: Any) -> dict[str, Tensor]:
        """Return no loss."""
        return {}

    def encode(self, *args: Any) -> None:
        """Return None: a method without masks."""

    def raw(self, *args: Any) -> dict[str, Tensor]:
        """Return nothing."""
        return {}


def build_mask_branch(config: dict | None) -> MaskBranch | NoMaskBranch:
    """Return the branch for the arguments of ``MaskFeatModule``, or for None one without masks."""
    return NoMaskBranch() if config is None else MaskBranch(**config)
