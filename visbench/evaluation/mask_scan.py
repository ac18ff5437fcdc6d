# SPDX-License-Identifier: Apache-2.0
"""Finds the masks of records in their text, so that the JSON parser need not see them.

Nearly all of a results file is masks that look like ``{"size": [720, 1280], "counts": "..."}``,
one behind the other. A run of them, with nulls between, is replaced by an empty object before a
record is parsed: the run is a valid part of a list, and so is the object, so the record is valid
JSON if and only if what is parsed is (a number would join with what stands behind it). Whatever
does not look exactly like that, or has a backslash that is not one of a pair, is left to the
parser. Characters of the strings are checked when the masks are measured.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from visbench.evaluation.mask_texts import MaskTexts
from visbench.evaluation.plain_masks import PlainMasks

__all__ = ["MaskRun", "MaskScan"]

Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]

_OPENING = re.compile(
    rb'\{\s*"size"\s*:\s*\[\s*([1-9]\d{0,9})\s*,\s*([1-9]\d{0,9})\s*\]\s*,\s*"counts"\s*:\s*"'
)
_FIELD = b'"segmentations"'
_LIST = re.compile(_FIELD + rb"\s*:\s*\[\s*(?:null\s*,\s*)*")
_CLOSING = b'"}'
_QUOTES = 5
_HEADER = 1 << 14
_QUOTE, _BACKSLASH, _BRACE = b'"\\}'
_NULL = b"null"
_STAND_IN = b"{}"


@dataclass(frozen=True)
class MaskRun:
    """Masks of one size, separated by commas and nulls.

    Attributes:
        begin: Position of the first brace.
        end: Position behind the last brace.
        size: Height and width.
        texts: The strings.
        frames: Positions of the masks in the list, the first one is 0.
    """

    begin: int
    end: int
    size: tuple[int, int]
    texts: MaskTexts
    frames: Int64


class MaskScan:
    """The masks in a text that begins with a record.

    Args:
        text: The text; it may end anywhere.
    """

    def __init__(self, text: bytes) -> None:
        self.text = text
        self._codes = np.frombuffer(text, np.uint8)
        marks = np.flatnonzero((self._codes == _QUOTE) | (self._codes == _BACKSLASH))
        quoted = self._codes[marks] == _QUOTE
        self._quotes = marks[quoted]
        slashes = marks[~quoted]
        if len(slashes) and slashes[-1] == len(text) - 1:
            slashes = slashes[:-1]
        pairs = len(slashes) // 2 * 2
        self._escapes = slashes[1::2]
        # With pairs only, no quote is escaped.
        self._plain = len(slashes) == pairs and bool(
            np.array_equal(slashes[:pairs:2] + 1, self._escapes)
        )
        self._runs: dict[bytes, dict[int, MaskRun]] = {}

    def run(self, start: int) -> MaskRun | None:
        """Return the first run of masks behind a position, if it is near."""
        if not self._plain:
            return None
        opening = _OPENING.search(self.text, start, start + _HEADER)
        if opening is None:
            return None
        prefix = opening[0]
        if prefix not in self._runs:
            size = int(opening[1]), int(opening[2])
            self._runs[prefix] = {run.begin: run for run in self._find(prefix, size)}
        return self._runs[prefix].get(opening.start())

    def _find(self, prefix: bytes, size: tuple[int, int]) -> list[MaskRun]:
        starts, stops = self._masks(prefix)
        if not len(starts):
            return []
        begins, ends = starts - len(prefix), stops + len(_CLOSING)
        separator = b", " if b"], " in prefix else b","
        nulls = self._nulls_between(ends[:-1], begins[1:], separator)
        firsts = np.concatenate(([0], np.flatnonzero(nulls < 0) + 1))
        places = np.concatenate(([0], np.cumsum(nulls + 1)))
        runs = []
        limits = zip(firsts.tolist(), [*firsts[1:].tolist(), len(starts)], strict=True)
        texts = MaskTexts(self.text, starts, stops, self._escapes)
        for first, stop in limits:
            frames = places[first:stop] - places[first]
            begin, end = int(begins[first]), int(ends[stop - 1])
            runs.append(MaskRun(begin, end, size, texts.part(first, stop), frames))
        return runs

    def _masks(self, prefix: bytes) -> tuple[Int64, Int64]:
        """Return where the strings of the masks with this text before them begin and end."""
        letters = np.frombuffer(prefix, np.uint8)
        offsets = np.flatnonzero(letters == _QUOTE)
        quotes = self._quotes
        if len(quotes) <= _QUOTES:
            return quotes[:0], quotes[:0]
        opening = quotes[_QUOTES - 1 : -1]
        found = np.flatnonzero(
            (opening - quotes[_QUOTES - 2 : -2] == offsets[-1] - offsets[-2])
            & (opening - quotes[:-_QUOTES] == offsets[-1] - offsets[0])
        )
        starts, stops = opening[found] + 1, quotes[found + _QUOTES]
        inside = (starts >= len(prefix)) & (stops + 1 < len(self._codes))
        starts, stops = starts[inside], stops[inside]
        rows = (starts - len(prefix))[:, None] + np.arange(len(prefix))
        same = (self._codes[rows] == letters).all(axis=1) & (self._codes[stops + 1] == _BRACE)
        return starts[same], stops[same]

    def _nulls_between(self, ends: Int64, begins: Int64, separator: bytes) -> Int64:
        """Return how many nulls stand between masks; -1 if anything else does."""
        nulls: Int64 = np.full(len(ends), -1, np.int64)
        gaps = begins - ends
        direct = gaps == len(separator)
        for offset, letter in enumerate(separator):
            at = np.where(direct, ends + offset, 0)
            direct &= self._codes[at] == letter
        nulls[direct] = 0
        step = len(_NULL) + len(separator)
        number = (gaps - len(separator)) // step
        possible = (number > 0) & (number * step + len(separator) == gaps)
        for index in np.flatnonzero(possible).tolist():
            count = int(number[index])
            expected = separator + (_NULL + separator) * count
            if self.text[ends[index] : begins[index]] == expected:
                nulls[index] = count
        return nulls

    def record(self, start: int, end: int, run: MaskRun) -> dict[str, Any] | None:
        """Parse a record, with :class:`PlainMasks` as ``segmentations``.

        Args:
            start: Where the record begins.
            end: Where it ends.
            run: A run of masks inside of it.

        Returns:
            The record; None if the run is not the whole of its masks, or it is no valid record.
        """
        head = self.text[start : run.begin]
        opening = head.find(_FIELD)
        if opening < 0 or _LIST.fullmatch(head, opening) is None:
            return None
        rest = self.text[run.end : end]
        if _FIELD in rest:
            return None
        try:
            record = orjson.loads(_STAND_IN.join((head, rest)))
        except orjson.JSONDecodeError:
            return None
        entries = record.get("segmentations")
        if type(entries) is not list or entries.count(None) != len(entries) - 1:
            return None
        frames = run.frames + entries.index({})
        length = len(entries) + int(run.frames[-1])
        record["segmentations"] = PlainMasks(run.size, length, frames, run.texts)
        return record
