# SPDX-License-Identifier: Apache-2.0
"""Binary masks as packed bits: a mask costs its bounding box at one bit per pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from visbench.structures.rle import as_array

__all__ = ["WORD", "MaskSequence", "PackedMask", "count_bits", "grown_boxes", "pack_masks"]

WORD = 64
"""Pixels of a row that share a machine word."""

Words = npt.NDArray[np.uint64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False, slots=True)
class PackedMask:
    """A binary mask, exactly, in about one bit per pixel of its box.

    Args:
        words: ``(columns, rows)``; bit b of entry ``(c, r)`` is the pixel in row ``box[1] + r``
            and column ``64 * (box[0] // 64 + c) + b``. No entries for an empty mask.
        box: Tight ``(x1, y1, x2, y2)`` in pixels, ends exclusive; zeros for an empty mask.
        area: Number of foreground pixels.
        size: ``(height, width)`` of the mask in pixels.
    """

    words: Words
    box: tuple[int, int, int, int]
    area: int
    size: tuple[int, int]

    def unpack(self) -> npt.NDArray[np.bool_]:
        """Return the mask as ``(height, width)`` booleans."""
        height, width = self.size
        mask = np.zeros((height, -(-width // WORD) * WORD), dtype=np.bool_)
        if self.area:
            x1, y1, _, y2 = self.box
            rows = np.ascontiguousarray(self.words.T).view(np.uint8)
            bits = np.unpackbits(rows, axis=1, bitorder="little")
            start = x1 // WORD * WORD
            mask[y1:y2, start : start + bits.shape[1]] = bits
        return np.ascontiguousarray(mask[:, :width])


MaskSequence = list[PackedMask]
"""The masks of one object, one per frame."""


def pack_masks(masks: Any) -> list[PackedMask]:
    """Pack binary masks.

    Args:
        masks: ``(n, H, W)`` booleans or integers (non-zero is foreground), array or tensor.

    Returns:
        n packed masks.

    Raises:
        ValueError: If ``masks`` does not have three dimensions.
    """
    array = _masks(masks)
    height, width = array.shape[1:]
    bits = np.packbits(array, axis=-1, bitorder="little")
    padded = np.zeros((len(array), height, -(-width // WORD) * (WORD // 8)), dtype=np.uint8)
    padded[..., : bits.shape[-1]] = bits
    words = padded.view("<u8")
    return [_crop(mask, (height, width)) for mask in words]


def _masks(masks: Any) -> npt.NDArray[np.bool_]:
    array = as_array(masks)
    if array.ndim != 3:
        raise ValueError(f"masks must have the shape (n, H, W), got {array.shape}")
    return array.astype(np.bool_, copy=False)


def _crop(words: Words, size: tuple[int, int]) -> PackedMask:
    rows = np.flatnonzero(words.any(axis=1))
    if not len(rows):
        return PackedMask(np.zeros((0, 0), dtype=np.uint64), (0, 0, 0, 0), 0, size)
    y1, y2 = int(rows[0]), int(rows[-1]) + 1
    occupied = np.bitwise_or.reduce(words[y1:y2], axis=0)
    columns = np.flatnonzero(np.unpackbits(occupied.view(np.uint8), bitorder="little"))
    x1, x2 = int(columns[0]), int(columns[-1]) + 1
    cropped = words[y1:y2, x1 // WORD : -(-x2 // WORD)].T.copy()
    return PackedMask(cropped, (x1, y1, x2, y2), int(count_bits(cropped).sum()), size)


def _count_by_table(words: Words) -> npt.NDArray[np.uint8]:
    counts: npt.NDArray[np.uint8] = _BITS[words.view(np.uint16)]
    return counts.reshape(*words.shape, WORD // 16).sum(axis=-1, dtype=np.uint8)


_BITS = np.unpackbits(np.arange(1 << 16, dtype=np.uint16)[:, None].view(np.uint8), axis=1).sum(
    axis=1, dtype=np.uint8
)
# Comes with numpy 2.0.
count_bits = getattr(np, "bitwise_count", _count_by_table)
"""Number of one bits of every word, as 8-bit integers."""


def grown_boxes(masks: Any) -> Integers:
    """Return the boxes in which masks are classified: tight bounds, grown by a pixel per side.

    Args:
        masks: ``(n, H, W)`` booleans or integers (non-zero is foreground), array or tensor.

    Returns:
        ``(n, 4)`` xyxy in pixels with inclusive ends, clipped to the canvas. An empty mask gets
        the whole canvas, as in the reference.

    Raises:
        ValueError: If ``masks`` does not have three dimensions.
    """
    array = _masks(masks)
    height, width = array.shape[1:]
    x1, x2 = _bounds(array.any(axis=1))
    y1, y2 = _bounds(array.any(axis=2))
    grown = np.stack([x1 - 1, y1 - 1, x2 + 1, y2 + 1], axis=1)
    return np.clip(grown, 0, np.array([width, height, width, height], dtype=np.int64) - 1)


def _bounds(occupied: Any) -> tuple[Integers, Integers]:
    """Return the first and last true entry of every row; the ends of a row without any."""
    first = occupied.argmax(axis=1)
    last = occupied.shape[1] - 1 - occupied[:, ::-1].argmax(axis=1)
    return first, last
