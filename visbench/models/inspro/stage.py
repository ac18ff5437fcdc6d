# SPDX-License-Identifier: Apache-2.0
"""Parts of the InsPro head: one dynamic interaction stage and the attention over past frames."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from mmdet.models.roi_heads.bbox_heads import DIIHead
from mmdet.models.task_modules.coders import DeltaXYWHBBoxCoder
from mmengine.model import BaseModule
from torch import Tensor, nn

MAX_GROWTH = 100000 / 16
"""Largest factor by which a stage may enlarge a side of a box (Sparse R-CNN)."""


class StageOutput(NamedTuple):
    """What a stage says; leading dimensions ``...`` are a batch, or stages and frames.

    Attributes:
        logits: ``(..., N, K)`` class logits.
        boxes: ``(..., N, 4)`` xyxy in pixels of the resized frame.
        features: ``(..., N, C)`` object features o.
        sources: ``(..., N, 4)`` boxes that the stage started from, without gradient.
    """

    logits: Tensor
    boxes: Tensor
    features: Tensor
    sources: Tensor


def decode_boxes(boxes: Tensor, deltas: Tensor) -> Tensor:
    """Apply regression outputs to boxes as Sparse R-CNN does.

    Args:
        boxes: ``(..., 4)`` xyxy input boxes.
        deltas: ``(..., 4)`` dx, dy (weight 2), dw, dh (weight 1).

    Returns:
        Boxes of the same shape, neither clipped nor bounded from below.
    """
    # MMDetection's coder bounds the growth on both sides unless it clamps centres too; with an
    # infinite clamp of the centres only the upper bound of the published detector is left.
    coder = DeltaXYWHBBoxCoder(
        target_stds=(0.5, 0.5, 1.0, 1.0),
        clip_border=False,
        add_ctr_clamp=True,
        ctr_clamp=float("inf"),
    )
    decoded = coder.decode(
        boxes.reshape(-1, 4), deltas.float().reshape(-1, 4), wh_ratio_clip=1 / MAX_GROWTH
    )
    return decoded.view(boxes.shape)


class IntraQueryAttention(BaseModule):
    """Weigh a slot's object features of several frames and add the newest (Eq. 1).

    Args:
        channels: Channels C of the object features.
        eps_dim: Outputs of the linear map: 1 (a weight per slot and frame) or C (per channel).

    Raises:
        ValueError: If ``eps_dim`` is neither 1 nor C.
    """

    def __init__(self, channels: int, eps_dim: int = 1) -> None:
        super().__init__()
        if eps_dim not in (1, channels):
            raise ValueError(f"eps_dim={eps_dim} must be 1 or the number of channels, {channels}")
        # A bias would cancel in the softmax.
        self.epsilon = nn.Linear(channels, eps_dim, bias=False)

    def forward(self, bank: Sequence[Tensor]) -> Tensor:
        """Return enhanced queries of the shape of one entry, ``(..., C)``.

        Args:
            bank: Object features of at least one frame, oldest first. One entry gives twice that
                entry, as the formula says.
        """
        features = torch.stack(list(bank))
        weights = self.epsilon(features).softmax(dim=0)
        return (weights * features).sum(dim=0) + features[-1]


class InsProStage(BaseModule):
    """One dynamic interaction stage of Sparse R-CNN with a generator of mask parameters.

    Args:
        num_classes: Number of classes K.
        channels: Channels C of queries and feature maps.
        num_heads: Heads of the self-attention.
        feedforward_channels: Hidden width of the feed-forward network.
        dynamic_channels: Hidden channels of the dynamic convolution.
        roi_size: Side of the region features in bins.
        num_cls_layers: Hidden layers before the class logits.
        num_reg_layers: Hidden layers before the box regression.
        mask_parameters: Numbers the mask generator yields; 0 for a stage without masks.
        controller_layers: Linear layers of the mask generator, 1 (CondInst) or more.
        zero_init_regression: Let boxes stay where they are at first. Sparse R-CNN's random start
            scatters them, which costs a short training much of its time.
    """

    def __init__(
        self,
        num_classes: int,
        channels: int = 256,
        num_heads: int = 8,
        feedforward_channels: int = 2048,
        dynamic_channels: int = 64,
        roi_size: int = 7,
        num_cls_layers: int = 1,
        num_reg_layers: int = 3,
        mask_parameters: int = 169,
        controller_layers: int = 1,
        zero_init_regression: bool = False,
    ) -> None:
        super().__init__()
        self.zero_init_regression = zero_init_regression
        self.interaction = DIIHead(
            num_classes=num_classes,
            num_heads=num_heads,
            num_cls_fcs=num_cls_layers,
            num_reg_fcs=num_reg_layers,
            feedforward_channels=feedforward_channels,
            in_channels=channels,
            dynamic_conv_cfg={
                "type": "DynamicConv",
                "in_channels": channels,
                "feat_channels": dynamic_channels,
                "out_channels": channels,
                "input_feat_shape": roi_size,
            },
            loss_cls={"type": "FocalLoss", "use_sigmoid": True},
        )
        self.controller = (
            _controller(channels, mask_parameters, controller_layers) if mask_parameters else None
        )

    def init_weights(self) -> None:
        """Initialise the stage as Sparse R-CNN and the mask generator as CondInst."""
        super().init_weights()
        if self.zero_init_regression:
            nn.init.zeros_(self.interaction.fc_reg.weight)
        if self.controller is not None:
            for layer in self.controller:
                if isinstance(layer, nn.Linear):
                    nn.init.normal_(layer.weight, std=0.01)
                    nn.init.zeros_(layer.bias)

    def forward(
        self, roi_features: Tensor, queries: Tensor, boxes: Tensor, padding: Tensor | None = None
    ) -> StageOutput:
        """Refine queries and boxes.

        Args:
            roi_features: ``(B * N, C, roi_size, roi_size)``.
            queries: ``(B, N, C)``.
            boxes: ``(B, N, 4)`` xyxy in pixels.
            padding: ``(B, N)`` booleans, true for slots that the others must not attend to.
        """
        with _hidden_keys(self.interaction.attention, padding):
            logits, deltas, features, _ = self.interaction(roi_features, queries)
        return StageOutput(logits, decode_boxes(boxes, deltas), features, boxes.detach())


def _hidden_keys(attention: nn.Module, padding: Tensor | None) -> AbstractContextManager:
    """Hide keys from an attention inside the ``with``: DIIHead has no argument for a mask."""
    if padding is None:
        return nullcontext()
    return attention.register_forward_pre_hook(
        lambda module, args, kwargs: (args, {**kwargs, "key_padding_mask": padding}),
        with_kwargs=True,
    )


def _controller(channels: int, outputs: int, layers: int) -> nn.Sequential:
    if layers < 1:
        raise ValueError(f"controller_layers={layers} must be at least 1")
    hidden: list[nn.Module] = []
    for _ in range(layers - 1):
        hidden += [nn.Linear(channels, channels), nn.ReLU(inplace=True)]
    return nn.Sequential(*hidden, nn.Linear(channels, outputs))
