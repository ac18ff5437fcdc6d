# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a single mask or box."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from visbench.evaluation.mask_measures import measure
from visbench.evaluation.run_lengths import MaskError, compress_runs, rasterize_polygons

_BOX_TOLERANCE = 0.5


def mask_problem(mask: Any, size: tuple[Any, Any]) -> str | None:
    """Return what is wrong with a mask, or None.

    Args:
        mask: RLE (``counts`` a string or a list) or polygons.
        size: ``(height, width)`` of the video.
    """
    if not all(is_integer(side) and side > 0 for side in size):
        return None  # The size of the video is a defect of its own.
    try:
        if isinstance(mask, list):
            string = rasterize_polygons(mask, *size)
        else:
            stated = mask.get("size") if isinstance(mask, dict) else None
            if not isinstance(stated, list) or list(stated) != list(size):
                return f"the mask has the size {stated}, the video {list(size)} (height, width)"
            counts = mask.get("counts")
            if isinstance(counts, list):
                string = compress_runs(counts, *size)
            elif isinstance(counts, str):
                string = counts
            else:
                return f"'counts' is {type(counts).__name__}, neither string nor list"
        areas, _ = measure([string], np.array([size[0] * size[1]]))
    except MaskError as error:
        return error.problem
    return "the mask has no pixel; write null where the object is absent" if not areas[0] else None


def box_problem(box: Any, size: tuple[Any, Any]) -> str | None:
    """Return what is wrong with a box, or None.

    Args:
        box: Should be ``[x, y, width, height]`` in pixels.
        size: ``(height, width)`` of the video; boxes may exceed it by half a pixel.
    """
    if not isinstance(box, list) or len(box) != 4:
        return f"{box!r} is not [x, y, width, height]"
    if not all(is_number(value) for value in box):
        return f"{box} has entries that are not finite numbers"
    x, y, w, h = box
    if w <= 0 or h <= 0:
        return f"{box} has no width or no height"
    if not all(is_integer(side) for side in size):
        return None
    outside = max(-x, -y, x + w - size[1], y + h - size[0])
    if outside > _BOX_TOLERANCE:
        return f"{box} exceeds the frame of {size[0]}x{size[1]} by {outside:g} pixels"
    return None


def is_integer(value: Any) -> bool:
    """Return whether a value is an integer and no boolean."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Return whether a value is a finite number and no boolean."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
