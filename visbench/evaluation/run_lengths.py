# SPDX-License-Identifier: Apache-2.0
"""Single masks as run lengths: read from, and brought into, COCO's compressed encoding."""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as mask_utils

__all__ = [
    "MAX_PIXELS",
    "MaskError",
    "compress_runs",
    "rasterize_polygons",
    "read_runs",
]

MAX_PIXELS = 2**31 - 1
"""Largest image the 32-bit run lengths of the COCO encoding can hold safely."""
CONTINUED = 80
"""Characters from this code on are not the last of their number."""

_MAX_CHARACTERS_PER_RUN = 7
_MAX_OUTLINE = 20_000_000
_POLYGON_UPSAMPLING = 5
_FOREIGN = re.compile(r"[^0-o]")
_OVERLONG = re.compile(r"[P-o]{7}")
_ALPHABET = "character outside the run-length alphabet ('0' to 'o')"

Int64 = npt.NDArray[np.int64]


class MaskError(ValueError):
    """A mask that cannot be read; ``index`` is its position in the list that was given."""

    def __init__(self, index: int, problem: str) -> None:
        self.index = index
        self.problem = problem
        super().__init__(f"mask {index}: {problem}")


def read_runs(text: str, pixels: int) -> list[int]:
    """Decode one compressed mask, however large its numbers are.

    Args:
        text: The compressed string.
        pixels: Height times width; a string far too long for it is refused.

    Returns:
        The run lengths, background first. They may be negative or too long.

    Raises:
        MaskError: The string is damaged.
    """
    if not text:
        raise MaskError(0, "empty run-length string")
    if len(text) > _MAX_CHARACTERS_PER_RUN * (2 * pixels + 8):
        raise MaskError(0, f"{len(text)} characters for an image of {pixels} pixels")
    if _FOREIGN.search(text):
        raise MaskError(0, _ALPHABET)
    if _OVERLONG.search(text):
        raise MaskError(0, "run length too large")
    if ord(text[-1]) >= CONTINUED:
        raise MaskError(0, "run-length string is cut off in the middle of a number")
    runs: list[int] = []
    value = shift = 0
    for code in text.encode("ascii"):
        value |= ((code - 48) & 31) << shift
        shift += 5
        if code < CONTINUED:
            value -= (value >> (shift - 1)) << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    return runs


def compress_runs(counts: Sequence[int] | Int64, height: int, width: int) -> str:
    """Encode run lengths, merging runs of length zero.

    Args:
        counts: Run lengths in pixels, background first, that add up to ``height * width``.
        height: Height in pixels.
        width: Width in pixels.

    Returns:
        The compressed string, which does not depend on the split into height and width.

    Raises:
        MaskError: A run is no non-negative integer, or the runs do not fill the image.
    """
    runs = _as_integers(counts)
    if len(runs) == 0 or runs.min() < 0:
        raise MaskError(0, "run lengths must be at least 0, and there must be one")
    total = int(runs.sum())
    if runs.max() > height * width:
        # The sum may have wrapped round.
        total = sum(runs.tolist())
    if total != height * width:
        raise MaskError(0, f"runs cover {total} pixels, the image has {height * width}")
    if np.count_nonzero(runs[1:]) != len(runs) - 1:
        runs = _merge_zero_runs(runs)
    encoded = mask_utils.frPyObjects({"size": [height, width], "counts": runs}, height, width)
    return str(encoded["counts"].decode("ascii"))


def _as_integers(counts: Sequence[int] | Int64) -> Int64:
    if isinstance(counts, list):
        try:
            # Several times faster than numpy on a list, and takes nothing but integers.
            return np.frombuffer(array("q", counts), np.int64)
        except (TypeError, OverflowError):
            pass
    try:
        runs: npt.NDArray[Any] = np.asarray(counts)
    except ValueError:
        runs = np.zeros((0, 0))
    if runs.ndim != 1 or runs.dtype.kind not in "iu":
        raise MaskError(0, "'counts' must be a list of integers")
    return runs.astype(np.int64) if runs.dtype.kind == "i" else _from_unsigned(runs)


def _from_unsigned(runs: npt.NDArray[Any]) -> Int64:
    if len(runs) and int(runs.max()) > MAX_PIXELS:
        raise MaskError(0, f"run of {int(runs.max())} pixels is larger than any image")
    return runs.astype(np.int64)


def _merge_zero_runs(runs: Int64) -> Int64:
    kinds: Int64 = np.arange(len(runs)) % 2
    keep = runs > 0
    runs, kinds = runs[keep], kinds[keep]
    starts = np.flatnonzero(np.diff(kinds, prepend=-1))
    merged: Int64 = np.add.reduceat(runs, starts)
    return np.concatenate(([0], merged)) if kinds[0] == 1 else merged


def rasterize_polygons(polygons: Sequence[Any], height: int, width: int) -> str:
    """Draw polygons as the reference does (COCO's rasterisation, union of all parts).

    Args:
        polygons: Lists ``[x1, y1, x2, y2, ...]`` in pixels, at least three points each.
        height: Height of the image.
        width: Width of the image.

    Returns:
        The compressed run-length string.

    Raises:
        MaskError: A polygon is malformed, or so far outside the image that drawing it would cost
            more memory than any real object.
    """
    parts = [_polygon(polygon) for polygon in polygons]
    outline = sum(_outline_length(part) for part in parts)
    if outline > _MAX_OUTLINE:
        raise MaskError(0, f"polygon outline of about {outline:.0f} pixels is too long")
    encoded = mask_utils.frPyObjects([part.tolist() for part in parts], height, width)
    return str(mask_utils.merge(encoded)["counts"].decode("ascii"))


def _polygon(polygon: Any) -> npt.NDArray[np.float64]:
    try:
        points = np.asarray(polygon, dtype=np.float64)
    except (TypeError, ValueError):
        points = np.zeros(0)
    if points.ndim != 1 or len(points) < 6 or len(points) % 2 or not np.isfinite(points).all():
        raise MaskError(0, "a polygon must be a list of at least six finite numbers x, y, ...")
    return points


def _outline_length(points: npt.NDArray[np.float64]) -> float:
    closed = np.concatenate((points, points[:2])).reshape(-1, 2)
    steps = np.abs(np.diff(closed, axis=0)).max(axis=1)
    return float(steps.sum()) * _POLYGON_UPSAMPLING
