# SPDX-License-Identifier: Apache-2.0
"""Run-length encoded masks: checked and measured in batches, without ever expanding a mask.

The C code of pycocotools trusts its input: runs that do not fill the image send its intersection
loop round for ever, and runs of length zero end it too early. So every mask is decoded to run
lengths here first (numpy, all masks of a track at once), checked, and measured on the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
_ALPHABET = "character outside the run-length alphabet ('0' to 'o')"

Int64 = npt.NDArray[np.int64]


class MaskError(ValueError):
    """A mask that cannot be read; ``index`` is its position in the list that was given."""

    def __init__(self, index: int, problem: str) -> None:
        self.index = index
        self.problem = problem
        super().__init__(f"mask {index}: {problem}")


def measure(strings: list[str], pixels: Int64) -> tuple[Int64, list[str]]:
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
    runs = _decode(strings)
    runs.check(pixels)
    areas = np.add.reduceat(runs.foreground, runs.starts)
    totals = areas + np.add.reduceat(runs.background, runs.starts)
    wrong = np.flatnonzero(totals != pixels)
    if len(wrong):
        index = int(wrong[0])
        size = int(pixels[index])
        raise MaskError(index, f"runs cover {int(totals[index])} pixels, the image has {size}")
    return areas, runs.merge_zero_runs(strings)


@dataclass(frozen=True)
class _Runs:
    """Run lengths of several masks, one row per pair of a background and a foreground run.

    Attributes:
        background: ``(N,)`` lengths of the background runs.
        foreground: ``(N,)`` lengths of the foreground runs that follow them.
        starts: ``(n,)`` first row of each mask.
        padding: Rows whose foreground run stands for none: the mask ends with background.
    """

    background: Int64
    foreground: Int64
    starts: Int64
    padding: Int64

    def of(self, index: int) -> Int64:
        """Return the run lengths of one mask."""
        end = self.starts[index + 1] if index + 1 < len(self.starts) else len(self.background)
        part = slice(self.starts[index], end)
        return np.stack([self.background[part], self.foreground[part]], axis=1).reshape(-1)

    def check(self, pixels: Int64) -> None:
        """Raise for the first mask with a run that is negative or larger than its image."""
        lowest = min(self.background.min(), self.foreground.min())
        highest = max(self.background.max(), self.foreground.max())
        if lowest >= 0 and highest <= pixels.min():
            return
        for index, size in enumerate(pixels.tolist()):
            runs = self.of(index)
            if runs.min() < 0:
                raise MaskError(index, f"negative run length {int(runs.min())}")
            if runs.max() > size:
                raise MaskError(index, f"run of {int(runs.max())} pixels, the image has {size}")

    def merge_zero_runs(self, strings: list[str]) -> list[str]:
        """Return the strings, written anew where a run has length zero."""
        zeros = self.background == 0
        # A first background run of zero is how a mask that starts at pixel 0 is written.
        zeros[self.starts] = False
        empty = self.foreground == 0
        empty[self.padding] = False
        if not zeros.any() and not empty.any():
            return strings
        merged = list(strings)
        for index in np.flatnonzero(np.logical_or.reduceat(zeros | empty, self.starts)):
            runs = self.of(index)
            merged[index] = compress_runs(runs, int(runs.sum()), 1)
        return merged


def _decode(strings: list[str]) -> _Runs:
    # One more run of zero ('0') behind each mask makes the usual odd number of runs even.
    joined = "0".join(strings) + "0"
    lengths = np.fromiter(map(len, strings), np.int64, len(strings))
    if not lengths.all():
        raise MaskError(int(np.argmin(lengths)), "empty run-length string")
    if not joined.isascii():
        bad = next(index for index, text in enumerate(strings) if not text.isascii())
        raise MaskError(bad, _ALPHABET)
    codes = np.frombuffer(joined.encode("ascii"), np.uint8) - np.uint8(48)
    added = np.cumsum(lengths + 1) - 1
    if codes.max() > 63:
        raise MaskError(int(np.searchsorted(added, int(np.argmax(codes > 63)))), _ALPHABET)
    if (codes[added - 1] >= 32).any():
        bad = int(np.argmax(codes[added - 1] >= 32))
        raise MaskError(bad, "run-length string is cut off in the middle of a number")
    values, ends = _values(codes, added)
    last = np.searchsorted(ends, added)
    counts = np.diff(last, prepend=-1)
    surplus = counts % 2 == 1
    if surplus.any():
        values = np.delete(values, last[surplus])
        counts = counts - surplus
    rows = np.cumsum(counts // 2)
    return _integrate(values, rows - counts // 2, (rows - 1)[~surplus])


def _values(codes: npt.NDArray[np.uint8], added: Int64) -> tuple[Int64, Int64]:
    """Return the signed numbers, written in groups of five bits, lowest first, and their ends."""
    ends = np.flatnonzero(codes < 32)
    values: Int64 = (codes[ends] ^ np.uint8(16)).astype(np.int64)
    values -= 16
    long = np.flatnonzero(np.diff(ends) > 1) + 1
    if ends[0] > 0:
        long = np.concatenate(([0], long))
    widths = ends[long] - np.where(long > 0, ends[long - 1], -1)
    if len(long) and widths.max() > _MAX_CHARACTERS_PER_RUN:
        bad = int(np.searchsorted(added, int(ends[long[np.argmax(widths)]])))
        raise MaskError(bad, "run length too large")
    position = 1
    while len(long):
        values[long] = values[long] * 32 + (codes[ends[long] - position] & 31)
        position += 1
        more = widths > position
        long, widths = long[more], widths[more]
    return values, ends


def _integrate(values: Int64, starts: Int64, padding: Int64) -> _Runs:
    """Turn differences into run lengths.

    From the fourth run on, the encoding stores the difference to the run before the last one. So
    background and foreground are running sums; the first background run stands outside of them.
    """
    background, foreground = values[0::2].copy(), values[1::2].copy()
    first = background[starts]
    background[starts] = 0
    for deltas in (background, foreground):
        deltas[starts[1:]] -= np.add.reduceat(deltas, starts)[:-1]
        np.cumsum(deltas, out=deltas)
    background[starts] = first
    foreground[padding] = 0
    return _Runs(background, foreground, starts, padding)


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
    return str(encoded["counts"].decode("ascii"))


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
