# SPDX-License-Identifier: Apache-2.0
"""Checks of the state machine of online methods."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from functools import wraps

import numpy as np
import numpy.typing as npt
import torch

from visbench.models import OnlineVISModel, VideoState
from visbench.structures import Frame, FrameInstances, rle_area
from visbench.testing.conformance.case import ConformanceCase, prepared, video_of
from visbench.testing.conformance.result_checks import NUM_FRAMES, assert_same
from visbench.testing.conformance.scene import Scene


def _for_online(check: Callable[[ConformanceCase], None]) -> Callable[[ConformanceCase], None]:
    @wraps(check)
    def checked(case: ConformanceCase) -> None:
        if case.online:
            check(case)

    return checked


@_for_online
def check_streamed_equals_whole(case: ConformanceCase) -> None:
    """Frames given one by one give what the whole video gives."""
    model = case.build_online()
    frames = prepared(model, Scene(0, NUM_FRAMES))
    whole = model.segment(video_of(frames), frames)
    state = model.start(video_of(frames, known=False))
    stream(model, frames, state)
    assert_same(whole, model.finish(state), f"{case.name}: whole and streamed")


@_for_online
def check_restored_equals_whole(case: ConformanceCase) -> None:
    """A state saved after any frame, loaded weights-only into a new model, continues alike."""
    model = case.build_online()
    frames = prepared(model, Scene(0, NUM_FRAMES))
    whole = model.segment(video_of(frames), frames)
    state = model.start(video_of(frames))
    for index in range(NUM_FRAMES):
        saved = _through_a_file(state.state_dict())
        other = case.build_online()
        restored = other.start(video_of(frames))
        restored.load_state_dict(saved)
        stream(other, frames[index:], restored)
        what = f"{case.name}: whole and restored before frame {index}"
        assert_same(whole, other.finish(restored), what)
        model.step(frames[index], state)


@_for_online
def check_saved_state_is_apart(case: ConformanceCase) -> None:
    """A saved state does not change when the video goes on."""
    model = case.build_online()
    frames = prepared(model, Scene(0, NUM_FRAMES))
    whole = model.segment(video_of(frames), frames)
    state = model.start(video_of(frames))
    stream(model, frames[:3], state)
    saved = state.state_dict()
    stream(model, frames[3:], state)
    restored = model.start(video_of(frames))
    restored.load_state_dict(saved)
    stream(model, frames[3:], restored)
    assert_same(whole, model.finish(restored), f"{case.name}: state in memory")


@_for_online
def check_interleaved_videos(case: ConformanceCase) -> None:
    """Two videos processed in turn give what each gives alone."""
    model = case.build_online()
    videos = [prepared(model, Scene(seed, NUM_FRAMES)) for seed in (0, 1)]
    alone = [
        case.build_online().segment(video_of(frames, number), frames)
        for number, frames in enumerate(videos)
    ]
    states = [model.start(video_of(frames, number)) for number, frames in enumerate(videos)]
    for pair in zip(*videos, strict=True):
        for frame, state in zip(pair, states, strict=True):
            model.step(frame, state)
    for number, state in enumerate(states):
        what = f"{case.name}: video {number} alone and interleaved"
        assert_same(alone[number], model.finish(state), what)


@_for_online
def check_prefix_invariance(case: ConformanceCase) -> None:
    """What is emitted for a frame does not depend on later frames and never changes."""
    model = case.build_online()
    frames = prepared(model, Scene(0, NUM_FRAMES))
    others = prepared(model, Scene(1, NUM_FRAMES))
    for length in (1, 3, NUM_FRAMES - 1):
        emitted, kept = [], []
        for tail in (frames[length:], others[length:]):
            state = model.start(video_of(frames))
            emitted.append(stream(model, frames[:length], state))
            kept.append(copy.deepcopy(emitted[-1]))
            stream(model, tail, state)
            model.finish(state)
        for index in range(length):
            what = f"{case.name}: frame {index} of a prefix of {length}"
            assert_same_instances(emitted[0][index], emitted[1][index], what)
            assert_same_instances(emitted[0][index], kept[0][index], f"{what}, later")


@_for_online
def check_frames_without_findings(case: ConformanceCase) -> None:
    """A frame in which nothing is found may come first, last or between others."""
    model, silent = case.build_online(), case.build_online(silent=True)
    frames = prepared(model, Scene(0, NUM_FRAMES))
    for gaps in ({0, 1}, {2, 3}, {NUM_FRAMES - 1}):
        state = model.start(video_of(frames))
        for index, frame in enumerate(frames):
            instances = (silent if index in gaps else model).step(frame, state)
            assert index not in gaps or _pixels(instances) == 0
        tracks = model.finish(state)
        assert tracks.video.length == NUM_FRAMES
        assert tracks.tracks, f"{case.name}: nothing found with gaps at {gaps}"


@_for_online
def check_finish_keeps_what_was_emitted(case: ConformanceCase) -> None:
    """``finish`` renames no id and changes no mask or box; it may be called twice."""
    model = case.build_online()
    frames = prepared(model, Scene(0, NUM_FRAMES))
    state = model.start(video_of(frames))
    emitted = stream(model, frames, state)
    tracks = model.finish(state)
    assert_same(tracks, model.finish(state), f"{case.name}: a second finish")
    for track in tracks.tracks:
        for index, instances in enumerate(emitted):
            rows = np.flatnonzero(instances.ids == track.id)
            what = f"track {track.id} in frame {index} is not what was emitted"
            if track.masks is not None:
                mask = instances.masks[rows[0]] if len(rows) and instances.masks else None
                assert track.masks[index] == mask, f"{case.name}: the mask of {what}"
            if track.boxes is not None:
                assert _same_box(track.boxes[index], instances, rows), (
                    f"{case.name}: the box of {what}"
                )
    known = {track_id for instances in emitted for track_id in instances.ids.tolist()}
    new = {track.id for track in tracks.tracks} - known
    assert not new, f"{case.name}: finish returned ids {sorted(new)} that were never emitted"


@_for_online
def check_frames_in_order(case: ConformanceCase) -> None:
    """A frame out of order is refused with an error that names it."""
    model = case.build_online()
    frames = prepared(model, Scene(0, 3))
    state = model.start(video_of(frames))
    model.step(frames[0], state)
    try:
        model.step(frames[2], state)
    except ValueError as error:
        assert "2" in str(error)
    else:
        raise AssertionError(f"{case.name}: frame 2 was accepted right after frame 0")


def stream(model: OnlineVISModel, frames: list[Frame], state: VideoState) -> list[FrameInstances]:
    """Step through frames and return what was emitted for each."""
    return [model.step(frame, state) for frame in frames]


def assert_same_instances(first: FrameInstances, second: FrameInstances, what: str) -> None:
    """Fail if two frames' instances differ in a bit."""
    for name in ("ids", "labels", "scores", "boxes"):
        one, two = getattr(first, name), getattr(second, name)
        assert np.array_equal(one, two) if one is not None else two is None, f"{what}: {name}"
    assert first.masks == second.masks, f"{what}: masks"


def _same_box(
    box: npt.NDArray[np.float32], instances: FrameInstances, rows: npt.NDArray[np.int64]
) -> bool:
    if not len(rows) or instances.boxes is None:
        return bool(np.isnan(box).all())
    return np.array_equal(box, instances.boxes[rows[0]])


def _pixels(instances: FrameInstances) -> int:
    if instances.masks is None:
        return len(instances)
    return sum(rle_area(mask) for mask in instances.masks)


def _through_a_file(state: dict) -> dict:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


ONLINE_CHECKS = (
    check_streamed_equals_whole,
    check_restored_equals_whole,
    check_saved_state_is_apart,
    check_interleaved_videos,
    check_prefix_invariance,
    check_frames_without_findings,
    check_finish_keeps_what_was_emitted,
    check_frames_in_order,
)
