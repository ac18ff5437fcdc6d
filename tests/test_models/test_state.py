# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

from visbench.models import VideoState
from visbench.structures import FrameInstances, VideoInfo

VIDEO = VideoInfo(5, "clip", 4, 4)


@dataclass
class State(VideoState):
    counter: int = 0
    memory: torch.Tensor | None = None
    tracks: dict[int, list[torch.Tensor]] = field(default_factory=dict)
    note: tuple[str, float] = ("", 0.0)


def filled() -> State:
    state = State(VIDEO, counter=3, memory=torch.rand(2, 3), note=("x", 0.5))
    state.tracks = {7: [torch.rand(2), torch.rand(1)], 2: []}
    state.recorder.add(0, FrameInstances([1], [0], [0.5], [[0, 0, 1, 1]]))
    return state


def through_a_file(values: dict[str, Any]) -> dict[str, Any]:
    buffer = io.BytesIO()
    torch.save(values, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


def test_state_survives_a_file() -> None:
    state = filled()
    restored = State(VIDEO)
    restored.load_state_dict(through_a_file(state.state_dict()))
    assert restored.counter == 3
    assert restored.note == ("x", 0.5)
    assert restored.memory is not None and state.memory is not None
    assert torch.equal(restored.memory, state.memory)
    assert list(restored.tracks) == [7, 2]  # the order of tracks counts in association
    assert torch.equal(restored.tracks[7][1], state.tracks[7][1])
    assert restored.recorder.state_dict() == state.recorder.state_dict()


def test_saved_state_is_a_deep_copy() -> None:
    state = filled()
    saved = state.state_dict()
    before = saved["memory"].clone()
    restored = State(VIDEO)
    restored.load_state_dict(saved)
    for one in (state, restored):
        one.memory += 1
        one.tracks[7][0] += 1
        one.tracks[9] = []
        one.recorder.add(1, FrameInstances.empty(masks=False))
    assert torch.equal(saved["memory"], before)
    assert list(saved["tracks"]) == [7, 2]
    assert saved["recorder"]["num_frames"] == 1


def test_saved_part_of_a_tensor_does_not_drag_its_storage_along() -> None:
    state = State(VIDEO, memory=torch.rand(1000, 3)[:1])
    assert state.state_dict()["memory"].untyped_storage().nbytes() == 12


def test_state_of_another_video_is_refused() -> None:
    with pytest.raises(ValueError, match="saved state is of video 5, not 6"):
        State(VideoInfo(6, "other", 4, 4)).load_state_dict(filled().state_dict())


def test_state_of_another_method_is_refused() -> None:
    with pytest.raises(ValueError, match="saved by another method or version"):
        VideoState(VIDEO).load_state_dict(filled().state_dict())


def test_values_that_do_not_load_weights_only_are_refused() -> None:
    state = filled()
    state.tracks[7].append({1, 2})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"tracks\[7\]\[2\] holds a set"):
        state.state_dict()


def test_bytes_are_those_kept_alive_by_tensors() -> None:
    state = filled()
    assert state.num_bytes() == 4 * (6 + 2 + 1)
    state.memory = torch.zeros(100, 4)[:1]
    assert state.num_bytes() == 4 * (400 + 2 + 1)
    state.tracks = {1: [state.memory[0], state.memory[0, :2]]}
    assert state.num_bytes() == 4 * 400
    state.memory, state.tracks = None, {}
    assert state.num_bytes() == 0
