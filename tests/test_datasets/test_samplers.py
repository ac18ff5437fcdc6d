# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from itertools import islice

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
