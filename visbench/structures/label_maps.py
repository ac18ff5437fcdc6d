# SPDX-License-Identifier: Apache-2.0
"""Masks of several objects in one image of labels, as DAVIS stores and evaluates them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from visbench.structures.rle import RLE, decode_mask

Labels = npt.NDArray[np.uint8]


def voc_palette() -> Labels:
    """Return the colour map of PASCAL VOC and DAVIS: ``(256, 3)`` RGB, 0 to 255.

    The bits of a label, from the lowest, go in turns to red, green and blue, from the highest bit
    of the colour.
    """
    labels = np.arange(256)
    palette = np.zeros((256, 3), dtype=np.uint8)
    for bit in range(8):
        channel, place = bit % 3, 7 - bit // 3
        palette[:, channel] |= ((labels >> bit & 1) << place).astype(np.uint8)
    return palette


def label_maps(
    objects: Sequence[Sequence[RLE | None]], size: tuple[int, int], length: int
) -> Iterator[Labels]:
    """Yield the labels of every frame: 0 is background, i the i-th object.

    Args:
        objects: At most 255 objects, the best first, which wins where masks overlap. Each has
            one mask per frame, None where it is absent.
        size: ``(height, width)`` of the masks.
        length: Number of frames.

    Raises:
        ValueError: If there are too many objects or not as many masks as frames.
    """
    if len(objects) > 255:
        raise ValueError(f"{len(objects)} objects do not fit into labels of 8 bits")
    if any(len(masks) != length for masks in objects):
        raise ValueError(
            f"objects with {sorted({len(m) for m in objects})} masks in a video of {length} frames"
        )
    for frame in range(length):
        labels = np.zeros(size, dtype=np.uint8)
        for label in range(len(objects), 0, -1):
            mask = objects[label - 1][frame]
            if mask is not None:
                labels[decode_mask(mask)] = label
        yield labels


def write_label_maps(folder: Path, maps: Iterable[Labels], names: Sequence[str]) -> None:
    """Write one PNG with a palette per frame.

    Args:
        folder: Folder of the video; made if it is missing.
        maps: ``(H, W)`` labels by frame.
        names: File names of the frames without suffix.

    Raises:
        ValueError: If there are not as many maps as names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    palette = voc_palette().tobytes()
    for name, labels in zip(names, maps, strict=True):
        image = Image.fromarray(labels)
        image.putpalette(palette)
        partial = folder / f".{name}.png.partial"
        image.save(partial, format="PNG")
        os.replace(partial, folder / f"{name}.png")
