# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from visbench.structures import Prediction, Track, VideoInfo, VideoTracks, encode_masks

HEIGHT, WIDTH = 4, 6


@st.composite
def tracks_of(draw: st.DrawFn, length: int, number: int) -> Track:
    present = draw(st.lists(st.booleans(), min_size=length, max_size=length))
    floats = st.floats(0, 100, width=32)
    boxes = np.full((length, 4), np.nan, dtype=np.float32)
    scores = np.full(length, np.nan, dtype=np.float32)
    masks = []
    for index, there in enumerate(present):
        if there:
            boxes[index] = draw(st.lists(floats, min_size=4, max_size=4))
            scores[index] = draw(st.floats(0, 1, width=32))
        pixel = draw(st.integers(0, HEIGHT * WIDTH - 1))
        mask = np.arange(HEIGHT * WIDTH).reshape(1, HEIGHT, WIDTH) <= pixel
        masks.append(encode_masks(mask)[0] if there else None)
    return Track(
        number,
        masks if draw(st.booleans()) else None,
        boxes if draw(st.booleans()) else None,
        scores,
    )


@st.composite
def videos(draw: st.DrawFn) -> VideoTracks:
    length = draw(st.integers(0, 4))
    count = draw(st.integers(0, 3))
    tracks = [draw(tracks_of(length, number)) for number in range(count)]
    prediction = st.tuples(
        st.integers(0, max(count - 1, 0)), st.integers(0, 5), st.floats(0, 1, allow_nan=False)
    )
    predictions = draw(st.lists(prediction, max_size=4)) if count else []
    known = draw(st.booleans())
    video = VideoInfo(3, "clip", HEIGHT, WIDTH, length if known else None)
    return VideoTracks(video, tracks, [Prediction(*values) for values in predictions])


@given(videos())
def test_dictionary_survives_json(tracks: VideoTracks) -> None:
    values = tracks.to_dict()
    rebuilt = VideoTracks.from_dict(json.loads(json.dumps(values)))
    assert rebuilt.to_dict() == values
    assert rebuilt.video == tracks.video
    assert rebuilt.predictions == tracks.predictions
    for track, other in zip(tracks.tracks, rebuilt.tracks, strict=True):
        np.testing.assert_array_equal(track.frame_scores, other.frame_scores)
        assert (track.boxes is None) == (other.boxes is None)
        if track.boxes is not None:
            np.testing.assert_array_equal(track.boxes, other.boxes)


@given(videos())
def test_results_are_the_predictions(tracks: VideoTracks) -> None:
    results = json.loads(json.dumps(tracks.to_results(category_ids=[9, 8, 7, 6, 5, 4])))
    assert len(results) == len(tracks.predictions)
    for result, prediction in zip(results, tracks.predictions, strict=True):
        track = tracks.tracks[prediction.track_index]
        assert result["video_id"] == 3
        assert result["category_id"] == 9 - prediction.label
        assert result["score"] == prediction.score
        assert result.get("segmentations") == track.masks
        assert ("bboxes" in result) == (track.masks is None and track.boxes is not None)


def test_boxes_are_written_as_corner_and_size() -> None:
    boxes = np.array([[1, 2, 4, 8], [np.nan] * 4], dtype=np.float32)
    track = Track(0, None, boxes, np.array([0.5, np.nan], dtype=np.float32))
    tracks = VideoTracks(VideoInfo(1, "clip", 9, 9), [track], [Prediction(0, 0, 0.5)])
    assert tracks.to_results([1])[0]["bboxes"] == [[1, 2, 3, 6], None]


@pytest.mark.parametrize(
    ("predictions", "length", "message"),
    [
        ([Prediction(1, 0, 0.5)], 2, "names a track outside 0..0"),
        ([Prediction(-1, 0, 0.5)], 2, "names a track outside 0..0"),
        ([Prediction(0, 0, float("nan"))], 2, "is not finite"),
        ([], 3, r"different lengths \[2, 3\]"),
    ],
)
def test_contradictions_are_refused(
    predictions: list[Prediction], length: int, message: str
) -> None:
    track = Track(0, None, None, np.zeros(2, dtype=np.float32))
    with pytest.raises(ValueError, match=rf"video 1 \(clip\): .*{message}"):
        VideoTracks(VideoInfo(1, "clip", 9, 9, length), [track], predictions)


def test_sequences_of_a_track_have_one_length() -> None:
    with pytest.raises(ValueError, match="track 4: 1 masks, but 2 frame scores"):
        Track(4, [None], None, np.zeros(2, dtype=np.float32))


def test_a_label_without_category_is_told() -> None:
    track = Track(0, None, np.ones((1, 4), np.float32), np.ones(1, np.float32))
    video = VideoTracks(VideoInfo(1, "clip", HEIGHT, WIDTH, 1), [track], [Prediction(0, 2, 0.5)])
    assert video.to_results([10, 20, 30])[0]["category_id"] == 30
    with pytest.raises(ValueError, match="clip: label 2 has no category id, there are 2"):
        video.to_results([10, 20])
