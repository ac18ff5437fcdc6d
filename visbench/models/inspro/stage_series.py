# SPDX-License-Identifier: Apache-2.0
"""Stages that refine query-proposal pairs one after the other, on one frame of a clip."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmdet.structures.bbox import bbox2roi
from mmengine.model import BaseModule, ModuleList
from torch import Tensor

from visbench.models.inspro.stage import StageOutput
from visbench.models.layers import DynamicMaskHead, box_centres, clip_boxes

CONDINST_RANGE = 64 / 56
"""CondInst's smallest divisor of relative coordinates over the finest scale of RoI levels."""


class Carry(NamedTuple):
    """What one frame hands to the next.

    Attributes:
        queries: ``(B, N, C)``.
        proposals: ``(B, N, 4)`` xyxy, divided by the frame's size.
        bank: Object features ``(B, N, C)`` of the last frames, oldest first.
    """

    queries: Tensor
    proposals: Tensor
    bank: list[Tensor]


class StageSeries(BaseModule):
    """What M stages make of a frame; what they hand to the next frame is a subclass's choice.

    Subclasses set the attributes.

    Attributes:
        stages: The stages.
        roi_extractor: Takes region features from the maps; without weights.
        mask_head: Applies mask parameters; without weights. None for a model without masks.
        mask_stages: Indices of the stages that generate masks.
        clip_proposals: Where boxes are clipped: ``handover``, ``all_stages`` or ``none``.
        min_proposal_size: Least side of a clipped box in pixels.
        fixed_divisor: Divisor of relative coordinates in pixels; None to follow the RoI level.
    """

    stages: ModuleList
    roi_extractor: SingleRoIExtractor
    mask_head: DynamicMaskHead | None
    mask_stages: list[int]
    clip_proposals: str
    min_proposal_size: float
    fixed_divisor: float | None

    @abstractmethod
    def hand_over(self, output: StageOutput, carry: Carry, whwh: Tensor) -> Carry:
        """Return what the next frame starts from.

        Args:
            output: Output of the last stage for the current frame.
            carry: What the current frame started from.
            whwh: ``(B, 4)`` size of the unpadded frames.
        """

    def advance(
        self,
        features: Sequence[Tensor],
        carry: Carry,
        whwh: Tensor,
        padding: Tensor | None = None,
    ) -> tuple[list[StageOutput], Carry]:
        """Run the next frame of each of B clips.

        Args:
            features: Maps ``(B, C, h, w)``, finest first.
            carry: What the frame starts from.
            whwh: ``(B, 4)`` size of the unpadded frames.
            padding: As in :meth:`forward_frame`.

        Returns:
            The output of every stage, and what the next frame starts from.
        """
        boxes = carry.proposals * whwh[:, None]
        outputs = self.forward_frame(features, carry.queries, boxes, whwh, padding)
        return outputs, self.hand_over(outputs[-1], carry, whwh)

    def forward_frame(
        self,
        features: Sequence[Tensor],
        queries: Tensor,
        boxes: Tensor,
        whwh: Tensor,
        padding: Tensor | None = None,
    ) -> list[StageOutput]:
        """Run all stages on one frame of each of B clips.

        Args:
            features: Maps ``(B, C, h, w)``, finest first.
            queries: ``(B, N, C)``.
            boxes: ``(B, N, 4)`` xyxy in pixels; only the first stage passes gradient to them.
            whwh: ``(B, 4)`` width, height, width, height of the unpadded frames.
            padding: ``(B, N)`` booleans, true for slots that the others must not see; their own
                outputs mean nothing.

        Returns:
            The output of every stage.
        """
        outputs = []
        for stage in self.stages:
            rois = self.roi_extractor(features, bbox2roi(list(boxes.detach())))
            output = stage(rois, queries, boxes, padding)
            if self.clip_proposals == "all_stages":
                output = output._replace(
                    boxes=clip_boxes(output.boxes, whwh, self.min_proposal_size)
                )
            outputs.append(output)
            queries, boxes = output.features, output.boxes.detach()
        return outputs

    def next_proposals(self, output: StageOutput, whwh: Tensor) -> Tensor:
        """Return the boxes of an output as proposals ``(B, N, 4)`` in parts of the frame."""
        return self.reported_boxes(output.boxes.detach(), whwh) / whwh[:, None]

    def reported_boxes(self, boxes: Tensor, whwh: Tensor) -> Tensor:
        """Return boxes ``(B, N, 4)`` clipped to their frames, unless clipping is off."""
        if self.clip_proposals == "none":
            return boxes
        return clip_boxes(boxes, whwh, self.min_proposal_size)

    def mask_parameters(self, features: Tensor, stage: Tensor) -> Tensor:
        """Return the mask parameters of n objects.

        Args:
            features: ``(n, C)`` object features.
            stage: ``(n,)`` stage of each, in ascending order.
        """
        counts = torch.bincount(stage, minlength=len(self.stages)).tolist()
        parts = [
            self.stages[index].controller(part)
            for index, part in enumerate(features.split(counts))
            if index in self.mask_stages
        ]
        return torch.cat(parts)

    def divisors(self, boxes: Tensor) -> Tensor:
        """Return the divisor of the relative coordinates of boxes ``(n, 4)``, in pixels."""
        if self.fixed_divisor is not None:
            return boxes.new_full((len(boxes),), self.fixed_divisor)
        rois = torch.cat([boxes.new_zeros(len(boxes), 1), boxes], dim=1)
        levels = self.roi_extractor.map_roi_levels(rois, self.roi_extractor.num_inputs)
        return CONDINST_RANGE * self.roi_extractor.finest_scale * 2.0**levels

    def mask_logits(
        self,
        mask_features: Tensor,
        features: Tensor,
        boxes: Tensor,
        frame: Tensor,
        stage: Tensor | None = None,
    ) -> Tensor:
        """Return the mask logits of n objects at the stride of the mask features.

        Boxes are detached: masks do not move them.

        Args:
            mask_features: ``(F, channels, h, w)``.
            features: ``(n, C)`` object features.
            boxes: ``(n, 4)`` predicted boxes in pixels.
            frame: ``(n,)`` row of ``mask_features`` for each object.
            stage: ``(n,)`` stage of each in ascending order; the last one by default.
        """
        if stage is None:
            stage = torch.full_like(frame, len(self.stages) - 1)
        assert self.mask_head is not None, "mask_head=None: this head makes no masks"
        boxes = boxes.detach()
        return self.mask_head(
            mask_features,
            self.mask_parameters(features, stage),
            box_centres(boxes),
            self.divisors(boxes),
            frame,
        )


def run_frames(
    heads: Sequence[StageSeries], carry: Carry, features: Sequence[Tensor], whwh: Tensor
) -> list[list[StageOutput]]:
    """Run B clips of T frames.

    Args:
        heads: What runs each of the T frames.
        carry: What the first frame starts from.
        features: Maps ``(T * B, C, h, w)``, the clips of the first frame first.
        whwh: ``(T * B, 4)`` size of the unpadded frames.

    Returns:
        The outputs of the stages of every frame.
    """
    num_clips = len(carry.queries)
    maps = zip(*[level.split(num_clips) for level in features], strict=True)
    outputs = []
    for head, levels, size in zip(heads, maps, whwh.split(num_clips), strict=True):
        stages, carry = head.advance(levels, carry, size)
        outputs.append(stages)
    return outputs


def stack_frames(outputs: Sequence[Sequence[StageOutput]]) -> StageOutput:
    """Return the outputs of T frames with M stages each as one, ``(M, T * B, N, ...)``."""
    return StageOutput(
        *(
            torch.stack([torch.cat(frames) for frames in zip(*field, strict=True)])
            for field in zip(*[zip(*stages, strict=True) for stages in outputs], strict=True)
        )
    )
