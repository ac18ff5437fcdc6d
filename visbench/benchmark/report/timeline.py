# SPDX-License-Identifier: Apache-2.0
"""Which id is where over time: every annotated object followed through a method's tracks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np
import numpy.typing as npt
from pycocotools import mask as mask_utils
from scipy.optimize import linear_sum_assignment

from visbench.structures import Track, VideoTracks

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

MINIMUM_IOU = 0.5
"""IoU in a frame from which on a track is taken to be on an object."""


@dataclass(frozen=True)
class Segment:
    """Consecutive frames, ``first`` to ``last``, with the same id (None: seen by no track)."""

    first: int
    last: int
    id: int | None


@dataclass(frozen=True)
class Switch:
    """An object whose id is another one than when it was last followed."""

    frame: int
    before: int
    after: int


@dataclass(frozen=True)
class Lane:
    """One line of a timeline: an object, or an id that is on no object.

    Attributes:
        name: Class of the object or of the track.
        number: Number of the object, or the id.
        segments: In order of time.
        switches: In order of time.
    """

    name: str
    number: int
    segments: tuple[Segment, ...]
    switches: tuple[Switch, ...] = ()


@dataclass(frozen=True)
class Timeline:
    """The identities of one method in one video.

    Attributes:
        length: Number of frames.
        objects: One lane per annotated object, in file order.
        strays: One lane per id with frames on no object; only those frames are in it.
    """

    length: int
    objects: tuple[Lane, ...]
    strays: tuple[Lane, ...]

    @property
    def switches(self) -> int:
        """Number of identity switches."""
        return sum(len(lane.switches) for lane in self.objects)

    @property
    def missed(self) -> int:
        """Number of objects that no track is ever on."""
        return sum(all(part.id is None for part in lane.segments) for lane in self.objects)

    def switches_in(self, first: int, last: int) -> list[int]:
        """Return the frames from ``first`` to ``last`` with a switch, as often as there are."""
        frames = [switch.frame for lane in self.objects for switch in lane.switches]
        return sorted(frame for frame in frames if first <= frame <= last)


def make_timeline(
    found: VideoTracks, truth: VideoTracks, class_names: Sequence[str], threshold: float
) -> Timeline:
    """Follow the objects of a video through a method's tracks.

    Args:
        found: What the method found; a track counts under its best prediction.
        truth: The annotated objects.
        class_names: Name of every 0-based label.
        threshold: Predictions with a lower score are left out.
    """
    length = truth.video.length or 0
    best = best_predictions(found, threshold)
    tracks = [found.tracks[index] for index in best]
    ious = frame_ious(tracks, truth.tracks, length)
    owner = follow(ious)
    ids = np.array([track.id for track in tracks] + [0], np.int64)
    labels = best_predictions(truth)
    objects = [
        _object_lane(track, class_names[labels[g]], np.where(owner[:, g] < 0, -1, ids[owner[:, g]]))
        for g, track in enumerate(truth.tracks)
    ]
    used = np.zeros((length, len(tracks) + 1), np.bool_)
    used[np.arange(length)[:, None], owner] = True
    strays = [
        _stray_lane(track, class_names[best[index]], present(track) & ~used[:, d])
        for d, (index, track) in enumerate(zip(best, tracks, strict=True))
    ]
    return Timeline(length, tuple(objects), tuple(lane for lane in strays if lane.segments))


def best_predictions(result: VideoTracks, threshold: float = -np.inf) -> dict[int, int]:
    """Return the label of the best prediction of every track that has one, by track index."""
    best: dict[int, tuple[float, int]] = {}
    for prediction in result.predictions:
        candidate = (prediction.score, prediction.label)
        if prediction.score >= threshold:
            best[prediction.track_index] = max(
                best.get(prediction.track_index, candidate), candidate
            )
    return {index: label for index, (_, label) in sorted(best.items())}


def present(track: Track) -> npt.NDArray[np.bool_]:
    """Return ``(T,)``: the frames in which a track has a mask that is not empty, or a box."""
    if track.masks is not None:
        return np.array([_area(mask) > 0 for mask in track.masks], np.bool_)
    assert track.boxes is not None
    return np.array([not np.isnan(box).any() for box in track.boxes], np.bool_)


def _area(mask: object) -> int:
    return 0 if mask is None else int(mask_utils.area(mask))


def frame_ious(tracks: Sequence[Track], objects: Sequence[Track], length: int) -> Float64:
    """Return ``(T, D, G)`` IoU of D tracks and G objects in every frame, 0 where one is absent."""
    ious = np.zeros((length, len(tracks), len(objects)))
    there = [present(track) for track in tracks], [present(track) for track in objects]
    for frame in range(length):
        rows, columns = ([i for i, seen in enumerate(part) if seen[frame]] for part in there)
        if rows and columns:
            first = [_shape(tracks[row], frame) for row in rows]
            second = [_shape(objects[column], frame) for column in columns]
            ious[frame][np.ix_(rows, columns)] = mask_utils.iou(first, second, [0] * len(second))
    return ious


def _shape(track: Track, frame: int) -> object:
    if track.masks is not None:
        return track.masks[frame]
    assert track.boxes is not None
    x1, y1, x2, y2 = track.boxes[frame].astype(np.float64).tolist()
    return [x1, y1, x2 - x1, y2 - y1]


def follow(ious: Float64, minimum: float = MINIMUM_IOU) -> Int64:
    """Pair objects with tracks in every frame, as CLEAR MOT does (Bernardin & Stiefelhagen, 2008).

    A pair of the frame before stays while its IoU is at least ``minimum``; the others are paired
    one to one so that the sum of their IoUs is greatest.

    Args:
        ious: ``(T, D, G)``.
        minimum: Least IoU of a pair.

    Returns:
        ``(T, G)`` index of the track that is on each object, -1 for none.
    """
    length, tracks, objects = ious.shape
    owner = np.full((length, objects), -1, np.int64)
    last: Int64 = np.full(objects, -1, np.int64)
    for frame in range(length):
        now = np.where(ious[frame] >= minimum, ious[frame], 0.0)
        kept = [g for g in range(objects) if last[g] >= 0 and now[last[g], g] > 0]
        owner[frame, kept] = last[kept]
        free = np.setdiff1d(np.arange(tracks), last[kept])
        open_objects = np.setdiff1d(np.arange(objects), kept)
        rows, columns = linear_sum_assignment(now[np.ix_(free, open_objects)], maximize=True)
        for track, g in zip(free[rows], open_objects[columns], strict=True):
            if now[track, g] > 0:
                owner[frame, g] = track
        last = np.where(owner[frame] >= 0, owner[frame], last)
        # Two objects may remember the same track: who has it now keeps it.
        for g in np.flatnonzero(owner[frame] < 0):
            if last[g] in owner[frame]:
                last[g] = -1
    return owner


def _object_lane(track: Track, name: str, ids: Int64) -> Lane:
    there = present(track)
    segments = []
    frames = [frame for frame in range(len(ids)) if there[frame] or ids[frame] >= 0]
    for first, last, value in _runs(frames, ids):
        segments.append(Segment(first, last, None if value < 0 else value))
    seen = [part for part in segments if part.id is not None]
    switches = [
        Switch(after.first, before.id, after.id)
        for before, after in pairwise(seen)
        if before.id is not None and after.id is not None and before.id != after.id
    ]
    return Lane(name, track.id, tuple(segments), tuple(switches))


def _stray_lane(track: Track, name: str, there: npt.NDArray[np.bool_]) -> Lane:
    frames = np.flatnonzero(there).tolist()
    values = np.full(len(there), track.id, np.int64)
    return Lane(name, track.id, tuple(Segment(*run) for run in _runs(frames, values)))


def _runs(frames: Sequence[int], values: Int64) -> list[tuple[int, int, int]]:
    """Return first frame, last frame and value of every run of equal values without a gap."""
    numbered = enumerate(frames)
    parts = [
        [frame for _, frame in part]
        for _, part in groupby(numbered, key=lambda pair: (pair[1] - pair[0], values[pair[1]]))
    ]
    return [(part[0], part[-1], int(values[part[0]])) for part in parts]
