# SPDX-License-Identifier: Apache-2.0
"""Tracks of one video and the predictions a method makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from visbench.structures.rle import RLE
from visbench.structures.video import VideoInfo


@dataclass
class Track:
    """One object through a video. Invariant: every sequence has one entry per frame.

    Args:
        id: Track id, stable over the video.
        masks: T masks at original size, None where the object is absent; None as a whole for a
            method without masks.
        boxes: ``(T, 4)`` xyxy in original pixels, NaN where absent; None if unknown.
        frame_scores: ``(T,)`` scores, NaN where absent.
    """

    id: int
    masks: list[RLE | None] | None
    boxes: npt.NDArray[np.float32] | None
    frame_scores: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        length = len(self.frame_scores)
        for name, value in (("masks", self.masks), ("boxes", self.boxes)):
            if value is not None and len(value) != length:
                raise ValueError(f"track {self.id}: {len(value)} {name}, but {length} frame scores")

    def __len__(self) -> int:
        return len(self.frame_scores)


class Prediction(NamedTuple):
    """One entry of the results: a track under one class. Several may share a track."""

    track_index: int
    label: int
    score: float


@dataclass
class VideoTracks:
    """The result of one video: its tracks and what the method predicts of them.

    Args:
        video: The video; its length is known by now.
        tracks: Tracks of equal length.
        predictions: Which track is reported under which 0-based label with which score. The
            method decides them (threshold, top k, several classes per track).

    Raises:
        ValueError: If a prediction names a track that does not exist, a score is not finite or
            tracks differ in length.
    """

    video: VideoInfo
    tracks: list[Track] = field(default_factory=list)
    predictions: list[Prediction] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.predictions = [Prediction(*prediction) for prediction in self.predictions]
        where = f"video {self.video.video_id} ({self.video.name})"
        for prediction in self.predictions:
            if not 0 <= prediction.track_index < len(self.tracks):
                raise ValueError(
                    f"{where}: {prediction} names a track outside 0..{len(self.tracks) - 1}"
                )
            if not np.isfinite(prediction.score):
                raise ValueError(f"{where}: the score of {prediction} is not finite")
        lengths = {len(track) for track in self.tracks}
        if self.video.length is not None:
            lengths.add(self.video.length)
        if len(lengths) > 1:
            raise ValueError(f"{where}: tracks of different lengths {sorted(lengths)}")

    def to_results(self, category_ids: Sequence[int]) -> list[dict[str, Any]]:
        """Return the entries of a ``results.json``.

        Args:
            category_ids: The data set's category id of every 0-based label.

        Returns:
            One dictionary per prediction with ``video_id``, ``category_id``, ``score`` and either
            ``segmentations`` (RLE or None per frame) or ``bboxes`` (``[x, y, w, h]`` or None).

        Raises:
            ValueError: If a label has no category id.
        """
        highest = max((prediction.label for prediction in self.predictions), default=-1)
        if highest >= len(category_ids):
            raise ValueError(
                f"video {self.video.name}: label {highest} has no category id, there are "
                f"{len(category_ids)}; model and data must have the same classes"
            )
        return [self._to_result(prediction, category_ids) for prediction in self.predictions]

    def _to_result(self, prediction: Prediction, category_ids: Sequence[int]) -> dict[str, Any]:
        track = self.tracks[prediction.track_index]
        result: dict[str, Any] = {
            "video_id": self.video.video_id,
            "category_id": int(category_ids[prediction.label]),
            "score": float(prediction.score),
        }
        if track.masks is not None:
            result["segmentations"] = list(track.masks)
        elif track.boxes is not None:
            result["bboxes"] = [_xywh(box) for box in track.boxes]
        return result

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary; :meth:`from_dict` is its inverse."""
        return {
            "video": vars(self.video).copy(),
            "tracks": [
                {
                    "id": track.id,
                    "masks": track.masks,
                    "boxes": None if track.boxes is None else _without_nan(track.boxes),
                    "frame_scores": _without_nan(track.frame_scores[:, None]),
                }
                for track in self.tracks
            ],
            "predictions": [list(prediction) for prediction in self.predictions],
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> VideoTracks:
        """Rebuild what :meth:`to_dict` wrote."""
        tracks = [
            Track(
                id=int(track["id"]),
                masks=track["masks"],
                boxes=None if track["boxes"] is None else _with_nan(track["boxes"], 4),
                frame_scores=_with_nan(track["frame_scores"], 1)[:, 0],
            )
            for track in values["tracks"]
        ]
        predictions = [
            Prediction(int(i), int(label), score) for i, label, score in values["predictions"]
        ]
        return cls(VideoInfo(**values["video"]), tracks, predictions)


def _xywh(box: npt.NDArray[np.float32]) -> list[float] | None:
    if np.isnan(box).any():
        return None
    x1, y1, x2, y2 = (float(side) for side in box)
    return [x1, y1, x2 - x1, y2 - y1]


def _without_nan(rows: npt.NDArray[np.float32]) -> list[list[float] | None]:
    return [None if np.isnan(row).any() else [float(value) for value in row] for row in rows]


def _with_nan(rows: list[list[float] | None], width: int) -> npt.NDArray[np.float32]:
    filled = [[np.nan] * width if row is None else row for row in rows]
    return np.array(filled, dtype=np.float32).reshape(len(rows), width)
