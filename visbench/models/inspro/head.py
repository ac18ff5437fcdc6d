# SPDX-License-Identifier: Apache-2.0
"""The recurrent head of InsPro."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import torch
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy
from mmengine.model import ModuleList
from torch import Tensor, nn

from visbench.models.inspro.association import extend_bank
from visbench.models.inspro.stage import InsProStage, IntraQueryAttention, StageOutput
from visbench.models.inspro.stage_series import Carry, StageSeries, run_frames, stack_frames
from visbench.models.layers import DynamicMaskHead
from visbench.registry import MODELS

CLIP_MODES = ("handover", "all_stages", "none")
MASK_STAGES: dict[str, Callable[[int], list[int]]] = {
    "all": lambda number: list(range(number)),
    "last": lambda number: [number - 1],
}
"""Which of so many stages generate masks."""


def whole_frame_boxes(number: int) -> Tensor:
    """Return ``(number, 4)`` normalised boxes (centre, size), each the whole frame."""
    return torch.tensor([0.5, 0.5, 1.0, 1.0]).repeat(number, 1)


def grid_boxes(number: int) -> Tensor:
    """Return ``(number, 4)`` normalised boxes (centre, size), the cells of a grid."""
    columns = math.ceil(math.sqrt(number))
    rows = math.ceil(number / columns)
    cell = torch.tensor([1 / columns, 1 / rows])
    index = torch.arange(number)
    centres = (torch.stack([index % columns, index // columns], dim=1) + 0.5) * cell
    return torch.cat([centres, cell.expand(number, 2)], dim=1)


START_BOXES = {"frame": whole_frame_boxes, "grid": grid_boxes}


def shared_queries(number: int, channels: int) -> Tensor:
    """Return ``(number, channels)`` queries, all the same draw from a standard normal."""
    return torch.randn(1, channels).repeat(number, 1)


START_QUERIES: dict[str, Callable[[int, int], Tensor]] = {
    "normal": torch.randn,
    "shared": shared_queries,
}


@MODELS.register_module()
class InsProHead(StageSeries):
    """Refine query-proposal pairs frame by frame and hand all of them on.

    Args:
        num_classes: Number of classes K.
        num_queries: Number of slots N.
        num_stages: Number of stages M; they share no weights.
        channels: Channels C of queries and feature maps.
        stage: Sizes of a stage, see :class:`InsProStage`.
        strides: Strides of the feature maps.
        finest_scale: Side in pixels below whose double a box belongs to the finest map.
        mask_head: Sizes of the dynamic mask network, see
            :class:`~visbench.models.layers.DynamicMaskHead`; None for a model without masks.
        mask_loss_stages: ``all`` or ``last``: which stages generate masks in training.
        rel_coord_norm: Divisor of relative coordinates: ``roi_level`` (64 pixels for the finest
            map with the default scale, doubling with the level), ``fixed:<pixels>`` or ``none``.
        bank_size: Frames T in the feature bank; 1 switches intra-query attention off.
        eps_dim: 1 or ``channels``, see :class:`IntraQueryAttention`.
        propagate_query: Whether queries are handed on; otherwise every frame starts afresh.
        propagate_proposal: The same for proposals.
        clip_proposals: Where boxes are clipped: ``handover``, ``all_stages`` or ``none``.
        min_proposal_size: Least side in pixels after clipping. A box of no width could never grow
            again, since regression is multiplicative.
        detach_query_between_frames: Stop gradients at the queries handed on. The linear map of the
            attention then receives none.
        detach_bank_history: Stop gradients at bank entries of earlier frames.
        start_boxes: Where the learnable proposals start: ``frame`` (each is the whole frame, as in
            the paper) or ``grid`` (spread evenly, which a short training from scratch prefers).
        start_queries: Where the learnable queries start: ``normal`` (each is drawn, as in the
            paper) or ``shared`` (one draw for all slots). Queries generate the filters of the
            first stage; with one draw all slots learn the same filters, which a short training
            from scratch needs (configs/inspro/README.md has the measurement).
        init_cfg: Initialisation config of MMEngine.

    Raises:
        ValueError: If a mode is unknown or a size below 1.
    """

    def __init__(
        self,
        num_classes: int,
        num_queries: int = 100,
        num_stages: int = 6,
        channels: int = 256,
        stage: dict | None = None,
        strides: Sequence[int] = (4, 8, 16, 32),
        finest_scale: int = 56,
        mask_head: dict | None = None,
        mask_loss_stages: str = "all",
        rel_coord_norm: str = "roi_level",
        bank_size: int = 18,
        eps_dim: int = 1,
        propagate_query: bool = True,
        propagate_proposal: bool = True,
        clip_proposals: str = "handover",
        min_proposal_size: float = 1.0,
        detach_query_between_frames: bool = False,
        detach_bank_history: bool = False,
        start_boxes: str = "frame",
        start_queries: str = "normal",
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        for name, value in (
            ("num_queries", num_queries),
            ("num_stages", num_stages),
            ("bank_size", bank_size),
        ):
            if value < 1:
                raise ValueError(f"{name}={value} must be at least 1")
        _check_mode("clip_proposals", clip_proposals, CLIP_MODES)
        _check_mode("mask_loss_stages", mask_loss_stages, list(MASK_STAGES))
        _check_mode("start_boxes", start_boxes, list(START_BOXES))
        _check_mode("start_queries", start_queries, list(START_QUERIES))
        self.num_classes = num_classes
        self.num_queries = num_queries
        self.bank_size = bank_size
        self.propagate_query = propagate_query
        self.propagate_proposal = propagate_proposal
        self.clip_proposals = clip_proposals
        self.min_proposal_size = min_proposal_size
        self.start_boxes = START_BOXES[start_boxes]
        self.start_queries = START_QUERIES[start_queries]
        self.detach_query = detach_query_between_frames
        self.detach_bank = detach_bank_history
        self.init_queries = nn.Embedding(num_queries, channels)
        self.init_proposals = nn.Embedding(num_queries, 4)
        self.intra_query = IntraQueryAttention(channels, eps_dim)
        self.mask_head = None if mask_head is None else DynamicMaskHead(**mask_head)
        self.mask_stages = [] if mask_head is None else MASK_STAGES[mask_loss_stages](num_stages)
        mask_parameters = 0 if self.mask_head is None else self.mask_head.num_parameters
        sizes = {"roi_size": 7, **(stage or {})}
        self.stages = ModuleList(
            InsProStage(
                num_classes,
                channels,
                **sizes,
                mask_parameters=mask_parameters if index in self.mask_stages else 0,
            )
            for index in range(num_stages)
        )
        self.roi_extractor = SingleRoIExtractor(
            roi_layer={"type": "RoIAlign", "output_size": sizes["roi_size"], "sampling_ratio": 2},
            out_channels=channels,
            featmap_strides=list(strides),
            finest_scale=finest_scale,
        )
        self.fixed_divisor = _fixed_divisor(rel_coord_norm)

    def init_weights(self) -> None:
        """Start queries and proposals as ``start_queries`` and ``start_boxes`` say."""
        super().init_weights()
        with torch.no_grad():
            self.init_queries.weight.copy_(self.start_queries(*self.init_queries.weight.shape))
            self.init_proposals.weight.copy_(self.start_boxes(self.num_queries))

    def start(self, batch_size: int) -> Carry:
        """Return the learned pairs with which every video or clip starts."""
        queries = self.init_queries.weight.expand(batch_size, -1, -1)
        proposals = bbox_cxcywh_to_xyxy(self.init_proposals.weight).expand(batch_size, -1, -1)
        return Carry(queries, proposals, [])

    def hand_over(self, output: StageOutput, carry: Carry, whwh: Tensor) -> Carry:
        """Return what the next frame starts from.

        Args:
            output: Output of the last stage for the current frame.
            carry: What the current frame started from.
            whwh: ``(B, 4)`` size of the unpadded frames.
        """
        past = [entry.detach() for entry in carry.bank] if self.detach_bank else carry.bank
        bank = extend_bank(past, output.features, self.bank_size)
        queries = self.enhance(bank) if self.propagate_query else self.start(len(whwh)).queries
        if self.detach_query:
            queries = queries.detach()
        proposals = (
            self.next_proposals(output, whwh)
            if self.propagate_proposal
            else self.start(len(whwh)).proposals
        )
        return Carry(queries, proposals, bank)

    def enhance(self, bank: Sequence[Tensor]) -> Tensor:
        """Return the queries for the next frame: Eq. 1, or the newest entry if T is 1."""
        return bank[-1] if self.bank_size == 1 else self.intra_query(bank)

    def forward(self, features: Sequence[Tensor], whwh: Tensor, num_clips: int) -> StageOutput:
        """Run B clips of T frames.

        Args:
            features: Maps ``(T * B, C, h, w)``, the clips of the first frame first.
            whwh: ``(T * B, 4)`` size of the unpadded frames.
            num_clips: B.

        Returns:
            Outputs of the M stages, stacked: ``(M, T * B, N, ...)``.
        """
        heads = [self] * (len(whwh) // num_clips)
        return stack_frames(run_frames(heads, self.start(num_clips), features, whwh))


def _fixed_divisor(mode: str) -> float | None:
    kind, _, pixels = mode.partition(":")
    if kind == "fixed":
        if not re.fullmatch(r"\d+(\.\d+)?", pixels) or float(pixels) == 0:
            raise ValueError(
                f"rel_coord_norm={mode!r} must name a positive number of pixels, e.g. 'fixed:64'"
            )
        return float(pixels)
    _check_mode("rel_coord_norm", mode, ("roi_level", "none", "fixed:<pixels>"))
    return 1.0 if mode == "none" else None


def _check_mode(field: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ValueError(f"{field}={value!r} is not one of {list(allowed)}")
