# SPDX-License-Identifier: Apache-2.0
"""The identification module: id branches of detectors and the bank that embeds ids."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule, bias_init_with_prob, normal_init
from torch import Tensor, nn

from visbench.registry import MODELS

FOCAL_LOSS = {
    "type": "mmdet.FocalLoss",
    "use_sigmoid": True,
    "gamma": 2.0,
    "alpha": 0.25,
    "loss_weight": 1.0,
}


class IdentityBranch(BaseModule):
    """Predict for every location or region which id its object has.

    The loss decides what the outputs mean: with a sigmoid loss (``mmdet.FocalLoss``) there are N
    channels and background is the absence of all; with a softmax loss
    (``mmdet.CrossEntropyLoss``) there are N + 1, background last.

    Args:
        num_ids: Number of ids N, the one for "not seen before" included.
        loss_id: Config of a classification loss.
        init_cfg: Initialisation config of MMEngine.

    Raises:
        ValueError: If the loss is no classification loss of MMDetection.
    """

    def __init__(self, num_ids: int, loss_id: dict | None = None, init_cfg: Any = None) -> None:
        super().__init__(init_cfg)
        self.num_ids = num_ids
        self.loss_id = MODELS.build(loss_id or FOCAL_LOSS)
        if not hasattr(self.loss_id, "use_sigmoid"):
            raise ValueError(
                f"id_branch.loss_id is a {type(self.loss_id).__name__}, which does not say by "
                "use_sigmoid what its logits mean; use FocalLoss or CrossEntropyLoss"
            )
        self.sigmoid: bool = self.loss_id.use_sigmoid

    @property
    def num_outputs(self) -> int:
        """Channels of the logits: N, or N + 1 with a softmax loss."""
        return self.num_ids + (not self.sigmoid)

    @abstractmethod
    def forward(self, features: Tensor) -> Tensor:
        """Return the logits of the ids."""

    def scores(self, logits: Tensor) -> Tensor:
        """Return the probabilities ``(..., N)`` of ids for logits ``(..., num_outputs)``."""
        if self.sigmoid:
            return logits.sigmoid()
        return logits.softmax(dim=-1)[..., : self.num_ids]

    def loss(self, logits: Tensor, targets: Tensor, avg_factor: Tensor | float) -> Tensor:
        """Return the id loss.

        Args:
            logits: ``(P, num_outputs)``.
            targets: ``(P,)`` ids 0 to N - 1; N for background.
            avg_factor: By which the sum over all rows is divided.
        """
        if len(targets) == 0:
            return logits.sum() * 0
        loss: Tensor = self.loss_id(logits, targets, avg_factor=avg_factor)
        return loss

    def init_weights(self) -> None:
        """Initialise; with a sigmoid loss every id starts at the probability 0.01."""
        super().init_weights()
        bias = bias_init_with_prob(0.01) if self.sigmoid else 0.0
        normal_init(self.predictor, std=0.01, bias=bias)


class ConvIdentityBranch(IdentityBranch):
    """Id branch of a dense head, shared by the levels of the pyramid.

    The paper's "two convolutions" are one convolution with normalisation and the predictor.

    Args:
        num_ids: Number of ids N.
        in_channels: Channels of the levels.
        feat_channels: Channels of the hidden layers.
        num_convs: Number of 3x3 convolutions with the predictor, at least 1 (Table 8).
        norm_cfg: Normalisation of the hidden layers.
        loss_id: Config of a classification loss.
        init_cfg: Initialisation config of MMEngine.

    Raises:
        ValueError: If ``num_convs`` is below 1.
    """

    def __init__(
        self,
        num_ids: int,
        in_channels: int = 256,
        feat_channels: int = 256,
        num_convs: int = 2,
        norm_cfg: dict | None = None,
        loss_id: dict | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(num_ids, loss_id, init_cfg)
        if num_convs < 1:
            raise ValueError(f"num_convs={num_convs} of the id branch must be at least 1")
        norm_cfg = norm_cfg or {"type": "GN", "num_groups": 32}
        widths = [in_channels, *[feat_channels] * (num_convs - 1)]
        self.tower = nn.Sequential(
            *(
                ConvModule(inner, outer, 3, padding=1, bias=False, norm_cfg=norm_cfg)
                for inner, outer in pairwise(widths)
            )
        )
        self.predictor = nn.Conv2d(widths[-1], self.num_outputs, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """Return logits ``(B, num_outputs, h, w)`` of a level ``(B, C, h, w)``."""
        logits: Tensor = self.predictor(self.tower(features))
        return logits

    def init_weights(self) -> None:
        """Initialise all convolutions from N(0, 0.01); background starts at 0.99 with softmax.

        Nearly all locations are background, and their losses are not averaged.
        """
        super().init_weights()
        if not self.sigmoid:
            assert self.predictor.bias is not None
            nn.init.constant_(self.predictor.bias[self.num_ids], math.log(99 * self.num_ids))
        for layer in self.tower:
            normal_init(layer.conv, std=0.01)


class FCIdentityBranch(IdentityBranch):
    """Id branch of a RoI head.

    Args:
        num_ids: Number of ids N.
        in_channels: Length of the feature of a region.
        fc_channels: Width of the hidden layers.
        num_fcs: Number of linear layers with the predictor, at least 1.
        loss_id: Config of a classification loss; the paper trains ids like classes, which in
            Mask R-CNN means cross entropy.
        init_cfg: Initialisation config of MMEngine.

    Raises:
        ValueError: If ``num_fcs`` is below 1.
    """

    def __init__(
        self,
        num_ids: int,
        in_channels: int = 1024,
        fc_channels: int = 1024,
        num_fcs: int = 1,
        loss_id: dict | None = None,
        init_cfg: Any = None,
    ) -> None:
        softmax = {"type": "mmdet.CrossEntropyLoss", "use_sigmoid": False, "loss_weight": 1.0}
        super().__init__(num_ids, loss_id or softmax, init_cfg)
        if num_fcs < 1:
            raise ValueError(f"num_fcs={num_fcs} of the id branch must be at least 1")
        widths = [in_channels, *[fc_channels] * (num_fcs - 1)]
        layers = [
            layer
            for inner, outer in pairwise(widths)
            for layer in (nn.Linear(inner, outer), nn.ReLU(inplace=True))
        ]
        self.tower = nn.Sequential(*layers)
        self.predictor = nn.Linear(widths[-1], self.num_outputs)

    def forward(self, features: Tensor) -> Tensor:
        """Return logits ``(n, num_outputs)`` for features ``(n, in_channels)``."""
        logits: Tensor = self.predictor(self.tower(features))
        return logits


def id_mask_of(label_map: Tensor, num_ids: int) -> Tensor:
    """Return the one-hot mask of ids.

    Args:
        label_map: ``(B, H, W)`` integers: the id of a pixel, N for background; a pixel with any
            other value is in no channel.
        num_ids: Number of ids N.

    Returns:
        ``(B, N + 1, H, W)`` of 0 and 1 in float32, background last.
    """
    ids = torch.arange(num_ids + 1, device=label_map.device, dtype=label_map.dtype)
    return (label_map[:, None] == ids[:, None, None]).float()


class IdentityBank(BaseModule):
    """Embed which pixel belongs to which id (fact sheet, section 4.1).

    A convolution of the one-hot mask whose stride is that of the map whose tokens get the
    embedding; the kernel reaches one pixel further than the stride. The paper writes a linear map
    of every pixel (Eq. 2).

    Args:
        num_ids: Number of ids N.
        channels: Length of the embedding.
        stride: Pixels of the frame per token; even.

    Raises:
        ValueError: If the stride is odd.
    """

    def __init__(self, num_ids: int, channels: int = 256, stride: int = 32) -> None:
        super().__init__()
        if stride % 2:
            raise ValueError(f"stride={stride} of the id bank must be even")
        self.num_ids = num_ids
        self.conv = nn.Conv2d(
            num_ids + 1, channels, kernel_size=stride + 1, stride=stride, padding=stride // 2
        )

    @torch.no_grad()
    def start_linear(self) -> None:
        """Draw one vector of unit variance per id; a token has the mean over its pixels.

        This is the paper's linear map (Eq. 2), averaged over the kernel.
        """
        weight = self.conv.weight
        vectors = torch.randn(*weight.shape[:2], 1, 1, device=weight.device)
        weight.copy_(vectors.expand_as(weight) / weight[0, 0].numel())

    def forward(self, id_mask: Tensor) -> Tensor:
        """Embed a mask ``(B, N + 1, H, W)`` as ``(B, channels, H / stride, W / stride)``."""
        embedding: Tensor = self.conv(id_mask)
        return embedding

    def blank(self, size: Sequence[int]) -> Tensor:
        """Return the embedding ``(1, channels, *size)`` of a mask of zeros, of size in tokens.

        It is the same for every token. The kernel takes part, with a gradient of 0: clips of one
        frame would leave it out of the graph, at which distributed training stops.
        """
        (stride, _) = self.conv.stride
        cell = self.conv.weight.new_zeros(1, self.num_ids + 1, stride, stride)
        embedding: Tensor = self.conv(cell)
        return embedding.expand(-1, -1, *size)
