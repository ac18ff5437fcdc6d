# SPDX-License-Identifier: Apache-2.0
"""Mask and box sequences as the evaluation holds them: checked, compressed, measured."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from visbench.evaluation.errors import InputError
from visbench.evaluation.fields import Fields
from visbench.evaluation.mask_texts import FrameStrings

__all__ = [
    "BoxTrack",
    "MaskTrack",
    "mean_area",
    "read_boxes",
]

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class MaskTrack:
    """The masks of one object or prediction.

    Attributes:
        counts: T compressed strings; None where there is no mask.
        frames: The frames with a mask.
        sizes: Height and width of all masks, or a list of T sizes where they differ.
        areas: ``(T,)`` foreground pixels, 0 where there is no mask.
        spans: ``(2, T)`` pixels, counted down the columns: no foreground comes before the first
            one, and none is the second or a later one.
        mean_area: Mean area in pixels over the frames where the mask is not empty; 0 if there are
            none.
    """

    counts: FrameStrings
    frames: Int64
    sizes: tuple[int, int] | list[tuple[int, int] | None]
    areas: Int64
    spans: Int64
    mean_area: float

    @cached_property
    def rles(self) -> list[dict[str, Any] | None]:
        """The masks in the form that pycocotools takes; None where there is none."""
        return [self.rle(frame) for frame in range(len(self.counts))]

    def size(self, frame: int) -> tuple[int, int] | None:
        """Return height and width of the mask in a frame; None without a mask."""
        if not isinstance(self.sizes, tuple):
            return self.sizes[frame]
        return None if self.counts[frame] is None else self.sizes

    def rle(self, frame: int) -> dict[str, Any] | None:
        """Return the mask in a frame in the form that pycocotools takes; None without a mask."""
        size, counts = self.size(frame), self.counts[frame]
        if size is None or counts is None:
            return None
        return {"size": [*size], "counts": counts}


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
    number = np.count_nonzero(values)
    return float(values[values != 0].mean()) if number else 0.0


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
