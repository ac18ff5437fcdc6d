# SPDX-License-Identifier: Apache-2.0
"""Masks of several objects in one image of labels, as DAVIS stores and evaluates them."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from visbench.files import replacing, write_file
from visbench.structures.instances import FrameInstances
from visbench.structures.rle import RLE, decode_mask, encode_masks

Labels = npt.NDArray[np.unsignedinteger[Any]]

_PALETTE_END = 255


def voc_palette() -> npt.NDArray[np.uint8]:
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


def paint_labels(
    masks: Sequence[RLE | None], labels: Sequence[int], size: tuple[int, int]
) -> npt.NDArray[np.uint16]:
    """Return one image of labels; 0 is background.

    Args:
        masks: The best first, which wins where masks overlap; None is absent.
        labels: Label of each mask, 1 to 65535.
        size: ``(height, width)`` of the masks.
    """
    image = np.zeros(size, dtype=np.uint16)
    for mask, label in zip(reversed(masks), reversed(labels), strict=True):
        if mask is not None:
            image[decode_mask(mask)] = label
    return image


def separate_masks(instances: FrameInstances, size: tuple[int, int]) -> dict[int, RLE]:
    """Return masks that do not overlap: a pixel belongs to the instance with the highest score.

    Args:
        instances: The instances of a frame, with masks.
        size: ``(height, width)`` of the masks.

    Returns:
        Mask by row, in the order of rows; rows of which nothing is left are missing.
    """
    assert instances.masks is not None
    order = np.argsort(-instances.scores, kind="stable").tolist()
    masks = [instances.masks[row] for row in order]
    image = paint_labels(masks, [row + 1 for row in order], size)
    rows = [row for row in range(len(order)) if (image == row + 1).any()]
    shown = np.stack([image == row + 1 for row in rows]) if rows else np.zeros((0, *size), bool)
    return dict(zip(rows, encode_masks(shown), strict=True))


def label_maps(
    objects: Sequence[Sequence[RLE | None]], size: tuple[int, int], length: int
) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield the labels of every frame: 0 is background, i the i-th object.

    Args:
        objects: At most 255 objects, the best first, which wins where masks overlap. Each has
            one mask per frame, None where it is absent.
        size: ``(height, width)`` of the masks.
        length: Number of frames.

    Raises:
        ValueError: If there are too many objects or not as many masks as frames.
    """
    if len(objects) > _PALETTE_END:
        raise ValueError(f"{len(objects)} objects do not fit into labels of 8 bits")
    if any(len(masks) != length for masks in objects):
        raise ValueError(
            f"objects with {sorted({len(m) for m in objects})} masks in a video of {length} frames"
        )
    labels = range(1, len(objects) + 1)
    for frame in range(length):
        image = paint_labels([masks[frame] for masks in objects], labels, size)
        yield image.astype(np.uint8)


LEGEND = "labels.json"
"""File beside the folders of an export of several videos: what their labels are."""


def images_of_earlier_export(images: Iterable[Path], folders: Container[Path]) -> list[Path]:
    """Return images that a new export takes the place of, so that nobody reads a mixture.

    Args:
        images: The images that are there.
        folders: Those that an earlier export filled.

    Raises:
        ValueError: If an image is in none of these folders.
    """
    found = sorted(images)
    for path in found:
        if path.parent not in folders:
            raise ValueError(
                f"{path.parent} holds {path.name}, which is not of an earlier run; give a folder "
                "of its own"
            )
    return found


def earlier_label_maps(folder: Path) -> list[Path]:
    """Return the images that an earlier :func:`begin_label_maps` announced.

    Raises:
        ValueError: If there are others.
    """
    try:
        videos = json.loads((folder / LEGEND).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        videos = {}
    names = videos if isinstance(videos, dict) else {}
    return images_of_earlier_export(folder.rglob("*.png"), {folder / name for name in names})


def begin_label_maps(folder: Path, legend: Mapping[str, Any]) -> None:
    """Make a folder ready for the label maps of several videos and write ``labels.json``.

    Label maps of an earlier export are removed, with their folders where nothing else is in them.

    Args:
        folder: The folder; made if it is missing.
        legend: What the labels mean, by the name of a video's folder.

    Raises:
        ValueError: If it holds other images.
    """
    for path in earlier_label_maps(folder):
        path.unlink()
        if not any(path.parent.iterdir()):
            path.parent.rmdir()
    folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / LEGEND, json.dumps(legend, indent=2) + "\n")


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
    for name, labels in zip(names, maps, strict=True):
        write_label_map(folder / f"{name}.png", labels)


def write_label_map(path: Path, labels: Labels) -> None:
    """Write an image of labels; the file appears under its name only when it is complete.

    Args:
        path: The PNG. It has the palette of DAVIS; where a label is above 255, at which palettes
            end, it is a grey image of 16 bits.
        labels: ``(H, W)``, 0 to 65535.
    """
    if labels.max(initial=0) <= _PALETTE_END:
        image = Image.fromarray(labels.astype(np.uint8))
        image.putpalette(voc_palette().tobytes())
    else:
        image = Image.fromarray(labels.astype(np.uint16))
    with replacing(path) as partial:
        image.save(partial, format="PNG")


def read_label_map(path: Path) -> Labels:
    """Return the ``(H, W)`` labels of a palette or grey image of 8 or 16 bits.

    Raises:
        ValueError: If the file is missing, damaged or holds colours.
    """
    try:
        with Image.open(path) as image:
            if image.mode not in ("P", "L", "1") and not image.mode.startswith("I"):
                raise ValueError(f"it is a {image.mode} image, pixels must be labels")
            pixels = np.asarray(image)
            return pixels.astype(np.uint16 if image.mode.startswith("I") else np.uint8)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(
            f"{path} cannot be read ({error}); a palette or grey PNG is needed"
        ) from error
