# SPDX-License-Identifier: Apache-2.0
"""Compressed masks that stay where they are in a longer text until one of them is asked for."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import numpy.typing as npt

__all__ = ["FrameStrings", "MaskTexts"]

Int64 = npt.NDArray[np.int64]

_NO_ASCII = re.compile(r"[^\x00-\x7f]")


@dataclass(frozen=True)
class MaskTexts:
    """The compressed run-length strings of n masks, one behind the other in a text.

    Attributes:
        text: Contains them, and at least one more byte behind each.
        starts: ``(n,)`` position of the first byte of each, ascending.
        stops: ``(n,)`` position behind the last byte of each.
        escapes: Positions of bytes that do not count: of two backslashes, which JSON writes for
            one, the second.
    """

    text: bytes
    starts: Int64
    stops: Int64
    escapes: Int64

    @classmethod
    def of(cls, strings: Sequence[str]) -> MaskTexts:
        """Put strings into a text; what is not ASCII becomes another invalid character."""
        joined = '"'.join([*strings, ""])
        if not joined.isascii():
            joined = _NO_ASCII.sub("!", joined)
        lengths = np.fromiter(map(len, strings), np.int64, len(strings))
        stops = np.cumsum(lengths + 1) - 1
        return cls(joined.encode("ascii"), stops - lengths, stops, np.zeros(0, np.int64))

    @classmethod
    def join(cls, parts: Sequence[MaskTexts]) -> MaskTexts:
        """Put masks together; parts of the same text must follow one another in its order."""
        filled = [part for part in parts if len(part)]
        pieces = [
            cls._join_same(list(group)) for _, group in groupby(filled, lambda part: id(part.text))
        ]
        if len(pieces) == 1:
            return pieces[0]
        starts, stops, escapes, shift = [], [], [np.zeros(0, np.int64)], 0
        for piece in pieces:
            starts.append(piece.starts + shift)
            stops.append(piece.stops + shift)
            escapes.append(piece.escapes + shift)
            shift += len(piece.text)
        text = b"".join(piece.text for piece in pieces)
        none = np.zeros((0,), np.int64)
        return cls(
            text,
            np.concatenate([none, *starts]),
            np.concatenate([none, *stops]),
            np.concatenate(escapes),
        )

    @classmethod
    def _join_same(cls, parts: Sequence[MaskTexts]) -> MaskTexts:
        """Join parts of one text, and cut off what is not needed of it."""
        starts = np.concatenate([part.starts for part in parts])
        stops = np.concatenate([part.stops for part in parts])
        first, last = int(starts[0]), int(stops[-1]) + 1
        escapes = parts[0].escapes
        escapes = escapes[np.searchsorted(escapes, first) : np.searchsorted(escapes, last)]
        text = parts[0].text[first:last]
        return cls(text, starts - first, stops - first, escapes - first)

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def length(self) -> int:
        """Number of bytes from the first mask to the last."""
        return int(self.stops[-1] - self.starts[0]) if len(self) else 0

    def part(self, first: int, stop: int) -> MaskTexts:
        """Return some of the masks."""
        return MaskTexts(self.text, self.starts[first:stop], self.stops[first:stop], self.escapes)

    def string(self, index: int) -> str:
        """Return one of the masks."""
        found = self.text[self.starts[index] : self.stops[index]]
        if len(self.escapes):
            found = found.replace(b"\\\\", b"\\")
        return found.decode("ascii", "replace")


class FrameStrings(Sequence["str | None"]):
    """One compressed string per frame, None where there is no mask.

    Args:
        texts: The strings.
        frames: Their frames, ascending.
        length: Number of frames.
    """

    __slots__ = ("frames", "length", "texts")

    def __init__(self, texts: MaskTexts, frames: Sequence[int], length: int) -> None:
        self.texts = texts
        self.frames = frames
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, frame: int) -> str | None:  # type: ignore[override]
        if not 0 <= frame < self.length:
            raise IndexError(frame)
        if len(self.frames) == self.length:
            return self.texts.string(frame)
        index = bisect_left(self.frames, frame)
        if index < len(self.frames) and self.frames[index] == frame:
            return self.texts.string(index)
        return None
