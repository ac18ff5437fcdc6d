# SPDX-License-Identifier: Apache-2.0
"""Areas and extents of masks, checked and measured in batches, without ever expanding a mask.

The C code of pycocotools trusts its input: runs that do not fill the image send its intersection
loop round for ever, and runs of length zero end it too early. So every mask is decoded to run
lengths here first (numpy, the masks of many tracks at once), checked, and measured on the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from visbench.evaluation.mask_texts import MaskTexts
from visbench.evaluation.run_lengths import (
    CONTINUED,
    Int64,
    MaskError,
    compress_runs,
    read_runs,
)

__all__ = ["Measured", "measure", "measure_extents"]

_ZERO = 48
_FILL = 33
_ESCAPED = 126
_INVALID = 255
_HIGHEST = bytes(c & 31 if _ZERO <= c < CONTINUED else _INVALID for c in range(256))
_DROPPED = bytes([_FILL, _ESCAPED, *range(CONTINUED, 112)])
_HALF = 1 << 31
_LOW = (1 << 32) - 1

Bool = npt.NDArray[np.bool_]


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
    if lengths.min() <= 0 or codes[stops - 1].max() >= CONTINUED:
        return None
    continued = np.flatnonzero(codes >= CONTINUED)
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
