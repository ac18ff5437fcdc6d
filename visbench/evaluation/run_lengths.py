# SPDX-License-Identifier: Apache-2.0
"""Run-length encoded masks: checked and measured in batches, without ever expanding a mask.

The C code of pycocotools trusts its input: runs that do not fill the image send its intersection
loop round for ever, and runs of length zero end it too early. So every mask is decoded to run
lengths here first (numpy, the masks of many tracks at once), checked, and measured on the way.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as mask_utils

from visbench.evaluation.mask_texts import MaskTexts

__all__ = [
    "MAX_PIXELS",
    "MaskError",
    "Measured",
    "compress_runs",
    "measure",
    "measure_extents",
    "rasterize_polygons",
    "read_runs",
]

MAX_PIXELS = 2**31 - 1
"""Largest image the 32-bit run lengths of the COCO encoding can hold safely."""

_MAX_CHARACTERS_PER_RUN = 7
_MAX_OUTLINE = 20_000_000
_POLYGON_UPSAMPLING = 5
_CONTINUED = 80
_ZERO = 48
_FILL = 33
_ESCAPED = 126
_INVALID = 255
_HIGHEST = bytes(c & 31 if _ZERO <= c < _CONTINUED else _INVALID for c in range(256))
_DROPPED = bytes([_FILL, _ESCAPED, *range(_CONTINUED, 112)])
_FOREIGN = re.compile(r"[^0-o]")
_OVERLONG = re.compile(r"[P-o]{7}")
_HALF = 1 << 31
_LOW = (1 << 32) - 1
_ALPHABET = "character outside the run-length alphabet ('0' to 'o')"

Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]


class MaskError(ValueError):
    """A mask that cannot be read; ``index`` is its position in the list that was given."""

    def __init__(self, index: int, problem: str) -> None:
        self.index = index
        self.problem = problem
        super().__init__(f"mask {index}: {problem}")


@dataclass(frozen=True)
class Measured:
    """What was found out about n masks.

    Attributes:
        areas: ``(n,)`` foreground pixels.
        first: ``(n,)`` no foreground pixel comes before this one, counted down the columns.
        stop: ``(n,)`` no foreground pixel is this one or a later one.
        merged: The masks that have zero-length runs, by position, with these merged away.
    """

    areas: Int64
    first: Int64
    stop: Int64
    merged: dict[int, str]


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
    found = measure_extents([MaskTexts.of(strings)], pixels)
    return found.areas, [found.merged.get(index, text) for index, text in enumerate(strings)]


def measure_extents(parts: Sequence[MaskTexts], pixels: Int64) -> Measured:
    """Check compressed masks, count their foreground pixels and find where these begin and end.

    Args:
        parts: n compressed masks.
        pixels: As in :func:`measure`.

    Raises:
        MaskError: A string is damaged or its runs do not add up to its number of pixels.
    """
    masks = MaskTexts.join(parts)
    if not len(masks):
        empty = np.zeros(0, np.int64)
        return Measured(empty, empty, empty, {})
    decoded = _decode(masks)
    if decoded is None:
        # Something is unusual about one of them: look at each alone.
        areas, first, stop = np.zeros((3, len(masks)), np.int64)
        found = Measured(areas, first, stop, {})
        doubtful: Bool = np.ones(len(masks), np.bool_)
    else:
        found, doubtful = _integrate(pixels, *decoded)
    if doubtful.any():
        strings = [text for part in parts for text in part.strings()]
        for index in np.flatnonzero(doubtful).tolist():
            _measure_one(found, index, strings[index], int(pixels[index]))
    return found


def _measure_one(found: Measured, index: int, text: str, pixels: int) -> None:
    """Measure a mask run by run and enter it, or raise the error that names what is wrong."""
    try:
        runs = read_runs(text, pixels)
        for run in runs:
            if run < 0:
                raise MaskError(index, f"negative run length {run}")
            if run > pixels:
                raise MaskError(index, f"run of {run} pixels, the image has {pixels}")
        if sum(runs) != pixels:
            raise MaskError(index, f"runs cover {sum(runs)} pixels, the image has {pixels}")
    except MaskError as error:
        raise MaskError(index, error.problem) from None
    found.areas[index] = sum(runs[1::2])
    found.first[index] = runs[0]
    found.stop[index] = pixels - (runs[-1] if len(runs) % 2 else 0)
    if 0 in runs[1:]:
        found.merged[index] = compress_runs(runs, pixels, 1)


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
    if ord(text[-1]) >= _CONTINUED:
        raise MaskError(0, "run-length string is cut off in the middle of a number")
    runs: list[int] = []
    value = shift = 0
    for code in text.encode("ascii"):
        value |= ((code - 48) & 31) << shift
        shift += 5
        if code < _CONTINUED:
            value -= (value >> (shift - 1)) << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    return runs


def _integrate(pixels: Int64, words: Int64, starts: Int64, odd: Bool) -> tuple[Measured, Bool]:
    """Turn differences into run lengths; also tell which masks are damaged or have empty runs.

    Two runs, background and foreground, share a word. That is exact as long as no run is negative
    or above 31 bits: the first one that is shows as a negative half.
    """
    last = np.append(starts[1:], len(words)) - 1
    first = ((words[starts] + _HALF) & _LOW) - _HALF
    # From the fourth run on, the encoding stores the difference to the run before the last one;
    # so both halves are running sums, only the first background run stands outside of them.
    words[starts] -= first
    words[starts[1:]] -= np.add.reduceat(words, starts)[:-1]
    np.cumsum(words, out=words)
    words[starts] += first
    added = last[odd]
    words[added] &= _LOW
    totals = np.add.reduceat(words, starts)
    areas = totals >> 32
    stop = pixels.copy()
    stop[odd] -= words[added]
    doubtful = (totals & _LOW) + areas != pixels
    # Zeros that belong: the half that fills up an odd number of runs, and an empty first run.
    words[added] += 1 << 32
    words[starts[first == 0]] += 1
    halves = words.view(np.int32)
    if halves.min() <= 0:
        doubtful |= np.minimum.reduceat(halves, 2 * starts) <= 0
    rows = last - starts + 1
    highest = int(halves.max())
    if int(rows.max()) * highest > _LOW:
        doubtful |= rows * highest > _LOW
    return Measured(areas, first, stop, {}), doubtful


def _decode(masks: MaskTexts) -> tuple[Int64, Int64, Bool] | None:
    """Read the numbers of all masks.

    Returns:
        Words of two numbers each (lower half: background, upper half: foreground), the first word
        of each mask, and whether a mask has an odd number of runs (then a zero is added). None if
        there is a wrong character, a string without end, or a number of more than six characters.
    """
    isolated = _isolate(masks)
    if isolated is None:
        return None
    codes, escapes = isolated
    starts, stops = masks.starts, masks.stops
    lengths = stops - starts
    if lengths.min() <= 0 or codes[stops - 1].max() >= _CONTINUED:
        return None
    continued = np.flatnonzero(codes >= _CONTINUED)
    counts = np.searchsorted(continued, stops)
    extra = np.diff(counts, prepend=0)
    runs = lengths - extra
    odd = runs % 2 == 1
    codes[stops[odd]] = _ZERO
    rows = (runs + 1) // 2
    # The last characters of all numbers, which hold their highest bits.
    kept = np.frombuffer(codes.tobytes().translate(_HIGHEST, _DROPPED), np.uint8)
    if len(kept) != 2 * rows.sum() or kept.max() == _INVALID:
        return None
    words = kept.astype(np.int32).view(np.int64)
    words -= 16 + (16 << 32)
    first = np.cumsum(rows) - rows
    # How far a number moves, but for the continued characters of its mask before it.
    moved = np.repeat(2 * first - starts + counts - extra, extra)
    complete = _lengthen(words, codes, continued, moved, escapes)
    return (words, first, odd) if complete else None


def _isolate(masks: MaskTexts) -> tuple[npt.NDArray[np.uint8], Int64] | None:
    """Return the text with all overwritten that is not masks, and the escapes in these.

    Escapes are replaced by a mark that looks like one more continued character. None if there is
    such a mark already.
    """
    codes = np.frombuffer(masks.text, np.uint8).copy()
    stops, starts = masks.stops[:-1], masks.starts[1:]
    gaps = starts - stops
    if len(gaps):
        # An item of this view is as long as most gaps, so that a gap is filled at once; with one
        # at its end as well, few gaps are left.
        usual = int(np.median(gaps))
        items = len(codes) - usual + 1
        windows: npt.NDArray[Any] = np.ndarray((items,), f"V{usual}", codes, strides=(1,))
        filled = gaps >= usual
        windows[stops[filled]] = windows[starts[filled] - usual] = np.void(bytes([_FILL]) * usual)
        left = (gaps > 2 * usual) | ~filled
        limits = zip(stops[left].tolist(), starts[left].tolist(), strict=True)
        for begin, end in limits:
            codes[begin:end] = _FILL
    codes[masks.stops[-1]] = _FILL
    if (codes == _ESCAPED).any():
        return None
    escapes = masks.escapes[codes[masks.escapes] != _FILL]
    codes[escapes] = _ESCAPED
    return codes, escapes


def _lengthen(
    words: Int64, codes: npt.NDArray[np.uint8], continued: Int64, moved: Int64, escapes: Int64
) -> bool:
    """Complete the numbers of more than one character; False if one has more than six.

    Args:
        words: Changed in place; they hold the last characters, which are the highest bits.
        codes: All characters.
        continued: Positions of the characters that are not the last of their number.
        moved: For each of them, what to add to the position of its number to find it in the
            halves of the words, if no character of its mask were continued.
        escapes: Positions of the characters that do not count.
    """
    if not len(continued):
        return True
    first = np.empty(len(continued), np.bool_)
    first[0] = True
    # Characters of the same number stand side by side, those of two numbers never do.
    np.not_equal(continued[1:], continued[:-1] + 1, out=first[1:])
    groups = np.flatnonzero(first)
    widths = np.diff(groups, append=len(continued))
    begins = continued[groups]
    ends = begins + widths
    highest = (codes[ends] & 31).astype(np.int64) - 16
    if len(escapes):
        np.subtract.at(widths, np.searchsorted(begins, escapes) - 1, 1)
    if widths.max() > 5:
        return False
    ends -= 1
    values = highest * 32 + _lower_digits(codes, ends)
    active = np.flatnonzero(widths > 1)
    ends, widths = ends[active], widths[active]
    while len(active):
        ends -= 1
        values[active] = values[active] * 32 + _lower_digits(codes, ends)
        widths -= 1
        if widths.min() == 1:
            longer = np.flatnonzero(widths > 1)
            active, ends, widths = active[longer], ends[longer], widths[longer]
    values -= highest
    places = begins - groups + moved[groups]
    # A word may get both of its halves here, so no plain addition at these indices.
    np.add.at(words, places >> 1, values << (32 * (places & 1)))
    return True


def _lower_digits(codes: npt.NDArray[np.uint8], places: Int64) -> npt.NDArray[np.uint8]:
    """Return the digits at some places; a place that is an escape moves to the one before."""
    digits = codes[places]
    escaped = np.flatnonzero(digits == _ESCAPED)
    if len(escaped):
        places[escaped] -= 1
        digits[escaped] = codes[places[escaped]]
    digits ^= 16
    digits &= 31
    return digits


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
