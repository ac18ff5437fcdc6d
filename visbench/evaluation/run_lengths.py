# SPDX-License-Identifier: Apache-2.0
"""Run-length encoded masks: checked and measured in batches, without ever expanding a mask.

The C code of pycocotools trusts its input: runs that do not fill the image send its intersection
loop round for ever, and runs of length zero end it too early. So every mask is decoded to run
lengths here first (numpy, all masks of a track at once), checked, and measured on the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as mask_utils

__all__ = ["MAX_PIXELS", "MaskError", "compress_runs", "measure", "rasterize_polygons"]

MAX_PIXELS = 2**31 - 1
"""Largest image the 32-bit run lengths of the COCO encoding can hold safely."""

_MAX_CHARACTERS_PER_RUN = 7
_MAX_OUTLINE = 20_000_000
_POLYGON_UPSAMPLING = 5

Int64 = npt.NDArray[np.int64]


class MaskError(ValueError):
    """A mask that cannot be read; ``index`` is its position in the list that was given."""

    def __init__(self, index: int, problem: str) -> None:
        self.index = index
        self.problem = problem
        super().__init__(f"mask {index}: {problem}")


def measure(strings: list[bytes], pixels: Int64) -> tuple[Int64, list[bytes]]:
    """Check compressed masks and count their foreground pixels.

    Args:
        strings: n compressed run-length strings (the ``counts`` of COCO's encoding).
        pixels: ``(n,)`` height times width of each mask.

    Returns:
        ``(n,)`` areas in pixels, and the strings with zero-length runs merged away (the same
        objects where there was nothing to merge).

    Raises:
        MaskError: A string is damaged or its runs do not add up to its number of pixels.
    """
    if not strings:
        return np.zeros(0, np.int64), strings
    runs, rows, padding = _decode(strings)
    if runs.min() < 0 or runs.max() > pixels.min():
        _check_runs(runs, rows, pixels)
    sums = np.add.reduceat(runs, rows[:-1], axis=0)
    wrong = np.flatnonzero(sums.sum(axis=1) != pixels)
    if len(wrong):
        index = int(wrong[0])
        total = int(sums[index].sum())
        raise MaskError(index, f"runs cover {total} pixels, the image has {int(pixels[index])}")
    zeros = runs == 0
    # A first background run of zero is how a mask that starts at pixel 0 is written.
    zeros[rows[:-1], 0] = False
    zeros[padding, 1] = False
    if zeros.any():
        strings = _merge_zero_runs(strings, runs, rows, pixels, zeros)
    return sums[:, 1], strings


def _decode(strings: list[bytes]) -> tuple[Int64, Int64, Int64]:
    """Return run lengths in (background, foreground) rows and the first row of each mask.

    A mask with an odd number of runs ends with a foreground run of zero that it does not have;
    the rows of these paddings come third.
    """
    lengths = np.fromiter(map(len, strings), np.int64, len(strings))
    if not lengths.all():
        raise MaskError(int(np.argmin(lengths)), "empty run-length string")
    codes = np.frombuffer(b"".join(strings), np.uint8) - np.uint8(48)
    last = np.cumsum(lengths) - 1
    if codes.max() > 63:
        bad = int(np.searchsorted(last, int(np.argmax(codes > 63))))
        raise MaskError(bad, "character outside the run-length alphabet ('0' to 'o')")
    ends = np.flatnonzero(codes < 32)
    if (codes[last] >= 32).any():
        bad = int(np.argmax(codes[last] >= 32))
        raise MaskError(bad, "run-length string is cut off in the middle of a number")
    values = _values(codes, ends, last)
    first_run = np.concatenate(([0], np.searchsorted(ends, last, side="right")))
    counts = np.diff(first_run)
    rows = np.concatenate(([0], np.cumsum((counts + 1) // 2)))
    odd = counts % 2 == 1
    padded = np.zeros(2 * int(rows[-1]), np.int64)
    shift = 2 * rows[:-1] - first_run[:-1]
    padded[np.arange(len(values)) + np.repeat(shift, counts)] = values
    deltas = padded.reshape(-1, 2)
    _integrate(deltas, rows)
    padding = rows[1:][odd] - 1
    deltas[padding, 1] = 0
    return deltas, rows, padding


def _values(codes: npt.NDArray[np.uint8], ends: Int64, last: Int64) -> Int64:
    """Return the signed numbers written in groups of five bits, least significant first."""
    values = ((codes[ends] & 31) ^ 16).astype(np.int64) - 16
    widths = np.diff(ends, prepend=-1)
    widest = int(widths.max())
    if widest > _MAX_CHARACTERS_PER_RUN:
        bad = int(np.searchsorted(last, int(ends[np.argmax(widths)])))
        raise MaskError(bad, "run length too large")
    for position in range(1, widest):
        long = np.flatnonzero(widths > position)
        values[long] = values[long] * 32 + (codes[ends[long] - position] & 31)
    return values


def _integrate(deltas: Int64, rows: Int64) -> None:
    """Turn differences into run lengths, in place.

    From the fourth run on, the encoding stores the difference to the run before the last one. So
    both columns are running sums; the first background run of a mask stands outside of them.
    """
    starts = rows[:-1]
    first = deltas[starts, 0].copy()
    deltas[starts, 0] = 0
    sums = np.add.reduceat(deltas, starts, axis=0)
    deltas[starts[1:]] -= sums[:-1]
    np.cumsum(deltas, axis=0, out=deltas)
    deltas[starts, 0] = first


def _check_runs(runs: Int64, rows: Int64, pixels: Int64) -> None:
    for index in range(len(pixels)):
        part = runs[rows[index] : rows[index + 1]]
        if part.min() < 0:
            raise MaskError(index, f"negative run length {int(part.min())}")
        if part.max() > pixels[index]:
            size = int(pixels[index])
            raise MaskError(index, f"run of {int(part.max())} pixels, the image has {size}")


def _merge_zero_runs(
    strings: list[bytes],
    runs: Int64,
    rows: Int64,
    pixels: Int64,
    zeros: npt.NDArray[np.bool_],
) -> list[bytes]:
    merged = list(strings)
    for index in np.flatnonzero(np.logical_or.reduceat(zeros.any(axis=1), rows[:-1])):
        counts = runs[rows[index] : rows[index + 1]].reshape(-1)
        merged[index] = compress_runs(counts, int(pixels[index]), 1)
    return merged


def compress_runs(counts: Sequence[int] | Int64, height: int, width: int) -> bytes:
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
    try:
        runs: npt.NDArray[Any] = np.asarray(counts)
    except ValueError:
        runs = np.zeros((0, 0))
    if runs.ndim != 1 or runs.dtype.kind not in "iu":
        raise MaskError(0, "'counts' must be a list of integers")
    if len(runs) == 0 or runs.min() < 0:
        raise MaskError(0, "run lengths must be at least 0, and there must be one")
    total = sum(runs.tolist())
    if total != height * width:
        raise MaskError(0, f"runs cover {total} pixels, the image has {height * width}")
    runs = runs.astype(np.int64)
    kinds: Int64 = np.arange(len(runs)) % 2
    keep = runs > 0
    runs, kinds = runs[keep], kinds[keep]
    starts = np.flatnonzero(np.diff(kinds, prepend=-1))
    merged: Int64 = np.add.reduceat(runs, starts)
    if kinds[0] == 1:
        merged = np.concatenate(([0], merged))
    encoded = mask_utils.frPyObjects(
        {"size": [height, width], "counts": merged.tolist()}, height, width
    )
    return bytes(encoded["counts"])


def rasterize_polygons(polygons: Sequence[Any], height: int, width: int) -> bytes:
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
    return bytes(mask_utils.merge(encoded)["counts"])


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
