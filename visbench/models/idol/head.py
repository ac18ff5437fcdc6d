# SPDX-License-Identifier: Apache-2.0
"""The heads of IDOL: classes, boxes, dynamic masks and embeddings for association."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmdet.models.layers import inverse_sigmoid
from mmengine.model import BaseModule, bias_init_with_prob, constant_init
from torch import Tensor, nn

from visbench.models.idol.masks import LOGIT_UPSAMPLING, MaskBranch, fine_logits
from visbench.models.layers import DynamicMaskHead
from visbench.registry import MODELS

PRIOR_PROBABILITY = 0.01
"""Probability of every class that training starts from."""

NUM_HIDDEN_LAYERS = 2
"""Of the box, controller and embedding networks."""


class FrameOutputs(NamedTuple):
    """What one decoder layer predicts for a batch of frames; boxes are relative to the valid part.

    Attributes:
        logits: ``(B, Q, K)`` class logits; every class has its own sigmoid.
        boxes: ``(B, Q, 4)`` cxcywh, 0 to 1.
        references: ``(B, Q, 2)`` points that entered the layer; masks are relative to them.
        hidden: ``(B, Q, C)`` output of the layer.
    """

    logits: Tensor
    boxes: Tensor
    references: Tensor
    hidden: Tensor


class BoxBranch(nn.Sequential):
    """A small network whose output stays in float32: boxes are refined layer by layer."""

    def forward(self, hidden: Tensor) -> Tensor:
        """Return what is added to the logits of a box, ``(..., 4)``."""
        return super().forward(hidden).float()


@MODELS.register_module()
class IDOLHead(BaseModule):
    """Class and box networks of every decoder layer, and three networks that layers share.

    Args:
        num_classes: Classes K.
        channels: Width C of the queries.
        num_layers: Decoder layers L; each has a class and a box network of its own.
        embed_channels: Length of embeddings.
        mask_branch: Arguments of :class:`~visbench.models.idol.masks.MaskBranch`.
        mask_head: Arguments of :class:`~visbench.models.layers.DynamicMaskHead`; ``in_channels``
            follows from the branch.
    """

    def __init__(
        self,
        num_classes: int,
        channels: int = 256,
        num_layers: int = 6,
        embed_channels: int = 256,
        mask_branch: dict | None = None,
        mask_head: dict | None = None,
    ) -> None:
        super().__init__()
        self.mask_branch = MaskBranch(channels, **(mask_branch or {}))
        mask_channels = self.mask_branch.output.out_channels
        self.mask_head = DynamicMaskHead(**{**(mask_head or {}), "in_channels": mask_channels})
        self.cls_branches = _copies(nn.Linear(channels, num_classes), num_layers)
        self.reg_branches = _copies(BoxBranch(*_layers(channels, 4)), num_layers)
        self.controller = nn.Sequential(*_layers(channels, self.mask_head.num_parameters))
        self.embed_head = nn.Sequential(*_layers(channels, embed_channels))
        self.num_classes = num_classes

    def init_weights(self) -> None:
        """Initialise as the reference implementation does.

        Boxes start at their references with a small size, and hardly any class is probable.
        """
        super().init_weights()
        for name, parameter in self.cls_branches.named_parameters():
            if name.endswith("bias"):
                nn.init.constant_(parameter, bias_init_with_prob(PRIOR_PROBABILITY))
        last = [list(branch.children())[-1] for branch in self.reg_branches]
        for layer in last:
            constant_init(layer, 0, bias=0)
        # Only the first layer sets a size; the later ones refine it.
        nn.init.constant_(dict(last[0].named_parameters())["bias"][2:], -2.0)
        for layer in self.controller:
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)

    @property
    def mask_stride(self) -> int:
        """Stride in pixels of the mask logits, at which masks are supervised."""
        return self.mask_head.stride // LOGIT_UPSAMPLING

    def forward(
        self, hidden: Tensor, references: Sequence[Tensor], layer: int = -1
    ) -> FrameOutputs:
        """Predict classes and boxes from the output of one decoder layer.

        Args:
            hidden: ``(L, B, Q, C)`` outputs of all decoder layers.
            references: L + 1 references, initial ones first; those before and after the layer are
                used. All are cxcywh (initial ones cx, cy), 0 to 1.
            layer: Index of the decoder layer.
        """
        layer %= len(hidden)
        entering = references[layer]
        change = self.reg_branches[layer](hidden[layer])
        size = entering.shape[-1]
        logits = inverse_sigmoid(entering)
        boxes = torch.cat([change[..., :size] + logits, change[..., size:]], dim=-1).sigmoid()
        return FrameOutputs(
            logits=self.cls_branches[layer](hidden[layer]),
            boxes=boxes,
            references=entering[..., :2],
            hidden=hidden[layer],
        )

    def mask_logits(
        self,
        mask_features: Tensor,
        outputs: FrameOutputs,
        frames: Tensor,
        queries: Tensor,
        valid_sizes: Tensor,
    ) -> Tensor:
        """Return the masks of chosen queries, at half the stride of the mask features.

        Args:
            mask_features: ``(B, channels, h, w)``.
            outputs: Of the same B frames.
            frames: ``(n,)`` frame of each wanted mask.
            queries: ``(n,)`` its query.
            valid_sizes: ``(B, 2)`` height and width of the valid part of every frame in pixels.

        Returns:
            ``(n, 2 * h, 2 * w)`` logits, padding included.
        """
        centres = outputs.references[frames, queries] * valid_sizes.flip(1)[frames]
        parameters = self.controller(outputs.hidden[frames, queries])
        return self.dynamic_masks(mask_features, parameters, centres, frames)

    def dynamic_masks(
        self, mask_features: Tensor, parameters: Tensor, centres: Tensor, frames: Tensor
    ) -> Tensor:
        """Return the masks of n instances, at half the stride of the mask features.

        Relative coordinates are pixels of the resized frame, not normalised.

        Args:
            mask_features: ``(B, channels, h, w)``.
            parameters: ``(n, mask_head.num_parameters)``.
            centres: ``(n, 2)`` x and y in pixels.
            frames: ``(n,)`` frame of each instance.

        Returns:
            ``(n, 2 * h, 2 * w)`` logits, padding included.
        """
        unscaled = torch.ones_like(centres[:, 0])
        return fine_logits(self.mask_head(mask_features, parameters, centres, unscaled, frames))


def _layers(channels: int, out_channels: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for _ in range(NUM_HIDDEN_LAYERS):
        layers += [nn.Linear(channels, channels), nn.ReLU()]
    return [*layers, nn.Linear(channels, out_channels)]


def _copies(module: nn.Module, number: int) -> nn.ModuleList:
    return nn.ModuleList([copy.deepcopy(module) for _ in range(number)])
