# SPDX-License-Identifier: Apache-2.0
"""The masks of a record without an object for each of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from visbench.evaluation.mask_texts import FrameStrings, MaskTexts

__all__ = ["PlainMasks", "simplify"]

Int64 = npt.NDArray[np.int64]

_NONE = type(None)


@dataclass(frozen=True)
class PlainMasks:
    """The masks of a record, all of one size.

    Attributes:
        size: Height and width in pixels.
        length: Number of entries, one per frame.
        frames: Those that are no null.
        texts: Their compressed strings, unchecked.
    """

    size: tuple[int, int]
    length: int
    frames: Int64
    texts: MaskTexts

    @property
    def pixels(self) -> int:
        """Height times width."""
        return self.size[0] * self.size[1]

    def as_json(self) -> list[dict[str, Any] | None]:
        """Return what the JSON parser would have returned."""
        return [
            None if counts is None else {"size": [*self.size], "counts": counts}
            for counts in FrameStrings(self.texts.encoded, self.frames, self.length)
        ]


def simplify(entries: Any) -> PlainMasks | None:
    """Return the field ``segmentations`` without an object per mask.

    Args:
        entries: What the JSON parser returned for it.

    Returns:
        The masks; None unless all are null or compressed strings of the same size.
    """
    if type(entries) is not list or not {*map(type, entries)} <= {dict, _NONE}:
        return None
    try:
        counts = [mask["counts"] if mask else None for mask in entries]
        sizes = [mask["size"] for mask in entries if mask]
    except KeyError:
        return None
    if not sizes or type(sizes[0]) is not list or {*map(type, sizes[0])} != {int}:
        return None
    if len(sizes[0]) != 2 or min(sizes[0]) < 1 or not {*map(type, counts)} <= {str, _NONE}:
        return None
    if len(sizes) + counts.count(None) != len(counts):
        return None
    # A list is equal to nothing but lists; arrays would not give a truth value here.
    if {*map(type, sizes)} != {list} or sizes.count(sizes[0]) != len(sizes):
        return None
    frames = [frame for frame, text in enumerate(counts) if text is not None]
    texts = MaskTexts.of([text for text in counts if text is not None])
    return PlainMasks((sizes[0][0], sizes[0][1]), len(counts), np.array(frames, np.int64), texts)
