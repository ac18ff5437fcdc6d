# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visbench.datasets import SeededClipSampler
from visbench.datasets import samplers as samplers_module


def draws(count: int, size: int = 5, **kwargs: int) -> list[tuple[int, int, int]]:
    sampler = SeededClipSampler(range(size), **kwargs)
    return [(int(draw), draw.number, draw.seed) for draw in islice(sampler, count)]


@given(size=st.integers(1, 9), seed=st.integers(0, 2**31), start=st.integers(0, 40))
@settings(max_examples=40, deadline=None)
def test_starting_later_equals_skipping(size: int, seed: int, start: int) -> None:
    whole = draws(start + 12, size, seed=seed)
    assert draws(12, size, seed=seed, start_draw=start) == whole[start:]


@given(size=st.integers(1, 9), seed=st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_every_epoch_is_a_permutation(size: int, seed: int) -> None:
    indices = [index for index, _, _ in draws(3 * size, size, seed=seed)]
    for epoch in range(3):
        assert sorted(indices[epoch * size : (epoch + 1) * size]) == list(range(size))


def test_epochs_and_seeds_differ() -> None:
    indices = [index for index, _, _ in draws(40, 20, seed=1)]
    assert indices[:20] != indices[20:]
    assert indices[:20] != [index for index, _, _ in draws(20, 20, seed=2)]


def test_ranks_share_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = draws(12, seed=4)
    parts = []
    for rank in range(2):
        monkeypatch.setattr(samplers_module, "get_dist_info", lambda rank=rank: (rank, 2))
        parts.append(draws(6, seed=4))
    assert [draw for pair in zip(*parts, strict=True) for draw in pair] == whole


def test_start_draw_may_be_set_later() -> None:
    sampler = SeededClipSampler(range(5), seed=4)
    sampler.start_draw = 7
    assert next(iter(sampler)).number == 7


def test_without_shuffling_in_order() -> None:
    assert [index for index, _, _ in draws(6, 4, seed=1, shuffle=0)] == [0, 1, 2, 3, 0, 1]


def test_empty_data_set_is_refused() -> None:
    with pytest.raises(ValueError, match="has no video"):
        SeededClipSampler([], seed=1)


class Oriented:
    """A data set of which every item with a multiple of three as index is a portrait."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def landscape(self) -> np.ndarray:
        return np.arange(self.size) % 3 > 0


@given(
    size=st.integers(1, 30),
    group=st.integers(2, 7),
    seed=st.integers(0, 2**31),
    start=st.integers(0, 60),
)
@settings(max_examples=60, deadline=None)
def test_groups_are_of_one_orientation(size: int, group: int, seed: int, start: int) -> None:
    sampler = SeededClipSampler(Oriented(size), seed=seed, group_size=group)
    portraits = -(-size // 3)
    groups = -(-portraits // group) + -(-(size - portraits) // group)
    whole = [int(draw) for draw in islice(sampler, 2 * groups * group)]
    for position in range(0, len(whole), group):
        assert len({index % 3 > 0 for index in whole[position : position + group]}) == 1
    for epoch in (whole[: groups * group], whole[groups * group :]):
        # Everything occurs; what fills up a group occurs as evenly as possible.
        counts = np.bincount(epoch, minlength=size)
        for members in (counts[::3], np.delete(counts, np.s_[::3])):
            assert not members.size or (members.min() >= 1 and np.ptp(members) <= 1)
    sampler.start_draw = start
    assert [int(draw) for draw in islice(sampler, 5)] == [
        int(draw)
        for draw in islice(
            SeededClipSampler(Oriented(size), seed=seed, group_size=group), start + 5
        )
    ][start:]


def test_ranks_share_the_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step of two ranks with batches of three takes one group of six."""
    parts = []
    for rank in range(2):
        monkeypatch.setattr(samplers_module, "get_dist_info", lambda rank=rank: (rank, 2))
        sampler = SeededClipSampler(Oriented(20), seed=4, group_size=6)
        parts.append([int(draw) % 3 > 0 for draw in islice(sampler, 18)])
    for step in range(0, 18, 3):
        assert len({kind for part in parts for kind in part[step : step + 3]}) == 1


def test_groups_come_in_order_without_shuffling() -> None:
    sampler = SeededClipSampler(Oriented(5), seed=1, shuffle=False, group_size=2)
    assert [int(draw) for draw in islice(sampler, 8)] == [1, 2, 4, 1, 0, 3, 1, 2]


def test_groups_need_orientations() -> None:
    with pytest.raises(ValueError, match=r"group_size=4 must be 1 .* range, whose items have no"):
        SeededClipSampler(range(5), seed=1, group_size=4)
    with pytest.raises(ValueError, match="group_size=0 must be 1 or more"):
        SeededClipSampler(Oriented(5), seed=1, group_size=0)
