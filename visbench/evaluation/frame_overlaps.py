# SPDX-License-Identifier: Apache-2.0
"""Overlaps of predicted and annotated masks frame by frame, kept after the masks are dropped.

HOTA, the error analysis and the identity oracle need to know where in a video a prediction lies on
an object. A few numbers per predicted mask are enough for that: its area and its intersection with
every object of the video.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as mask_utils

from visbench.evaluation.annotations import Annotations, GroundTruthTrack
from visbench.evaluation.average_precision import CLASS_AGNOSTIC
from visbench.evaluation.results import Prediction
from visbench.evaluation.tracks import MaskTrack

__all__ = ["FrameOverlaps", "Overlaps", "frame_intersections"]

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Overlaps:
    """D predictions and G objects of one video with T frames; an empty mask counts as absent.

    Attributes:
        video_id: The video.
        result_index: ``(D,)`` positions in the results.
        scores: ``(D,)``.
        categories: ``(D,)`` category ids (those of the pool in class-agnostic mode).
        areas: ``(T, D)`` pixels of the predicted masks, 0 where there is none.
        gt_ids: ``(G,)`` annotation ids, in file order.
        gt_categories: ``(G,)`` category ids, as for predictions.
        gt_crowd: ``(G,)`` whether an object is a crowd.
        gt_areas: ``(T, G)`` pixels of the annotated masks, 0 where there is none.
        intersections: ``(T, D, G)`` common pixels.
    """

    video_id: int
    result_index: Int64
    scores: Float64
    categories: Int64
    areas: Int64
    gt_ids: Int64
    gt_categories: Int64
    gt_crowd: Bool
    gt_areas: Int64
    intersections: Int64

    @property
    def frame_ious(self) -> Float64:
        """``(T, D, G)`` intersection over union in each frame, 0 where both are absent."""
        unions = self.areas[:, :, None] + self.gt_areas[:, None] - self.intersections
        return _ratio(self.intersections, unions)

    @property
    def track_ious(self) -> Float64:
        """``(D, G)`` spatio-temporal IoU."""
        common = self.intersections.sum(axis=0)
        sums = np.add.outer(self.areas.sum(axis=0), self.gt_areas.sum(axis=0))
        return _ratio(common, sums - common)

    def select(self, predictions: npt.NDArray[Any], objects: npt.NDArray[Any]) -> Overlaps:
        """Return some of the predictions and objects, by boolean mask or by index."""
        return replace(
            self,
            result_index=self.result_index[predictions],
            scores=self.scores[predictions],
            categories=self.categories[predictions],
            areas=self.areas[:, predictions],
            gt_ids=self.gt_ids[objects],
            gt_categories=self.gt_categories[objects],
            gt_crowd=self.gt_crowd[objects],
            gt_areas=self.gt_areas[:, objects],
            intersections=self.intersections[:, predictions][:, :, objects],
        )

    def pooled(self) -> Overlaps:
        """Return the same with a single category."""
        return replace(
            self,
            categories=np.full_like(self.categories, CLASS_AGNOSTIC),
            gt_categories=np.full_like(self.gt_categories, CLASS_AGNOSTIC),
        )

    def of_category(self, category_id: int) -> Overlaps:
        """Return the predictions and objects of one category."""
        return self.select(self.categories == category_id, self.gt_categories == category_id)


def _ratio(first: Int64, second: Int64) -> Float64:
    return np.divide(first, second, out=np.zeros(second.shape), where=second > 0, dtype=np.float64)


@dataclass(frozen=True)
class _Record:
    """One prediction: ``areas`` is ``(T,)``, ``intersections`` ``(T, G)`` with all objects."""

    index: int
    category_id: int
    score: float
    areas: Int32
    intersections: Int32


class FrameOverlaps:
    """Collects the overlaps of all videos.

    Memory is 4 bytes for every predicted mask and for every pair of a predicted mask and an
    object of its video.

    Args:
        annotations: The annotation file, loaded with masks.
    """

    def __init__(self, annotations: Annotations) -> None:
        self.annotations = annotations
        self._records: dict[int, list[_Record]] = {}

    def add(self, predictions: Sequence[Prediction]) -> None:
        """Compare some predictions of one video with all of its objects.

        Args:
            predictions: Predictions with masks, all of the same video.
        """
        if not predictions:
            return
        video_id = predictions[0].video_id
        length = self.annotations.videos[video_id].length
        tracks = [prediction.masks for prediction in predictions if prediction.masks is not None]
        truth = [track.masks for track in self._objects(video_id) if track.masks is not None]
        common = frame_intersections(tracks, truth, length).astype(np.int32)
        records = self._records.setdefault(video_id, [])
        for d, (prediction, track) in enumerate(zip(predictions, tracks, strict=True)):
            areas = _fit(track.areas, length).astype(np.int32)
            # A copy, so that a record does not keep the array of the whole batch alive.
            part = np.ascontiguousarray(common[:, d])
            key = prediction.index, prediction.category_id, prediction.score
            records.append(_Record(*key, areas, part))

    def _objects(self, video_id: int) -> list[GroundTruthTrack]:
        return self.annotations.tracks_by_video.get(video_id, [])

    def video(self, video_id: int) -> Overlaps:
        """Return the overlaps of one video.

        Args:
            video_id: The video; it may have neither predictions nor objects.

        Returns:
            All predictions by descending score (ties by category, then by position in the
            results), and all objects in file order.
        """
        records = sorted(
            self._records.get(video_id, ()), key=lambda r: (-r.score, r.category_id, r.index)
        )
        objects = self._objects(video_id)
        length = self.annotations.videos[video_id].length
        shape = length, len(records), len(objects)
        found = [record.category_id for record in records]
        known = [track.category_id for track in objects]
        truth = [_fit(t.masks.areas, length) for t in objects if t.masks is not None]
        common = [record.intersections for record in records]
        return Overlaps(
            video_id=video_id,
            result_index=np.array([record.index for record in records], np.int64),
            scores=np.array([record.score for record in records], np.float64),
            categories=np.array(found, np.int64),
            areas=_columns([record.areas for record in records], length),
            gt_ids=np.array([track.id for track in objects], np.int64),
            gt_categories=np.array(known, np.int64),
            gt_crowd=np.array([track.is_crowd for track in objects], np.bool_),
            gt_areas=_columns(truth, length),
            intersections=np.stack(common, axis=1).astype(np.int64)
            if common
            else np.zeros(shape, np.int64),
        )


def _columns(parts: Sequence[npt.NDArray[Any]], length: int) -> Int64:
    if not parts:
        return np.zeros((length, 0), np.int64)
    return np.stack(parts, axis=1).astype(np.int64)


def _fit(areas: Int64, length: int) -> Int64:
    """Return the areas for exactly ``length`` frames (``official_bugs`` accepts other lengths)."""
    fitted = np.zeros(length, np.int64)
    fitted[: len(areas)] = areas[:length]
    return fitted


def frame_intersections(
    predictions: Sequence[MaskTrack], objects: Sequence[MaskTrack], length: int
) -> Int64:
    """Count the common pixels of predictions and objects in every frame.

    Args:
        predictions: D tracks.
        objects: G tracks.
        length: Number of frames T; masks of later frames are not looked at.

    Returns:
        ``(T, D, G)`` pixels; 0 where one of the two is absent, or the sizes differ.
    """
    common = np.zeros((length, len(predictions), len(objects)), np.int64)
    for frame in range(length):
        rows, columns = _present(predictions, frame), _present(objects, frame)
        if not len(rows) or not len(columns):
            continue
        near = _meet(_spans(predictions, rows, frame), _spans(objects, columns, frame))
        rows, columns = rows[near.any(axis=1)], columns[near.any(axis=0)]
        if len(rows):
            common[frame][np.ix_(rows, columns)] = _intersect(
                [predictions[row] for row in rows], [objects[column] for column in columns], frame
            )
    return common


def _present(tracks: Sequence[MaskTrack], frame: int) -> Int64:
    found = [
        index
        for index, track in enumerate(tracks)
        if frame < len(track.areas) and track.areas[frame] > 0
    ]
    return np.array(found, np.int64)


def _spans(tracks: Sequence[MaskTrack], which: Int64, frame: int) -> Int64:
    return np.array([tracks[index].spans[:, frame] for index in which], np.int64)


def _meet(first: Int64, second: Int64) -> Bool:
    """Return which masks may have a pixel in common (a cheap first test)."""
    meeting: Bool = (first[:, None, 0] < second[:, 1]) & (second[:, 0] < first[:, None, 1])
    return meeting


def _intersect(predictions: Sequence[MaskTrack], objects: Sequence[MaskTrack], frame: int) -> Int64:
    masks, truth = _encoded(predictions, frame), _encoded(objects, frame)
    ious = np.asarray(mask_utils.iou(masks, truth, [0] * len(truth)))
    if len({tuple(mask["size"]) for mask in (*masks, *truth)}) > 1:
        other = [[mask["size"] != g["size"] for g in truth] for mask in masks]
        ious = np.where(np.array(other), 0.0, ious)
    # iou = i / (total - i) solved for i; rounding makes it exact again.
    total = np.add.outer(
        [int(track.areas[frame]) for track in predictions],
        [int(track.areas[frame]) for track in objects],
    )
    common: Int64 = np.rint(ious * total / (1.0 + ious)).astype(np.int64)
    return common


def _encoded(tracks: Sequence[MaskTrack], frame: int) -> list[dict[str, Any]]:
    return [{"size": track.size(frame), "counts": track.counts.encoded[frame]} for track in tracks]
