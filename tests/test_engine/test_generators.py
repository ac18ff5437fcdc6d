# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import random

import numpy as np
import torch

from visbench.engine.generators import (
    generator_states,
    preserved_generators,
    set_generator_states,
)


def draw() -> tuple[float, ...]:
    return random.gauss(0, 1), random.random(), np.random.randn(), float(torch.randn(()))


def test_states_pass_through_a_weights_only_file() -> None:
    random.gauss(0, 1)
    np.random.randn()
    file = io.BytesIO()
    torch.save(generator_states(), file)
    expected = [draw() for _ in range(3)]
    file.seek(0)
    set_generator_states(torch.load(file, weights_only=True))
    assert [draw() for _ in range(3)] == expected


def test_preserved_generators_restore_after_an_error() -> None:
    states = generator_states()
    expected = draw()
    set_generator_states(states)
    try:
        with preserved_generators():
            draw()
            raise KeyError
    except KeyError:
        pass
    assert draw() == expected
