# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from visbench.engine.partial_results import PartialResults, config_digest, weights_digest
from visbench.structures import Prediction, Track, VideoInfo, VideoTracks, encode_masks

IDENTITY = {"weights": "abc", "config": "def"}


def tracks(video_id: int) -> VideoTracks:
    video = VideoInfo(video_id, f"v{video_id}", 4, 6, 2)
    masks = encode_masks(np.eye(4, 6, dtype=bool)[None])
    boxes = np.array([[0, 0, 4, 4], [np.nan] * 4], dtype=np.float32)
    scores = np.array([1 / 3, np.nan], dtype=np.float32)
    return VideoTracks(
        video, [Track(5, [masks[0], None], boxes, scores)], [Prediction(0, 1, 1 / 3)]
    )


def write(path: Path, video_ids: range) -> None:
    partial = PartialResults(path, IDENTITY)
    partial.read()
    for video_id in video_ids:
        partial.append(tracks(video_id))
    partial.close()


def test_finished_videos_come_back_exactly(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "partial.jsonl"
    write(path, range(1, 4))
    finished = PartialResults(path, IDENTITY).read()
    assert [finished[i].to_dict() for i in (1, 2, 3)] == [tracks(i).to_dict() for i in (1, 2, 3)]


@settings(max_examples=40, deadline=None)
@given(cut=st.integers(min_value=0, max_value=10_000))
def test_any_cut_keeps_the_complete_lines(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    path = tmp_path_factory.mktemp("cut") / "partial.jsonl"
    write(path, range(1, 4))
    content = path.read_bytes()
    cut = min(cut, len(content))
    path.write_bytes(content[:cut])
    complete = max(content[:cut].count(b"\n") - 1, 0)
    partial = PartialResults(path, IDENTITY)
    assert list(partial.read()) == list(range(1, complete + 1))
    partial.append(tracks(9))
    partial.close()
    assert list(PartialResults(path, IDENTITY).read()) == [*range(1, complete + 1), 9]


@pytest.mark.parametrize("field", ["weights", "config"])
def test_file_of_another_test_is_set_aside(tmp_path: Path, field: str) -> None:
    path = tmp_path / "partial.jsonl"
    write(path, range(1, 3))
    content = path.read_bytes()
    other = PartialResults(path, {**IDENTITY, field: "other"})
    assert other.peek() == {}
    assert other.read() == {}
    assert (tmp_path / "partial.1.old").read_bytes() == content
    assert f"other {field}" in other.notes[0]


def test_damaged_line_in_the_middle_sets_the_file_aside(tmp_path: Path) -> None:
    path = tmp_path / "partial.jsonl"
    write(path, range(1, 4))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], b"{nonsense\n", *lines[2:]]))
    partial = PartialResults(path, IDENTITY)
    assert partial.read() == {}
    assert "line 2 is damaged" in partial.notes[0]
    assert (tmp_path / "partial.1.old").exists()


def test_append_needs_an_open_file(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="call read"):
        PartialResults(tmp_path / "partial.jsonl", IDENTITY).append(tracks(1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool])
def test_weights_digest_sees_every_value(dtype: torch.dtype) -> None:
    weights = {"a": torch.zeros(3, dtype=dtype), "b": torch.ones((), dtype=dtype)}
    same = {"b": weights["b"].clone(), "a": weights["a"].clone()}
    assert weights_digest(weights) == weights_digest(same)
    same["a"][2] = 1
    assert weights_digest(weights) != weights_digest(same)


def test_config_digest_ignores_the_order_of_keys() -> None:
    assert config_digest({"a": 1, "b": (2,)}) == config_digest({"b": (2,), "a": 1})
    assert config_digest({"a": 1}) != config_digest({"a": 2})
