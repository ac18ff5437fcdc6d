# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from visbench.models.iai.memory import AssociationMemory

TOKENS = 2


def entry(frame: int) -> tuple[torch.Tensor, torch.Tensor]:
    key = torch.full((1, TOKENS, 3), float(frame))
    return key, key + 100


def remembered(memory: AssociationMemory) -> list[int]:
    """Return the frames in the global memory, newest first."""
    assert memory.global_key is not None and memory.global_value is not None
    assert torch.equal(memory.global_value, memory.global_key + 100)
    assert memory.global_key.size(1) == TOKENS * memory.num_global
    frames = memory.global_key[0, :, 0].unflatten(0, (-1, TOKENS))
    assert (frames[:, :1] == frames).all()
    return [int(frame) for frame in frames[:, 0]]


def filled(news: list[bool], maximum: int | None = None) -> AssociationMemory:
    memory = AssociationMemory(max_global_frames=maximum)
    for index, new in enumerate(news):
        memory.write(*entry(index + 1), new)
    return memory


def test_every_third_frame_is_remembered() -> None:
    assert remembered(filled([True] + [False] * 9)) == [9, 6, 3, 1]


def test_new_objects_are_remembered_and_start_the_count_anew() -> None:
    assert remembered(filled([True, False, False, True, False, False, True])) == [7, 4, 3, 1]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=30), st.integers(1, 6))
def test_bound_keeps_the_first_and_the_most_recent(news: list[bool], maximum: int) -> None:
    everything, bounded = remembered(filled(news)), remembered(filled(news, maximum))
    assert len(bounded) == min(maximum, len(everything))
    assert bounded == [*everything[: len(bounded) - 1], 1]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=12))
def test_local_memory_is_the_last_frame(news: list[bool]) -> None:
    memory = filled(news, 2)
    assert memory.local_key is not None and memory.local_value is not None
    assert (memory.local_key == len(news)).all() and (memory.local_value == len(news) + 100).all()


def test_bounded_memory_is_constant() -> None:
    memory, sizes = AssociationMemory(max_global_frames=3), []
    for index in range(40):
        memory.write(*entry(index), new=True)
        assert memory.global_key is not None
        sizes.append(memory.global_key.untyped_storage().nbytes())
    assert len(set(sizes[3:])) == 1


def test_memory_without_global_part_holds_the_last_frame_only() -> None:
    memory = AssociationMemory(global_interval=None)
    for index in range(4):
        memory.write(*entry(index), new=True)
    assert memory.global_key is None and memory.num_global == 0
    assert memory.local_key is not None and not memory.empty


@settings(max_examples=60, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=10), st.booleans())
def test_restored_memory_goes_on_as_the_saved_one(news: list[bool], new: bool) -> None:
    memory = filled(news, 3)
    stream = io.BytesIO()
    torch.save(memory.state_dict(), stream)
    stream.seek(0)
    restored = AssociationMemory(max_global_frames=3)
    restored.load_state_dict(torch.load(stream, weights_only=True))
    for held in (memory, restored):
        held.write(*entry(99), new)
    assert remembered(memory) == remembered(restored)
    assert restored.num_frames == len(news) + 1


def test_detached_memory_has_no_graph() -> None:
    memory = AssociationMemory()
    memory.write(torch.ones(1, 2, 3, requires_grad=True) * 2, torch.ones(1, 2, 3))
    memory.detach()
    assert memory.local_key is not None and not memory.local_key.requires_grad
    AssociationMemory().detach()


@pytest.mark.parametrize("name", ["global_interval", "max_global_frames"])
def test_limits_below_one_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}=0 of the association memory"):
        AssociationMemory(**{name: 0})
