# SPDX-License-Identifier: Apache-2.0
"""Spatio-temporal IoU: intersection over union summed over all frames of two tracks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as mask_utils

from visbench.evaluation.tracks import BoxTrack, MaskTrack

__all__ = ["box_track_ious", "mask_track_ious"]

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]

_MAX_ELEMENTS = 2_000_000


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
    intersections = np.zeros((len(predictions), len(objects)), np.int64)
    if not intersections.size:
        return intersections.astype(np.float64)
    sums = _sums_over_common_frames(predictions, objects)
    length = min(max(len(t.rles) for t in predictions), max(len(t.rles) for t in objects))
    for frame in range(length):
        _add_frame(predictions, objects, frame, intersections, sums)
    unions = sums - intersections
    return np.divide(
        intersections, unions, out=np.zeros(unions.shape), where=unions > 0, dtype=np.float64
    )


def _sums_over_common_frames(
    predictions: Sequence[MaskTrack], objects: Sequence[MaskTrack]
) -> Int64:
    """Return ``(D, G)``: the areas of both tracks added up over the frames both lists have."""
    lengths = {len(track.rles) for track in (*predictions, *objects)}
    if len(lengths) == 1:
        first = np.array([track.areas.sum() for track in predictions], np.int64)
        second = np.array([track.areas.sum() for track in objects], np.int64)
        return np.add.outer(first, second)
    sums = np.zeros((len(predictions), len(objects)), np.int64)
    for row, prediction in enumerate(predictions):
        for column, track in enumerate(objects):
            common = min(len(prediction.rles), len(track.rles))
            sums[row, column] = prediction.areas[:common].sum() + track.areas[:common].sum()
    return sums


def _add_frame(
    predictions: Sequence[MaskTrack],
    objects: Sequence[MaskTrack],
    frame: int,
    intersections: Int64,
    sums: Int64,
) -> None:
    rows, masks, areas = _present(predictions, frame)
    columns, object_masks, object_areas = _present(objects, frame)
    if not rows or not columns:
        return
    total = np.add.outer(areas, object_areas)
    index = np.ix_(rows, columns)
    sizes = {tuple(mask["size"]) for mask in (*masks, *object_masks)}
    ious = np.asarray(mask_utils.iou(masks, object_masks, [0] * len(columns)))
    if len(sizes) > 1:
        other = np.array(
            [[mask["size"] != truth["size"] for truth in object_masks] for mask in masks]
        )
        ious = np.where(other, 0.0, ious)
        sums[index] -= np.where(other, total, 0)
    # iou = i / (total - i) solved for i; rounding makes it exact again.
    intersections[index] += np.rint(ious * total / (1.0 + ious)).astype(np.int64)


def _present(
    tracks: Sequence[MaskTrack], frame: int
) -> tuple[list[int], list[dict[str, Any]], Int64]:
    rows: list[int] = []
    masks: list[dict[str, Any]] = []
    for row, track in enumerate(tracks):
        mask = track.rles[frame] if frame < len(track.rles) else None
        if mask is not None:
            rows.append(row)
            masks.append(mask)
    return rows, masks, np.array([tracks[row].areas[frame] for row in rows], np.int64)


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
