# SPDX-License-Identifier: Apache-2.0
"""Compressed masks that stay where they are in a longer text until one of them is asked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
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
        escapes: Positions of bytes that do not count: JSON writes two backslashes for one.
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
        pieces = pieces or [cls.of([])]
        shifts = np.cumsum([0, *(len(piece.text) for piece in pieces[:-1])]).tolist()
        starts, stops, escapes = zip(
            *(piece._shifted(shift) for piece, shift in zip(pieces, shifts, strict=True)),
            strict=True,
        )
        return cls(
            b"".join(piece.text for piece in pieces),
            np.concatenate(starts),
            np.concatenate(stops),
            np.concatenate(escapes),
        )

    @classmethod
    def _join_same(cls, parts: Sequence[MaskTexts]) -> MaskTexts:
        """Join parts of one text, and cut off what is before and behind them."""
        starts = np.concatenate([part.starts for part in parts])
        stops = np.concatenate([part.stops for part in parts])
        first, last = int(starts[0]), int(stops[-1]) + 1
        escapes = parts[0].escapes
        escapes = escapes[np.searchsorted(escapes, first) : np.searchsorted(escapes, last)]
        found = cls(parts[0].text[first:last], starts, stops, escapes)
        return cls(found.text, *found._shifted(-first))

    def _shifted(self, by: int) -> tuple[Int64, Int64, Int64]:
        return self.starts + by, self.stops + by, self.escapes + by

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def length(self) -> int:
        """Number of bytes from the first mask to the last."""
        return int(self.stops[-1] - self.starts[0]) if len(self) else 0

    def part(self, first: int, stop: int) -> MaskTexts:
        """Return some of the masks."""
        return MaskTexts(self.text, self.starts[first:stop], self.stops[first:stop], self.escapes)

    def encoded(self) -> list[bytes]:
        """Return all masks, unchecked."""
        if not len(self):
            return []
        masks = self._join_same([self])._unescaped() if len(self.escapes) else self
        text = masks.text
        limits = zip(masks.starts.tolist(), masks.stops.tolist(), strict=True)
        return [text[start:stop] for start, stop in limits]

    def _unescaped(self) -> MaskTexts:
        keep = np.ones(len(self.text), np.bool_)
        keep[self.escapes] = False
        text = np.frombuffer(self.text, np.uint8)[keep].tobytes()
        starts, stops = (x - np.searchsorted(self.escapes, x) for x in (self.starts, self.stops))
        return MaskTexts(text, starts, stops, self.escapes[:0])

    def strings(self) -> list[str]:
        """Return all masks; what is not ASCII becomes another invalid character."""
        return [text.decode("ascii", "replace") for text in self.encoded()]


class FrameStrings(Sequence["str | None"]):
    """One compressed string per frame, None where there is no mask.

    Args:
        encode: Returns the strings; called when one is asked for the first time.
        frames: Their frames, ascending.
        length: Number of frames.
    """

    __slots__ = ("_encode", "_strings", "frames", "length")

    def __init__(self, encode: Callable[[], list[bytes]], frames: Int64, length: int) -> None:
        self._encode: Callable[[], list[bytes]] | None = encode
        self.frames = frames
        self.length = length
        self._strings: list[bytes | None] | None = None

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, frame: int) -> str | None:  # type: ignore[override]
        found = self.encoded[frame]
        return None if found is None else found.decode("ascii", "replace")

    @property
    def encoded(self) -> list[bytes | None]:
        """The strings as bytes."""
        if self._strings is None:
            assert self._encode is not None
            strings: list[bytes | None] = [*self._encode()]
            if len(strings) != self.length:
                found, strings = strings, [None] * self.length
                for frame, text in zip(self.frames.tolist(), found, strict=True):
                    strings[frame] = text
            self._strings = strings
            self._encode = None
        return self._strings
