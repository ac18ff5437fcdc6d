# SPDX-License-Identifier: Apache-2.0
"""Draws: indices that carry the seed of all randomness of a training sample."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


class Draw(int):
    """Index of a video together with the number of the draw and the run's seed.

    It is an integer, so dataset wrappers that compute with indices (MMEngine's ``ConcatDataset``
    and ``RepeatDataset``) pass it on.

    Args:
        index: Index in the data set.
        number: Position in the endless sequence of draws of the run, 0-based.
        seed: Seed of the run.

    Examples:
        >>> draw = Draw(7, number=100, seed=3)
        >>> draw - 5, (draw - 5).number, draw % 4
        (Draw(2, number=100, seed=3), 100, Draw(3, number=100, seed=3))
    """

    number: int
    seed: int

    def __new__(cls, index: int, number: int, seed: int) -> Draw:
        """Create the integer and attach number and seed."""
        draw = super().__new__(cls, index)
        draw.number = number
        draw.seed = seed
        return draw

    def __reduce__(self) -> tuple[type[Draw], tuple[int, int, int]]:
        return Draw, (int(self), self.number, self.seed)

    def __sub__(self, other: int) -> Draw:
        return Draw(int(self) - int(other), self.number, self.seed)

    def __mod__(self, other: int) -> Draw:
        return Draw(int(self) % int(other), self.number, self.seed)

    def __repr__(self) -> str:
        return f"Draw({int(self)}, number={self.number}, seed={self.seed})"


@contextmanager
def seeded_generators(*key: int) -> Iterator[None]:
    """Seed the generators of Python, numpy and torch (CPU) by a key; restore them afterwards.

    The generators of GPUs are left alone: they belong to the model.

    Args:
        key: Non-negative integers, such as seed and draw number.
    """
    state: tuple[Any, ...] = (random.getstate(), np.random.get_state(), torch.get_rng_state())
    words = np.random.SeedSequence(key).generate_state(4, np.uint32)
    random.seed(int(words[0]))
    np.random.seed(words[1:3])
    torch.default_generator.manual_seed(int(words[3]))
    try:
        yield
    finally:
        random.setstate(state[0])
        np.random.set_state(state[1])
        torch.set_rng_state(state[2])
