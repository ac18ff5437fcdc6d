# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from visbench.structures import (
    FrameInstances,
    Prediction,
    Track,
    VideoInfo,
    VideoTracks,
    encode_masks,
    frames_to_tracks,
    instances_at,
    num_frames,
    tracks_to_frames,
)

VIDEO = VideoInfo(3, "clip", 4, 6)


def test_frames_become_tracks_and_frames_again() -> None:
    masks = encode_masks(np.random.default_rng(0).integers(0, 2, (3, 4, 6)))
    frames = [
        FrameInstances([9, 2], [1, 0], [0.5, 1.0], None, masks[:2]),
        FrameInstances.empty(),
        FrameInstances([9], [1], [0.25], None, masks[2:]),
    ]
    result = frames_to_tracks(VIDEO, frames)
    assert result.video == VideoInfo(3, "clip", 4, 6, 3)
    assert [track.id for track in result.tracks] == [9, 2]
    assert result.predictions == [Prediction(0, 1, 0.375), Prediction(1, 0, 1.0)]
    again = list(tracks_to_frames(result))
    assert [instances.ids.tolist() for instances in again] == [[9, 2], [], [9]]
    assert [instances.masks for instances in again] == [masks[:2], [], masks[2:]]
    assert again[2].scores.tolist() == [0.375], "the score of the prediction"


def test_a_video_without_frames_is_empty() -> None:
    result = frames_to_tracks(VIDEO, [])
    assert num_frames(result) == 0
    assert list(tracks_to_frames(result)) == []


def test_the_length_may_come_from_the_tracks() -> None:
    track = Track(1, None, np.zeros((5, 4), np.float32), np.ones(5, np.float32))
    assert num_frames(VideoTracks(VIDEO, [track], [])) == 5
    with pytest.raises(ValueError, match="length of video clip is unknown"):
        num_frames(VideoTracks(VIDEO))


def test_a_track_shows_under_its_best_prediction_only() -> None:
    track = Track(5, None, np.zeros((1, 4), np.float32), np.ones(1, np.float32))
    unused = Track(6, None, np.zeros((1, 4), np.float32), np.ones(1, np.float32))
    result = VideoTracks(VIDEO, [track, unused], [(0, 1, 0.2), (0, 3, 0.75)])
    shown = instances_at(result, 0)
    assert (shown.ids.tolist(), shown.labels.tolist(), shown.scores.tolist()) == ([5], [3], [0.75])
    assert shown.masks is None
