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
        escapes: Positions of bytes that do not count: JSON writes two backslashes for one. If there
            are any, every backslash of the strings is written so.
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
        pieces = [piece.unescaped() for piece in pieces] or [cls.of([])]
        shifts = np.cumsum([0, *(len(piece.text) for piece in pieces[:-1])]).tolist()
        return cls(
            b"".join(piece.text for piece in pieces),
            np.concatenate([p.starts + shift for p, shift in zip(pieces, shifts, strict=True)]),
            np.concatenate([p.stops + shift for p, shift in zip(pieces, shifts, strict=True)]),
            pieces[0].escapes,
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

    def unescaped(self) -> MaskTexts:
        """Return the same masks in a text without escapes."""
        if not len(self.escapes):
            return self
        limits = zip([0, *(self.escapes + 1).tolist()], [*self.escapes.tolist(), None], strict=True)
        text = b"".join([self.text[start:stop] for start, stop in limits])
        starts = self.starts - np.searchsorted(self.escapes, self.starts)
        stops = self.stops - np.searchsorted(self.escapes, self.stops)
        return MaskTexts(text, starts, stops, self.escapes[:0])

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def length(self) -> int:
        """Number of bytes from the first mask to the last."""
        return int(self.stops[-1] - self.starts[0]) if len(self) else 0

    def part(self, first: int, stop: int) -> MaskTexts:
        """Return some of the masks."""
        return MaskTexts(self.text, self.starts[first:stop], self.stops[first:stop], self.escapes)

    def encoded(self, index: int) -> bytes:
        """Return one of the masks, unchecked."""
        found = self.text[self.starts[index] : self.stops[index]]
        if len(self.escapes) and b"\\" in found:
            return found.replace(b"\\\\", b"\\")
        return found

    def string(self, index: int) -> str:
        """Return one of the masks; what is not ASCII becomes another invalid character."""
        return self.encoded(index).decode("ascii", "replace")


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
        index = self._index(frame)
        return None if index is None else self.texts.string(index)

    def encoded(self, frame: int) -> bytes | None:
        """Return the string of a frame as bytes."""
        index = self._index(frame)
        return None if index is None else self.texts.encoded(index)

    def _index(self, frame: int) -> int | None:
        if len(self.frames) == self.length:
            return frame
        index = bisect_left(self.frames, frame)
        return index if index < len(self.frames) and self.frames[index] == frame else None
