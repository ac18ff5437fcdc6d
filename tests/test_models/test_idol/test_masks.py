# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from visbench.models.idol.masks import MaskBranch, binary_masks, fine_logits


def test_branch_yields_features_that_are_not_negative() -> None:
    branch = MaskBranch(6, hidden_channels=5, out_channels=4, num_levels=3)
    levels = [torch.randn(2, 6, 8, 10), torch.randn(2, 6, 4, 5), torch.randn(2, 6, 2, 3)]
    features = branch([*levels, torch.full((2, 6, 1, 1), torch.nan)])
    assert features.shape == (2, 4, 8, 10)
    assert (features >= 0).all()
    assert features.any()


def test_every_level_takes_part() -> None:
    branch = MaskBranch(6, num_levels=3)
    levels = [torch.rand(1, 6, 8 >> level, 8 >> level, requires_grad=True) for level in range(3)]
    branch(levels).sum().backward()
    assert all(level.grad is not None and level.grad.any() for level in levels)


def linear(values: np.ndarray, stride: int, position: int) -> np.ndarray:
    """Interpolate along the first axis at a pixel of the enlarged map."""
    place = np.clip((position + 0.5) / stride - 0.5, 0, len(values) - 1)
    low = int(np.floor(place))
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (place - low)


@given(st.integers(0, 1000), st.integers(1, 6), st.integers(1, 7), st.integers(1, 30))
@settings(max_examples=20, deadline=None)
def test_binary_masks_against_loops(seed: int, rows: int, columns: int, height: int) -> None:
    rng = np.random.default_rng(seed)
    stride, width = 4, int(rng.integers(1, 30))
    logits = rng.standard_normal((rows, columns)).astype(np.float32)
    valid = (int(rng.integers(1, rows * stride + 1)), int(rng.integers(1, columns * stride + 1)))
    expected = np.zeros((height, width), dtype=bool)
    margin = np.inf
    for row in range(height):
        for column in range(width):
            y, x = row * valid[0] // height, column * valid[1] // width
            value = linear(linear(logits, stride, y), stride, x)
            expected[row, column] = value > 0
            margin = min(margin, abs(value))
    masks = binary_masks(torch.from_numpy(logits)[None], stride, valid, (height, width))
    if margin > 1e-5:
        assert np.array_equal(masks[0].numpy(), expected)


@pytest.mark.parametrize("original", [(64, 96), (30, 40)])
def test_no_masks(original: tuple[int, int]) -> None:
    masks = binary_masks(torch.zeros(0, 16, 24), 4, (64, 96), original)
    assert masks.shape == (0, *original)
    assert masks.dtype == torch.bool


def test_no_logits_stay_in_the_graph() -> None:
    logits = torch.zeros(0, 3, 4, requires_grad=True)
    fine = fine_logits(logits)
    assert fine.shape == (0, 6, 8)
    assert fine.requires_grad
