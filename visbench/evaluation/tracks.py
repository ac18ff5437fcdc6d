# SPDX-License-Identifier: Apache-2.0
"""Mask and box sequences as the evaluation holds them: checked, compressed, measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from visbench.evaluation.errors import InputError
from visbench.evaluation.fields import Fields, shorten
from visbench.evaluation.run_lengths import (
    MAX_PIXELS,
    MaskError,
    compress_runs,
    measure,
    rasterize_polygons,
)

__all__ = ["BoxTrack", "MaskTrack", "mean_area", "read_boxes", "read_masks"]

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class MaskTrack:
    """The masks of one object or prediction.

    Attributes:
        rles: T compressed masks in the form that pycocotools takes; None where there is none.
        areas: ``(T,)`` foreground pixels, 0 where there is no mask.
    """

    rles: list[dict[str, Any] | None]
    areas: Int64

    @property
    def mean_area(self) -> float:
        """Mean area in pixels over the frames where the mask is not empty; 0 if there are none."""
        return mean_area(self.areas)


@dataclass(frozen=True)
class BoxTrack:
    """The boxes of one object or prediction.

    Attributes:
        boxes: ``(T, 4)`` left, top, width, height in pixels; zeros where there is no box.
    """

    boxes: Float64

    @property
    def mean_area(self) -> float:
        """Mean area over the frames where the box is not empty; 0 if there are none."""
        return mean_area(self.boxes[:, 2] * self.boxes[:, 3])


def mean_area(areas: npt.ArrayLike) -> float:
    """Return the mean of the areas that are not 0, or 0 if there are none."""
    values = np.asarray(areas)
    values = values[values != 0]
    return float(values.mean()) if len(values) else 0.0


def read_masks(
    fields: Fields,
    size: tuple[int, int],
    *,
    any_size: bool = False,
    polygons: bool = False,
) -> MaskTrack:
    """Read the field ``segmentations`` of a record.

    Args:
        fields: The record.
        size: Height and width of the video.
        any_size: Accept masks of another size (the official evaluator does).
        polygons: Accept lists of polygons (ground truth only).

    Returns:
        The masks; ``null``, ``{}`` and ``[]`` count as absent.

    Raises:
        InputError: A mask is malformed, has another size, or does not fill its image.
    """
    entries = fields.list("segmentations", "one mask or null per frame is expected")
    masks: dict[int, dict[str, Any]] = {}
    for frame, mask in enumerate(entries):
        if mask is None or (isinstance(mask, (list, dict)) and not mask):
            continue
        # Nearly every mask is fine as it is: no copy for those.
        if _is_plain(mask, size):
            masks[frame] = mask
            continue
        try:
            masks[frame] = _read_mask(mask, size, any_size, polygons)
        except MaskError as error:
            raise fields.error(f"segmentations[{frame}]", error.problem, _REMEDY) from None
    try:
        return _measure_track(len(entries), masks)
    except MaskError as error:
        field = f"segmentations[{list(masks)[error.index]}]"
        raise fields.error(field, error.problem, _REMEDY) from None


def _is_plain(mask: Any, size: tuple[int, int]) -> bool:
    """Tell whether a mask is a compressed string of the video's size."""
    if type(mask) is not dict or type(mask.get("counts")) is not str:
        return False
    sides = mask.get("size")
    return (
        type(sides) is list
        and len(sides) == 2
        and type(sides[0]) is int
        and type(sides[1]) is int
        and sides[0] == size[0]
        and sides[1] == size[1]
    )


def _measure_track(length: int, masks: dict[int, dict[str, Any]]) -> MaskTrack:
    strings = [mask["counts"] for mask in masks.values()]
    sizes = [mask["size"] for mask in masks.values()]
    pixels = np.array([height * width for height, width in sizes], np.int64)
    measured, merged = measure(strings, pixels)
    rles: list[dict[str, Any] | None] = [None] * length
    for (frame, mask), counts in zip(masks.items(), merged, strict=True):
        rles[frame] = mask if counts is mask["counts"] else {**mask, "counts": counts}
    areas = np.zeros(length, np.int64)
    areas[list(masks)] = measured
    return MaskTrack(rles, areas)


_REMEDY = "Write masks with pycocotools.mask.encode at the size of the original frame"


def _read_mask(entry: Any, size: tuple[int, int], any_size: bool, polygons: bool) -> dict[str, Any]:
    if isinstance(entry, list):
        if not polygons:
            raise MaskError(0, "polygons are not accepted in results")
        return {"size": list(size), "counts": rasterize_polygons(entry, *size)}
    if not isinstance(entry, Mapping):
        raise MaskError(0, f"must be null or an RLE object, found {shorten(entry)}")
    height, width = _mask_size(entry.get("size"))
    if (height, width) != size and not any_size:
        raise MaskError(
            0, f"size {[height, width]} is not the video's [height, width] {list(size)}"
        )
    counts = entry.get("counts")
    if isinstance(counts, bytes):
        # What is not ASCII becomes a character outside of the alphabet and is reported as such.
        counts = counts.decode("ascii", "replace")
    elif isinstance(counts, (list, tuple, np.ndarray)):
        counts = compress_runs(counts, height, width)
    elif not isinstance(counts, str):
        raise MaskError(0, f"'counts' must be a string or a list, found {shorten(counts)}")
    return {"size": [height, width], "counts": counts}


def _mask_size(size: Any) -> tuple[int, int]:
    sides = list(size) if isinstance(size, (list, tuple, np.ndarray)) else []
    if len(sides) != 2 or not all(_is_length(side) for side in sides):
        raise MaskError(0, f"'size' must be [height, width], found {size!r:.60}")
    height, width = int(sides[0]), int(sides[1])
    if height * width > MAX_PIXELS:
        raise MaskError(0, f"size {[height, width]} is larger than any image")
    return height, width


def _is_length(side: Any) -> bool:
    return isinstance(side, (int, np.integer)) and not isinstance(side, bool) and int(side) > 0


def read_boxes(fields: Fields) -> BoxTrack:
    """Read the field ``bboxes`` of a record: ``[x, y, width, height]`` or null per frame.

    Raises:
        InputError: A box is malformed, not finite, or has a negative side.
    """
    entries = fields.list("bboxes", "one box or null per frame is expected")
    boxes = np.zeros((len(entries), 4))
    for frame, entry in enumerate(entries):
        if entry is None or (isinstance(entry, (list, tuple)) and not entry):
            continue
        boxes[frame] = _read_box(fields, frame, entry)
    return BoxTrack(boxes)


def _read_box(fields: Fields, frame: int, entry: Any) -> Float64:
    try:
        box = np.asarray(entry, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        box = np.full(0, np.nan)
    if box.shape != (4,) or not np.isfinite(box).all() or box[2] < 0 or box[3] < 0:
        raise _box_error(fields, frame, entry)
    return box


def _box_error(fields: Fields, frame: int, entry: Any) -> InputError:
    return fields.error(
        f"bboxes[{frame}]",
        f"must be null or four finite numbers [x, y, width, height], found {entry!r:.80}",
        "Width and height must not be negative",
    )
