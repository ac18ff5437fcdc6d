# SPDX-License-Identifier: Apache-2.0
"""Run-length encoded masks, as COCO and YouTube-VIS files hold them."""

from __future__ import annotations

from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt
from pycocotools import mask as mask_utils


class RLE(TypedDict):
    """A compressed mask: ``size`` is ``[height, width]``, ``counts`` the ASCII run lengths."""

    size: list[int]
    counts: str


def as_array(values: Any, dtype: npt.DTypeLike | None = None) -> npt.NDArray[Any]:
    """Return values as a numpy array; tensors of any device are accepted by duck typing.

    Args:
        values: Array, sequence, or anything with ``detach().cpu().numpy()``.
        dtype: Wanted data type; unchanged if None.

    Returns:
        The array, of the same shape.
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    return np.asarray(values, dtype=dtype)


def encode_masks(masks: Any) -> list[RLE]:
    """Encode binary masks.

    Args:
        masks: ``(n, H, W)`` booleans or integers (non-zero is foreground), array or tensor.

    Returns:
        n masks of size ``[H, W]``; ``counts`` is a string, ready for JSON.

    Raises:
        ValueError: If ``masks`` does not have three dimensions.
    """
    array = as_array(masks)
    if array.ndim != 3:
        raise ValueError(f"masks must have the shape (n, H, W), got {array.shape}")
    if len(array) == 0:
        return []
    columns = np.asfortranarray(array.transpose(1, 2, 0) != 0).view(np.uint8)
    encoded = mask_utils.encode(columns)
    return [
        RLE(size=[int(side) for side in mask["size"]], counts=mask["counts"].decode("ascii"))
        for mask in encoded
    ]


def decode_mask(rle: RLE) -> npt.NDArray[np.bool_]:
    """Return the ``(H, W)`` boolean mask of a compressed RLE."""
    decoded: npt.NDArray[np.bool_] = mask_utils.decode(dict(rle)).astype(bool)
    return decoded


def rle_area(rle: RLE) -> int:
    """Return the number of foreground pixels."""
    return int(mask_utils.area(dict(rle)))


def rle_to_box(rle: RLE) -> npt.NDArray[np.float32]:
    """Return the tight box ``(x1, y1, x2, y2)`` in pixels; zeros for an empty mask."""
    x, y, width, height = mask_utils.toBbox(dict(rle))
    return np.array([x, y, x + width, y + height], dtype=np.float32)


def run_lengths(counts: str) -> list[int]:
    """Return the run lengths of a compressed mask, background first.

    Args:
        counts: Groups of five bits with a continuation bit; from the third run on what is stored
            is the difference to the run before the last.

    Raises:
        ValueError: If a character does not belong there or the last run is cut off.
    """
    runs: list[int] = []
    value = shift = 0
    for character in counts:
        bits = ord(character) - 48
        if not 0 <= bits < 64:
            raise ValueError(f"{character!r} is no part of a compressed run-length encoding")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("the last run is cut off")
    return runs


def check_mask(rle: RLE) -> None:
    """Check a mask that comes from outside; pycocotools would read or return foreign memory.

    Raises:
        ValueError: If the runs do not fill the mask exactly.
    """
    runs = run_lengths(rle["counts"])
    pixels = rle["size"][0] * rle["size"][1]
    if sum(runs) != pixels or min(runs, default=0) < 0:
        raise ValueError(f"runs of {sum(runs)} pixels in a mask of {pixels}")
