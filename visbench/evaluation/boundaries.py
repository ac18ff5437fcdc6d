# SPDX-License-Identifier: Apache-2.0
"""Boundaries of masks and the share of one that lies near another (the F measure of DAVIS)."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

__all__ = ["boundary_f", "boundary_pixels", "dilate", "tolerance"]

Bool = npt.NDArray[np.bool_]
Int64 = npt.NDArray[np.int64]

_RELATIVE_TOLERANCE = 0.008


def tolerance(height: int, width: int) -> int:
    """Return how far in pixels a boundary may be off: 0.8 % of the diagonal, rounded up."""
    return math.ceil(_RELATIVE_TOLERANCE * math.sqrt(height**2 + width**2))


def boundary_pixels(mask: Bool) -> Int64:
    """Return the flat indices of the boundary of a mask.

    A pixel belongs to it when the mask differs from its right, lower or lower-right neighbour;
    beyond the last row and column the mask goes on unchanged.

    Args:
        mask: ``(H, W)``.

    Returns:
        ``(N,)`` ascending indices into the flattened mask; empty for an empty or a full mask.
    """
    rows = np.flatnonzero(mask.any(axis=1))
    if not len(rows):
        return np.zeros(0, np.int64)
    columns = np.flatnonzero(mask.any(axis=0))
    # One pixel more above and to the left: pixels outside of the mask see it from there.
    top, left = max(0, int(rows[0]) - 1), max(0, int(columns[0]) - 1)
    part = mask[top : rows[-1] + 2, left : columns[-1] + 2]
    edges = np.zeros(part.shape, np.bool_)
    edges[:, :-1] = part[:, :-1] != part[:, 1:]
    edges[:-1] |= part[:-1] != part[1:]
    edges[:-1, :-1] |= part[:-1, :-1] != part[1:, 1:]
    y, x = np.nonzero(edges)
    return (y + top) * mask.shape[1] + (x + left)


def dilate(pixels: Int64, height: int, width: int, radius: int) -> Bool:
    """Return the map of all pixels within a distance of some pixels.

    Args:
        pixels: ``(N,)`` flat indices.
        height: Height of the map.
        width: Width of the map.
        radius: Euclidean distance in pixels, inclusive.

    Returns:
        ``(height * width,)`` flattened map.
    """
    # The disk is a stack of horizontal spans: mark where each begins and ends, then sum up rows.
    marks = np.zeros((height, width + 1), np.int32)
    y, x = np.divmod(pixels, width)
    for step in range(-radius, radius + 1):
        half = math.isqrt(radius**2 - step**2)
        inside = (y + step >= 0) & (y + step < height)
        rows, columns = y[inside] + step, x[inside]
        np.add.at(marks, (rows, np.maximum(columns - half, 0)), 1)
        np.add.at(marks, (rows, np.minimum(columns + half + 1, width)), -1)
    covered: Bool = np.cumsum(marks, axis=1, out=marks)[:, :width] > 0
    return covered.reshape(-1)


def boundary_f(first: Int64, first_area: Bool, second: Int64, second_area: Bool) -> float:
    """Return the F measure of two boundaries.

    Args:
        first: Pixels of the predicted boundary.
        first_area: All pixels near it, from :func:`dilate`.
        second: Pixels of the true boundary.
        second_area: All pixels near it.

    Returns:
        Harmonic mean of precision and recall in [0, 1]: 1 if both boundaries are empty, 0 if one
        of them is.
    """
    if not len(first) or not len(second):
        return float(len(first) == len(second))
    precision = np.count_nonzero(second_area[first]) / len(first)
    recall = np.count_nonzero(first_area[second]) / len(second)
    if precision + recall == 0:
        return 0.0
    return 2 * precision * recall / (precision + recall)
