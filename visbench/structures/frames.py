# SPDX-License-Identifier: Apache-2.0
"""One video seen frame by frame, and frames joined to the tracks of a video."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from visbench.structures.instances import FrameInstances
from visbench.structures.recorder import TrackRecorder
from visbench.structures.rle import RLE, rle_to_box
from visbench.structures.tracks import Prediction, Track, VideoTracks
from visbench.structures.video import VideoInfo


def instances_at(result: VideoTracks, index: int) -> FrameInstances:
    """Return what a finished video shows at one frame.

    Every track that is predicted at all appears under its best prediction, with the score of that
    prediction.

    Args:
        result: The result of a video.
        index: Frame, 0-based.

    Examples:
        >>> frames = [FrameInstances([7], [1], [0.5], [[0, 0, 4, 4]])]
        >>> result = frames_to_tracks(VideoInfo(0, "clip", 8, 8), frames)
        >>> instances_at(result, 0)
        FrameInstances(ids=[7], labels=[1])
    """
    best = _best_predictions(result)
    shown = [
        (track, mask, box, *best[number])
        for number, track in enumerate(result.tracks)
        if number in best and (found := _at(track, index)) is not None
        for mask, box in [found]
    ]
    with_masks = all(track.masks is not None for track in result.tracks)
    return FrameInstances(
        ids=[track.id for track, *_ in shown],
        labels=[label for *_, label in shown],
        scores=[score for *_, score, _ in shown],
        boxes=[box for _, _, box, *_ in shown],
        masks=[mask for _, mask, *_ in shown if mask is not None] if with_masks else None,
    )


def tracks_to_frames(result: VideoTracks) -> Iterator[FrameInstances]:
    """Yield what a finished video shows at each of its frames; see :func:`instances_at`.

    Args:
        result: The result of a video of known length.

    Raises:
        ValueError: If neither the video nor a track says how long it is.

    Examples:
        >>> frames = [FrameInstances([7], [1], [0.5], [[0, 0, 4, 4]]), FrameInstances.empty(False)]
        >>> result = frames_to_tracks(VideoInfo(0, "clip", 8, 8), frames)
        >>> [instances.ids.tolist() for instances in tracks_to_frames(result)]
        [[7], []]
    """
    for index in range(num_frames(result)):
        yield instances_at(result, index)


def frames_to_tracks(video: VideoInfo, frames: Iterable[FrameInstances]) -> VideoTracks:
    """Join the instances of all frames to tracks by their ids.

    Every track is predicted once: with the mean of its scores, under its most frequent label (the
    smallest on ties).

    Args:
        video: The video; its length becomes the number of frames.
        frames: The instances of frame 0, 1, 2, ...

    Returns:
        Tracks in the order of their first appearance.

    Raises:
        ValueError: If some instances have masks and others have none.

    Examples:
        >>> frames = [FrameInstances([7], [1], [0.5]), FrameInstances([7], [1], [1.0])]
        >>> frames_to_tracks(VideoInfo(0, "clip", 8, 8), frames).predictions
        [Prediction(track_index=0, label=1, score=0.75)]
    """
    recorder = TrackRecorder()
    for index, instances in enumerate(frames):
        recorder.add(index, instances)
    predictions = [
        Prediction(number, recorder.majority_label(track_id), recorder.mean_score(track_id))
        for number, track_id in enumerate(recorder.ids)
    ]
    return VideoTracks(replace(video, length=recorder.num_frames), recorder.tracks(), predictions)


def num_frames(result: VideoTracks) -> int:
    """Return the length of a finished video.

    Raises:
        ValueError: If neither the video nor a track says it.
    """
    if result.video.length is not None:
        return result.video.length
    if result.tracks:
        return len(result.tracks[0])
    raise ValueError(f"the length of video {result.video.name} is unknown; set its 'length'")


def _best_predictions(result: VideoTracks) -> dict[int, tuple[float, int]]:
    best: dict[int, tuple[float, int]] = {}
    for prediction in result.predictions:
        candidate = (prediction.score, prediction.label)
        best[prediction.track_index] = max(best.get(prediction.track_index, candidate), candidate)
    return best


def _at(track: Track, index: int) -> tuple[RLE | None, npt.NDArray[np.float32]] | None:
    """Return mask and box of a track at a frame, or None where it is absent."""
    mask = None if track.masks is None else track.masks[index]
    if mask is None and (track.masks is not None or track.boxes is None):
        return None
    if track.boxes is not None and not np.isnan(track.boxes[index]).any():
        return mask, track.boxes[index]
    return None if mask is None else (mask, rle_to_box(mask))
