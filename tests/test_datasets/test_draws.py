# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pickle
import random

import numpy as np
import pytest
import torch

from visbench.datasets import Draw, seeded_generators


def sample() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def test_generators_follow_the_key_and_are_restored() -> None:
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    expected = [sample(), sample()]
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    before = sample()
    with seeded_generators(3, 7):
        first = sample()
    after = sample()
    assert [before, after] == expected
    with seeded_generators(3, 7):
        assert sample() == first
    with seeded_generators(3, 8):
        other = sample()
    with seeded_generators(4, 7):
        another = sample()
    for values in zip(first, other, another, strict=True):
        assert len(set(values)) == 3


def test_generators_are_restored_after_an_error() -> None:
    state = random.getstate()
    with pytest.raises(KeyError), seeded_generators(1):
        random.random()
        raise KeyError
    assert random.getstate() == state


def test_draw_is_an_index_that_keeps_its_number() -> None:
    draw = Draw(7, number=100, seed=3)
    assert list(range(10))[draw] == 7
    for derived in (draw - 5, draw % 4, pickle.loads(pickle.dumps(draw))):
        assert (type(derived), derived.number, derived.seed) == (Draw, 100, 3)
    assert (draw - 5, draw % 4) == (2, 3)
