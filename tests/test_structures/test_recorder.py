# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from visbench.structures import FrameInstances, TrackRecorder, encode_masks

HEIGHT, WIDTH = 3, 5
instance = st.tuples(st.integers(0, 4), st.floats(0, 1, width=32), st.integers(0, 2**15 - 1))
frames = st.lists(st.dictionaries(st.integers(0, 6), instance, max_size=4), max_size=6)


def frame_instances(frame: dict[int, tuple[int, float, int]]) -> FrameInstances:
    """Return instances by id: (label, score, pixels as bits of a number)."""
    bits = [[pixels >> bit & 1 for bit in range(HEIGHT * WIDTH)] for _, _, pixels in frame.values()]
    return FrameInstances(
        list(frame),
        [label for label, _, _ in frame.values()],
        [score for _, score, _ in frame.values()],
        [[pixels, 0, pixels + 1, 1] for _, _, pixels in frame.values()],
        encode_masks(np.array(bits, dtype=bool).reshape(-1, HEIGHT, WIDTH)),
    )


def record(video: list[dict[int, Any]]) -> TrackRecorder:
    recorder = TrackRecorder()
    for index, frame in enumerate(video):
        recorder.add(index, frame_instances(frame))
    return recorder


@given(frames)
def test_tracks_hold_what_was_added(video: list[dict[int, Any]]) -> None:
    recorder = record(video)
    tracks = {track.id: track for track in recorder.tracks()}
    assert list(tracks) == recorder.ids == list(dict.fromkeys(i for frame in video for i in frame))
    for index, frame in enumerate(video):
        instances = frame_instances(frame)
        for track_id, track in tracks.items():
            assert len(track) == len(video)
            assert track.masks is not None and track.boxes is not None
            if track_id not in frame:
                assert track.masks[index] is None
                assert np.isnan(track.boxes[index]).all() and np.isnan(track.frame_scores[index])
                continue
            row = list(frame).index(track_id)
            assert instances.masks is not None and instances.boxes is not None
            assert track.masks[index] == instances.masks[row]
            assert np.array_equal(track.boxes[index], instances.boxes[row])
            assert track.frame_scores[index] == instances.scores[row]


@given(frames)
def test_scores_and_labels_are_mean_and_majority(video: list[dict[int, Any]]) -> None:
    recorder = record(video)
    for track_id in recorder.ids:
        entries = [frame[track_id] for frame in video if track_id in frame]
        labels = [label for label, _, _ in entries]
        expected = np.mean([np.float32(score) for _, score, _ in entries])
        assert recorder.mean_score(track_id) == pytest.approx(float(expected), abs=1e-6)
        assert recorder.majority_label(track_id) == np.bincount(labels).argmax()


@settings(max_examples=30)
@given(frames, st.integers(0, 6))
def test_state_survives_a_file_and_goes_on(video: list[dict[int, Any]], cut: int) -> None:
    buffer = io.BytesIO()
    torch.save(record(video[:cut]).state_dict(), buffer)
    buffer.seek(0)
    restored = TrackRecorder()
    restored.load_state_dict(torch.load(buffer, weights_only=True))
    for index in range(len(video[:cut]), len(video)):
        restored.add(index, frame_instances(video[index]))
    assert restored.state_dict() == record(video).state_dict()


def test_state_is_a_copy() -> None:
    recorder = record([{1: (0, 0.5, 3)}])
    state = recorder.state_dict()
    recorder.add(1, frame_instances({1: (0, 0.5, 3), 2: (0, 0.5, 3)}))
    assert state == record([{1: (0, 0.5, 3)}]).state_dict()


def test_tracks_may_be_chosen() -> None:
    recorder = record([{1: (0, 0.5, 3), 2: (1, 0.25, 5), 3: (1, 0.75, 5)}])
    assert [track.id for track in recorder.tracks([3, 1])] == [3, 1]


@pytest.mark.parametrize("index", [0, 2])
def test_frames_out_of_order_are_refused(index: int) -> None:
    recorder = record([{1: (0, 0.5, 3)}])
    with pytest.raises(ValueError, match=f"frame {index} follows frame 0"):
        recorder.add(index, FrameInstances.empty())
    assert recorder.num_frames == 1


def test_method_without_masks() -> None:
    recorder = TrackRecorder()
    recorder.add(0, FrameInstances.empty(masks=False))
    recorder.add(1, FrameInstances([4], [1], [0.5], [[0, 0, 2, 2]]))
    (track,) = recorder.tracks()
    assert track.masks is None
    assert track.boxes is not None
    assert track.boxes[1].tolist() == [0, 0, 2, 2]


def test_dropped_ids_leave_nothing_and_may_begin_anew() -> None:
    seen, absent = (1, 0.5, 7), {}
    recorder = record([{3: seen, 5: seen}, {5: seen}])
    recorder.drop([3, 8])
    assert recorder.ids == [5]
    assert record([{5: seen}, {5: seen}]).state_dict() == recorder.state_dict()
    for index, frame in enumerate((absent, {3: seen}), start=2):
        recorder.add(index, frame_instances(frame))
    assert recorder.ids == [5, 3]
    masks = recorder.tracks()[1].masks
    assert masks is not None
    assert [mask is not None for mask in masks] == [False, False, False, True]
