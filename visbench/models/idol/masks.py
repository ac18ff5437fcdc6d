# SPDX-License-Identifier: Apache-2.0
"""Mask features from encoded levels, and masks of the frame as filmed."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from visbench.models.layers.dynamic_masks import upsample_logits

LOGIT_UPSAMPLING = 2
"""Mask logits are supervised, compared and thresholded at half the stride of the features."""


class MaskBranch(nn.Module):
    """Fuse the encoded levels of the backbone, coarse to fine, into few mask features.

    Every layer is a 3x3 convolution with ReLU; the output is not negative. The reference
    implementation uses no features but the encoder's.

    Args:
        channels: Width of the levels.
        hidden_channels: Channels before the last layer.
        out_channels: Mask features.
        num_levels: How many levels are fused, the finest ones.
    """

    def __init__(
        self,
        channels: int = 256,
        hidden_channels: int = 64,
        out_channels: int = 8,
        num_levels: int = 3,
    ) -> None:
        super().__init__()
        self.fuse = nn.ModuleList(
            [nn.Conv2d(channels, channels, 3, padding=1) for _ in range(num_levels)]
        )
        self.reduce = nn.Conv2d(channels, hidden_channels, 3, padding=1)
        self.output = nn.Conv2d(hidden_channels, out_channels, 3, padding=1)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.kaiming_uniform_(parameter, a=1)
            else:
                nn.init.zeros_(parameter)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Return the mask features ``(B, out_channels, h, w)`` at the stride of the finest level.

        Args:
            levels: Encoded levels ``(B, channels, h, w)``, finest first.
        """
        *finer, fused = levels[: len(self.fuse)]
        fused = self.fuse[0](fused).relu()
        for layer, level in zip(list(self.fuse)[1:], reversed(finer), strict=True):
            upsampled = F.interpolate(fused, size=level.shape[-2:], mode="nearest")
            fused = layer(level + upsampled).relu()
        return self.output(self.reduce(fused).relu()).relu()


def fine_logits(logits: Tensor) -> Tensor:
    """Return mask logits ``(n, h, w)`` of the stride of the features at half that stride."""
    if len(logits) == 0:
        # Stays in the graph: distributed training misses no parameter.
        return logits.repeat(1, LOGIT_UPSAMPLING, LOGIT_UPSAMPLING)
    return upsample_logits(logits, LOGIT_UPSAMPLING)


def binary_masks(
    logits: Tensor, stride: int, valid_size: tuple[int, int], original_size: tuple[int, int]
) -> Tensor:
    """Return the masks of the frame as filmed, as the reference implementation makes them.

    Logits are enlarged to the padded frame, thresholded at probability 0.5, cropped to the valid
    part, and the *binary* masks are resized, by nearest neighbour.

    Args:
        logits: ``(n, h, w)`` mask logits of the padded frame.
        stride: Pixels of the padded frame per cell of ``logits``.
        valid_size: ``(height, width)`` of the part that is not padding.
        original_size: ``(height, width)`` of the result.

    Returns:
        Booleans ``(n, *original_size)``.
    """
    if len(logits) == 0:
        return logits.new_zeros((0, *original_size)).bool()
    size = (logits.shape[-2] * stride, logits.shape[-1] * stride)
    enlarged = F.interpolate(logits[:, None].float(), size=size, mode="bilinear")
    masks = enlarged[..., : valid_size[0], : valid_size[1]].sigmoid() > 0.5
    if tuple(valid_size) != tuple(original_size):
        masks = F.interpolate(masks.byte(), size=tuple(original_size), mode="nearest").bool()
    return masks[:, 0]
