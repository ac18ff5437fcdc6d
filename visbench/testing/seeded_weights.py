# SPDX-License-Identifier: Apache-2.0
"""Weights and inputs that follow from a name alone, so that golden cases need not store them.

Each value comes from numpy's default generator seeded by the CRC-32 of the tensor's name. Both
sides of a comparison fill their state dict under the same names and obtain the same network.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor


def _generator(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode()))


def seeded_tensor(name: str, like: Tensor) -> Tensor:
    """Return the value that belongs to a parameter or buffer.

    Buffers of integers are 0. Running means are small, running variances slightly above 1, scales
    (scalars and one-dimensional weights) near 1, other vectors (biases) small; matrices and
    kernels have the variance 1 / fan-in that keeps the size of activations.

    Args:
        name: Full name in the state dict, which seeds the draw and tells the kind.
        like: Tensor whose shape and dtype the result has.

    Returns:
        A tensor of the shape and dtype of ``like``, on the CPU.
    """
    shape = tuple(like.shape)
    if not like.dtype.is_floating_point:
        return torch.zeros(shape, dtype=like.dtype)
    draw = _generator(name).standard_normal(shape).astype(np.float32)
    is_scale = not shape or (len(shape) == 1 and name.endswith("weight"))
    if name.endswith("running_mean"):
        filled = 0.1 * draw
    elif name.endswith("running_var"):
        filled = 1 + 0.1 * np.abs(draw)
    elif is_scale:
        filled = 1 + 0.1 * draw
    elif len(shape) == 1:
        filled = 0.05 * draw
    else:
        fan_in = like.numel() // shape[0] if shape[0] else 0
        filled = draw / np.sqrt(max(fan_in, 1))
    return torch.from_numpy(np.array(filled, dtype=np.float32)).to(like.dtype)


def fill_state_dict(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict of the same names, shapes and dtypes with seeded values."""
    return {name: seeded_tensor(name, like) for name, like in state_dict.items()}


def seeded_input(name: str, shape: Sequence[int], low: float = 0.0, high: float = 1.0) -> Tensor:
    """Return a float32 tensor of the given shape, uniform in ``[low, high)``."""
    draw = _generator(name).uniform(low, high, tuple(shape))
    return torch.from_numpy(draw.astype(np.float32))
