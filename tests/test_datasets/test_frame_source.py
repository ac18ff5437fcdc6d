# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
import torch

from visbench.datasets import EndOfVideo, FrameError, FrameSource, per_frame_transforms


def picture(index: int) -> np.ndarray:
    return np.full((4, 6, 3), index, np.uint8)


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "frame-source" in thread.name]


@pytest.mark.parametrize("look_ahead", [0, 1, 2, 10])
def test_frames_in_order_again_and_again(look_ahead: int) -> None:
    source = FrameSource(picture, 5, look_ahead=look_ahead)
    assert len(source) == 5
    for _ in range(2):
        frames = list(source)
        assert [frame.index for frame in frames] == list(range(5))
        for frame in frames:
            assert torch.equal(frame.image, torch.full((3, 4, 6), frame.index, dtype=torch.uint8))
            assert frame.valid_size == frame.original_size == (4, 6)
    assert threads() == []


@pytest.mark.parametrize("look_ahead", [0, 1, 3])
def test_look_ahead_is_bounded(look_ahead: int) -> None:
    read: list[int] = []

    def reader(index: int) -> np.ndarray:
        read.append(index)
        return picture(index)

    source = FrameSource(reader, 50, look_ahead=look_ahead)
    iterator = iter(source)
    assert read == []
    for index in range(4):
        assert next(iterator).index == index
        assert len(read) <= index + 1 + look_ahead
    iterator.close()
    assert len(read) <= 4 + look_ahead
    assert threads() == []


@pytest.mark.parametrize("look_ahead", [0, 2])
def test_unknown_length_ends_with_the_video(look_ahead: int) -> None:
    def reader(index: int) -> np.ndarray:
        if index == 3:
            raise EndOfVideo
        return picture(index)

    source = FrameSource(reader, None, look_ahead=look_ahead, name="camera")
    assert [frame.index for frame in source] == [0, 1, 2]
    with pytest.raises(TypeError, match="length of 'camera' is unknown"):
        len(source)


@pytest.mark.parametrize("look_ahead", [0, 2, 5])
def test_errors_come_at_their_frame(look_ahead: int) -> None:
    def reader(index: int) -> np.ndarray:
        if index == 2:
            raise OSError("disk gone")
        return picture(index)

    seen = []
    with pytest.raises(FrameError, match="frame 2 of video 'clip7': disk gone"):
        for frame in FrameSource(reader, 5, look_ahead=look_ahead, name="clip7"):
            seen.append(frame.index)
    assert seen == [0, 1]
    assert threads() == []


def test_close_ends_abandoned_iterations() -> None:
    source = FrameSource(picture, 50)
    kept = iter(source)
    next(kept)
    assert threads()
    source.close()
    assert threads() == []
    assert len(list(source)) == 50


def test_transforms_are_applied_and_sizes_kept() -> None:
    def halve(results: dict[str, Any]) -> dict[str, Any]:
        return {**results, "img": results["img"][::2, ::2]}

    (frame,) = FrameSource(picture, 1, [halve])
    assert frame.valid_size == (2, 3)
    assert frame.original_size == (4, 6)
    assert frame.scale_factor == (0.5, 0.5)


def test_transform_without_result_is_an_error() -> None:
    with pytest.raises(FrameError, match=r"frame 0 .* returned no result"):
        list(FrameSource(picture, 1, [lambda results: None]))


def test_negative_look_ahead_is_refused() -> None:
    with pytest.raises(ValueError, match="look_ahead must be 0 or more"):
        FrameSource(picture, 1, look_ahead=-1)


def test_per_frame_part_of_a_pipeline(test_pipeline: list[dict[str, Any]]) -> None:
    inner = test_pipeline[0]["transforms"]
    inner.insert(1, {"type": "mmdet.LoadTrackAnnotations", "with_mask": True})

    def names(loading: bool) -> list[str]:
        transforms = per_frame_transforms(test_pipeline, loading)
        return [type(transform).__name__ for transform in transforms]

    assert names(False) == ["Resize"]
    assert names(True) == ["LoadFrame", "Resize"]
