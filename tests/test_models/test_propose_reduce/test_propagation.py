# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from visbench.models.propose_reduce.feature_store import FrameFeatures
from visbench.models.propose_reduce.head import FrameEncoding
from visbench.models.propose_reduce.propagation import (
    PropagationMemory,
    ProposeSettings,
    propagate,
)


class Video:
    """Frames whose features are their numbers."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> FrameFeatures:
        number = torch.full((1, 1, 1, 1), float(index))
        return FrameFeatures((number,), FrameEncoding(number, number, number, number))


class ListingHead:
    """Stands in for the Seq-Prop head: its keys are frame numbers, and it notes what it reads."""

    def __init__(self) -> None:
        self.read: dict[int, list[int]] = {}
        self.memorized: list[int] = []

    def memorize(self, p2: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        self.memorized.append(int(p2))
        entry = p2[:, :, None].expand(len(masks), 1, 1, 1, 1)
        return entry, entry

    def decode(self, key: Tensor, value: Tensor, frame: FrameEncoding) -> Tensor:
        assert torch.equal(key, value)
        self.read[int(frame.key)] = [int(number) for number in key[0].flatten()]
        return torch.full((len(key), 1, 2, 2), 0.5)


def run(length: int, key_frame: int, **fields: Any) -> tuple[ListingHead, list[Any]]:
    head = ListingHead()
    settings = ProposeSettings(**fields)
    masks = torch.ones(2, 2, 2)
    steps = list(propagate(head, Video(length), key_frame, masks, settings))  # type: ignore[arg-type]
    return head, steps


def memory_by_hand(frame: int, key_frame: int, interval: int, cap: int | None) -> list[int]:
    """Return the frames in memory when a frame is segmented, by the words of the rule."""
    sign = 1 if frame >= key_frame else -1
    between = range(1, abs(frame - key_frame))
    remembered = [key_frame + sign * far for far in between if far % interval == 0]
    if cap is not None:
        remembered = remembered[max(len(remembered) - (cap - 1), 0) :]
    return sorted([key_frame, *remembered])


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_order_and_memory_follow_the_rule(data: Any) -> None:
    length = data.draw(st.integers(1, 14))
    key_frame = data.draw(st.integers(0, length - 1))
    interval = data.draw(st.integers(1, 6))
    cap = data.draw(st.none() | st.integers(1, 4))
    head, steps = run(length, key_frame, memory_interval=interval, max_memory_frames=cap)
    assert [step.frame for step in steps] == [
        *range(key_frame, length),
        *range(key_frame - 1, -1, -1),
    ]
    for step in steps:
        expected = memory_by_hand(step.frame, key_frame, interval, cap)
        assert sorted(head.read[step.frame]) == expected
        assert step.memory_frames == len(expected)
        assert step.masks.shape == (2, 2, 2)


def test_nothing_is_memorised_that_nobody_reads() -> None:
    head, _ = run(6, 2, memory_interval=1)
    assert head.memorized == [2, 3, 4, 1]


def test_interval_from_a_number_of_memory_frames() -> None:
    settings = ProposeSettings(memory_count=10)
    assert [settings.interval(length) for length in (1, 9, 10, 21, 100)] == [1, 1, 1, 2, 10]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "exactly one of memory_interval and memory_count, got None and None"),
        ({"memory_interval": 1, "memory_count": 2}, "exactly one"),
        ({"memory_interval": 0}, "memory_interval must be at least 1, got 0"),
        ({"memory_count": 0}, "memory_count must be at least 1, got 0"),
        ({"memory_interval": 1, "max_memory_frames": 0}, "max_memory_frames must be at least 1"),
        ({"memory_interval": 1, "mask_iou_threshold": 0.0}, "mask_iou_threshold must be above 0"),
        ({"memory_interval": 1, "mask_iou_threshold": 1.1}, "at most 1, got 1.1; 1 drops equal"),
        ({"memory_interval": 1, "feature_store": "disk"}, "device, cpu, recompute, got 'disk'"),
    ],
)
def test_wrong_settings_are_named(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ProposeSettings(**fields)


def test_memory_keeps_the_key_frame_and_the_latest() -> None:
    memory = PropagationMemory(capacity=3)
    for number in range(6):
        entry = torch.full((1, 2, 1, 1, 1), float(number))
        memory.add(entry, -entry)
    assert sorted(memory.keys[0, 0].flatten().tolist()) == [0, 4, 5]
    assert torch.equal(memory.keys, -memory.values)
    memory.restart()
    assert memory.keys.flatten().tolist() == [0, 0]
    assert len(memory) == 1
