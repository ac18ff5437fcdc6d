# SPDX-License-Identifier: Apache-2.0
"""Spatio-temporal IoU: intersection over union summed over all frames of two tracks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as mask_utils

from visbench.evaluation.tracks import BoxTrack, MaskTrack

__all__ = ["box_track_ious", "mask_track_ious"]

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]

_MAX_ELEMENTS = 2_000_000
_MAX_TABLE = 4_096


def mask_track_ious(predictions: Sequence[MaskTrack], objects: Sequence[MaskTrack]) -> Float64:
    """Return the IoU of every prediction with every object.

    IoU is the intersection summed over frames divided by the union summed over frames (0 without
    any pixel). Tracks of different length are compared over the shorter one, and a frame where
    both have a mask but of different size counts for nothing: what the official evaluator does,
    and reached with ``official_bugs`` only.

    Args:
        predictions: D tracks.
        objects: G tracks.

    Returns:
        ``(D, G)`` in [0, 1].
    """
    shape = len(predictions), len(objects)
    if not predictions or not objects:
        return np.zeros(shape)
    length = min(max(len(t.counts) for t in predictions), max(len(t.counts) for t in objects))
    first, second = _Stacked.of(predictions, length), _Stacked.of(objects, length)
    sums = _sums_over_common_frames(predictions, objects)
    meeting = first.meets(second)
    other = _other_size(predictions, objects, first.present, second.present)
    if other is not None:
        frames, rows, columns = np.nonzero(other)
        lost = first.areas[frames, rows] + second.areas[frames, columns]
        np.subtract.at(sums, (rows, columns), lost)
        meeting &= ~other
    intersections = np.zeros(shape, np.int64)
    step = max(1, math.isqrt(_MAX_TABLE // (shape[0] * shape[1])))
    for start in range(0, length, step):
        part = slice(start, start + step)
        areas = first.areas[part], second.areas[part]
        _add_frames(predictions, objects, start, meeting[part], areas, intersections)
    unions = sums - intersections
    ious: Float64 = np.zeros(shape)
    np.divide(intersections, unions, out=ious, where=unions > 0)
    return ious


@dataclass(frozen=True)
class _Stacked:
    """Tracks side by side, ``(T, N)`` each: whether there is a mask, its area and its span."""

    present: Bool
    areas: Int64
    first: Int64
    stop: Int64

    @classmethod
    def of(cls, tracks: Sequence[MaskTrack], length: int) -> _Stacked:
        """Stack tracks, cut or filled up to a length."""
        table = np.zeros((4, length, len(tracks)), np.int64)
        for column, track in enumerate(tracks):
            common = min(length, len(track.counts))
            table[0, track.frames[track.frames < length], column] = 1
            table[1, :common, column] = track.areas[:common]
            table[2:, :common, column] = track.spans[:, :common]
        return cls(table[0] > 0, table[1], table[2], table[3])

    def meets(self, other: _Stacked) -> Bool:
        """Return ``(T, N, M)``: which masks may have a pixel in common (a cheap first test)."""
        filled = (self.areas > 0)[:, :, None] & (other.areas > 0)[:, None]
        before = self.first[:, :, None] < other.stop[:, None]
        behind = other.first[:, None] < self.stop[:, :, None]
        return np.asarray(filled & before & behind, np.bool_)


def _sums_over_common_frames(
    predictions: Sequence[MaskTrack], objects: Sequence[MaskTrack]
) -> Int64:
    """Return ``(D, G)``: the areas of both tracks added up over the frames both lists have."""
    lengths = {len(track.counts) for track in (*predictions, *objects)}
    if len(lengths) == 1:
        first = np.array([track.areas.sum() for track in predictions], np.int64)
        second = np.array([track.areas.sum() for track in objects], np.int64)
        return np.add.outer(first, second)
    sums = np.zeros((len(predictions), len(objects)), np.int64)
    for row, prediction in enumerate(predictions):
        for column, track in enumerate(objects):
            common = min(len(prediction.counts), len(track.counts))
            sums[row, column] = prediction.areas[:common].sum() + track.areas[:common].sum()
    return sums


def _other_size(
    predictions: Sequence[MaskTrack], objects: Sequence[MaskTrack], first: Bool, second: Bool
) -> Bool | None:
    """Return ``(T, D, G)``: where both have a mask but of different size; None if nowhere."""
    tracks = (*predictions, *objects)
    if all(track.sizes == tracks[0].sizes and type(track.sizes) is tuple for track in tracks):
        return None
    other = first[:, :, None] & second[:, None]
    for frame, row, column in np.argwhere(other).tolist():
        other[frame, row, column] = predictions[row].size(frame) != objects[column].size(frame)
    return other if other.any() else None


def _add_frames(
    predictions: Sequence[MaskTrack],
    objects: Sequence[MaskTrack],
    start: int,
    meeting: Bool,
    areas: tuple[Int64, Int64],
    intersections: Int64,
) -> None:
    """Add the intersections in some frames.

    Args:
        predictions: D tracks.
        objects: G tracks.
        start: The first of F frames.
        meeting: ``(F, D, G)`` the masks to compare.
        areas: ``(F, D)`` and ``(F, G)`` areas of the masks.
        intersections: ``(D, G)`` in pixels, changed in place.
    """
    frames, rows = np.nonzero(meeting.any(axis=2))
    if not len(frames):
        return
    other_frames, columns = np.nonzero(meeting.any(axis=1))
    compared = meeting[frames[:, None], rows[:, None], columns[None]]
    compared &= frames[:, None] == other_frames[None]
    ious = np.asarray(
        mask_utils.iou(
            _tagged(predictions, rows, frames, start, len(meeting)),
            _tagged(objects, columns, other_frames, start, len(meeting)),
            [0] * len(columns),
        )
    )
    left, right = np.nonzero(compared)
    found = ious[left, right]
    one, two = rows[left], columns[right]
    total = areas[0][frames, rows][left] + areas[1][other_frames, columns][right]
    # iou = i / (total - i) solved for i; rounding makes it exact again.
    pixels = np.rint(found * total / (1.0 + found)).astype(np.int64)
    np.add.at(intersections, (one, two), pixels)


def _tagged(
    tracks: Sequence[MaskTrack], which: Int64, frames: Int64, start: int, number: int
) -> list[dict[str, Any]]:
    """Return masks with the frame mixed into the width.

    So masks of several frames go into one call, and those of different frames or sizes count as
    incomparable and cost nothing. The width has no part in the intersection.
    """
    masks = []
    indices = which.tolist()
    used = {index: (tracks[index].counts.encoded, tracks[index].sizes) for index in {*indices}}
    for index, frame in zip(indices, frames.tolist(), strict=True):
        strings, size = used[index]
        height, width = (size if type(size) is tuple else size[start + frame]) or (0, 0)
        size_and_frame = [height, width * number + frame]
        masks.append({"size": size_and_frame, "counts": strings[start + frame]})
    return masks


def box_track_ious(predictions: Sequence[BoxTrack], objects: Sequence[BoxTrack]) -> Float64:
    """Return the IoU of every prediction with every object from continuous boxes.

    Frames that only one of two lists has count as absent in the other.

    Args:
        predictions: D tracks.
        objects: G tracks.

    Returns:
        ``(D, G)`` in [0, 1]; 0 where both tracks are empty.
    """
    if not predictions or not objects:
        return np.zeros((len(predictions), len(objects)))
    length = max(len(track.boxes) for track in (*predictions, *objects))
    truth = _stack(objects, length)
    step = max(1, _MAX_ELEMENTS // max(1, length * len(objects)))
    parts = [
        _box_block(_stack(predictions[start : start + step], length), truth)
        for start in range(0, len(predictions), step)
    ]
    return np.concatenate(parts)


def _stack(tracks: Sequence[BoxTrack], length: int) -> Float64:
    boxes = np.zeros((length, len(tracks), 4))
    for column, track in enumerate(tracks):
        boxes[: len(track.boxes), column] = track.boxes
    return boxes


def _box_block(first: Float64, second: Float64) -> Float64:
    """Return IoUs of ``(T, D, 4)`` and ``(T, G, 4)`` boxes."""
    a, b = first[:, :, None], second[:, None]
    sides = np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:]) - np.maximum(
        a[..., :2], b[..., :2]
    )
    sides = np.maximum(sides, 0.0)
    inter = sides[..., 0] * sides[..., 1]
    union = a[..., 2] * a[..., 3] + b[..., 2] * b[..., 3] - inter
    # Running sums add frame by frame, so that the last bits do not depend on the batch.
    total_inter = np.cumsum(inter, axis=0)[-1] if len(inter) else np.zeros(inter.shape[1:])
    total_union = np.cumsum(union, axis=0)[-1] if len(union) else np.zeros(inter.shape[1:])
    return np.divide(
        total_inter, total_union, out=np.zeros(total_union.shape), where=total_union > 0
    )
