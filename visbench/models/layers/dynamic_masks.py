# SPDX-License-Identifier: Apache-2.0
"""Masks from instance-specific 1x1 convolutions (CondInst, section 3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from mmdet.models.utils import aligned_bilinear
from torch import Tensor, nn


class DynamicMaskHead(nn.Module):
    """Apply a small convolutional network with parameters of its own to every instance.

    The network sees two relative coordinates (x before y) followed by the mask features and ends
    in one channel; ReLU follows every layer but the last. The module has no weights.

    The parameters of an instance are laid out as in CondInst: the weights of all layers, row-major
    (out, in), then the biases of all layers. With the defaults these are
    ``80 + 64 + 8 + 8 + 8 + 1 = 169`` numbers.

    Args:
        in_channels: Channels of the mask features.
        channels: Channels of the hidden layers.
        num_layers: Number of layers.
        stride: Pixels of the frame per cell of the mask features.

    Raises:
        ValueError: If a size is below 1.
    """

    def __init__(
        self, in_channels: int = 8, channels: int = 8, num_layers: int = 3, stride: int = 8
    ) -> None:
        super().__init__()
        if min(in_channels, channels, num_layers, stride) < 1:
            raise ValueError(
                "the dynamic mask head needs positive sizes, got "
                f"in_channels={in_channels}, channels={channels}, num_layers={num_layers}, "
                f"stride={stride}"
            )
        widths = [in_channels + 2, *[channels] * (num_layers - 1), 1]
        self.shapes = list(zip(widths[1:], widths[:-1], strict=True))
        self.stride = stride

    @property
    def num_parameters(self) -> int:
        """How many numbers one instance needs."""
        return sum(rows * columns + rows for rows, columns in self.shapes)

    def split(self, parameters: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Split parameters ``(n, num_parameters)`` into layers.

        Returns:
            Weights ``(n, out, in)`` and biases ``(n, out, 1)`` of every layer.
        """
        sizes = [rows * columns for rows, columns in self.shapes]
        parts = parameters.split([*sizes, *[rows for rows, _ in self.shapes]], dim=1)
        weights = [
            part.unflatten(1, shape) for part, shape in zip(parts, self.shapes, strict=False)
        ]
        return weights, [part.unsqueeze(2) for part in parts[len(self.shapes) :]]

    def locations(self, features: Tensor) -> Tensor:
        """Return the pixel ``(x, y)`` under the centre of every cell, as ``(2, h, w)``."""
        height, width = features.shape[-2:]
        cells = torch.arange(max(height, width), device=features.device, dtype=torch.float32)
        pixels = cells * self.stride + self.stride // 2
        x, y = pixels[:width], pixels[:height]
        return torch.stack([x.expand(height, width), y[:, None].expand(height, width)])

    def relative_coordinates(self, features: Tensor, centres: Tensor, divisors: Tensor) -> Tensor:
        """Return what the network sees of positions, ``(n, 2, h, w)``: centre minus location.

        Args:
            features: ``(..., h, w)``, for their size.
            centres: ``(n, 2)`` x and y in pixels.
            divisors: ``(n,)`` pixels.
        """
        offsets = centres[:, :, None, None] - self.locations(features)
        return offsets / divisors[:, None, None, None]

    def forward(
        self,
        features: Tensor,
        parameters: Tensor,
        centres: Tensor,
        divisors: Tensor,
        frame_index: Tensor,
    ) -> Tensor:
        """Return the mask logits of n instances.

        Args:
            features: ``(F, in_channels, h, w)`` mask features of F frames.
            parameters: ``(n, num_parameters)``.
            centres: ``(n, 2)`` centres of the instances, x and y in pixels.
            divisors: ``(n,)`` pixels by which relative coordinates (centre minus location) are
                divided.
            frame_index: ``(n,)`` row of ``features`` for every instance.

        Returns:
            Logits ``(n, h, w)`` at the stride of the features, in float32.
        """
        relative = self.relative_coordinates(features, centres, divisors)
        weights, biases = self.split(parameters.float())
        # Reduced precision would round coordinates to whole pixels.
        with torch.autocast(features.device.type, enabled=False):
            hidden = torch.cat([relative.float(), features.float()[frame_index]], dim=1).flatten(2)
            for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
                hidden = torch.baddbmm(bias, weight, hidden)
                if layer < len(weights) - 1:
                    hidden = hidden.relu()
        return hidden.reshape(-1, *features.shape[-2:])


def upsample_logits(logits: Tensor, factor: int = 2) -> Tensor:
    """Enlarge mask logits ``(n, h, w)`` by aligned bilinear interpolation."""
    if len(logits) == 0:
        return logits.new_zeros((0, logits.shape[1] * factor, logits.shape[2] * factor))
    return aligned_bilinear(logits[:, None], factor)[:, 0]


def mask_probabilities(logits: Tensor, stride: int) -> Tensor:
    """Return probabilities at the size of the padded frame.

    Args:
        logits: ``(n, h, w)`` mask logits.
        stride: Pixels of the frame per cell of ``logits``.

    Returns:
        ``(n, h * stride, w * stride)``; the sigmoid comes before the interpolation.
    """
    return upsample_logits(logits.sigmoid(), stride)


def masks_at_original_size(
    logits: Tensor,
    stride: int,
    valid_size: tuple[int, int],
    original_size: tuple[int, int],
    threshold: float = 0.5,
) -> Tensor:
    """Return binary masks of the frame as filmed.

    Args:
        logits: ``(n, h, w)`` mask logits of the padded frame.
        stride: Pixels of the padded frame per cell of ``logits``.
        valid_size: ``(height, width)`` of the part that is not padding.
        original_size: ``(height, width)`` of the result.
        threshold: A pixel belongs to the mask above this probability.

    Returns:
        Booleans ``(n, *original_size)``.
    """
    if len(logits) == 0:
        return logits.new_zeros((0, *original_size), dtype=torch.bool)
    probabilities = mask_probabilities(logits, stride)[:, : valid_size[0], : valid_size[1]]
    if tuple(valid_size) != tuple(original_size):
        probabilities = F.interpolate(
            probabilities[:, None], size=original_size, mode="bilinear", align_corners=False
        )[:, 0]
    return probabilities > threshold
