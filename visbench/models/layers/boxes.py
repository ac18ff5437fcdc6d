# SPDX-License-Identifier: Apache-2.0
"""Small functions on boxes ``(x1, y1, x2, y2)``."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def box_centres(boxes: Tensor) -> Tensor:
    """Return the centres ``(..., 2)``, x before y, of boxes ``(..., 4)``."""
    return (boxes[..., :2] + boxes[..., 2:]) / 2


def clip_boxes(boxes: Tensor, whwh: Tensor, min_size: float = 0.0) -> Tensor:
    """Clip boxes to the frame and keep them at least ``min_size`` wide and high.

    A side that is too short grows about its centre and is then moved into the frame, so a box that
    lay wholly outside ends as a small box at the border and can still be regressed.

    Args:
        boxes: ``(..., N, 4)`` xyxy in pixels.
        whwh: ``(..., 4)`` width, height, width, height of the frame in pixels.
        min_size: Least width and height in pixels; a frame that is smaller still is filled.

    Returns:
        Boxes of the same shape inside the frame.
    """
    size = whwh[..., None, :2]
    clipped = torch.minimum(boxes.clamp(min=0), torch.cat([size, size], dim=-1))
    if min_size <= 0:
        return clipped
    least = size.clamp(max=min_size)
    low, high = clipped[..., :2], clipped[..., 2:]
    start = torch.minimum(((low + high - least) / 2).clamp(min=0), size - least)
    short = high - low < least
    return torch.cat(
        [torch.where(short, start, low), torch.where(short, start + least, high)], dim=-1
    )


def boxes_to_original(boxes: Tensor, scale_factor: Sequence[float]) -> Tensor:
    """Return boxes ``(..., 4)`` in original pixels.

    Args:
        boxes: xyxy in pixels of the resized frame.
        scale_factor: ``(x, y)`` factors from original to resized pixels.
    """
    return boxes / boxes.new_tensor([*scale_factor, *scale_factor])
