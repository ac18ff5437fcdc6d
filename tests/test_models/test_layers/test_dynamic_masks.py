# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from visbench.models.layers import DynamicMaskHead, masks_at_original_size
from visbench.models.layers.dynamic_masks import mask_probabilities, upsample_logits


def test_default_layout_is_condinsts() -> None:
    head = DynamicMaskHead()
    assert head.num_parameters == 169
    weights, biases = head.split(torch.arange(169.0)[None])
    assert [tuple(weight.shape) for weight in weights] == [(1, 8, 10), (1, 8, 8), (1, 1, 8)]
    assert weights[1][0, 0, 0] == 80 and weights[2][0, 0, 0] == 144
    assert [float(bias[0, 0, 0]) for bias in biases] == [152, 160, 168]


def test_every_cell_follows_the_formula() -> None:
    torch.manual_seed(0)
    head = DynamicMaskHead(in_channels=3, channels=2, num_layers=3, stride=4)
    features, parameters = torch.randn(2, 3, 4, 5), torch.randn(3, head.num_parameters)
    centres, divisors = torch.rand(3, 2) * 20, torch.tensor([8.0, 16.0, 1.0])
    frame = torch.tensor([1, 0, 1])
    logits = head(features, parameters, centres, divisors, frame)
    weights, biases = head.split(parameters)
    for n in range(3):
        for y in range(4):
            for x in range(5):
                offset = (centres[n] - torch.tensor([4.0 * x + 2, 4.0 * y + 2])) / divisors[n]
                value = torch.cat([offset, features[frame[n], :, y, x]])
                for layer in range(3):
                    value = weights[layer][n] @ value + biases[layer][n, :, 0]
                    value = value.relu() if layer < 2 else value
                assert logits[n, y, x].item() == pytest.approx(value.item(), abs=1e-4)


@pytest.mark.parametrize("factor", [2, 4])
def test_enlarging_is_aligned_bilinear(factor: int) -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 4)
    rows = np.clip((np.arange(3 * factor) - factor // 2) / factor, 0, 2)
    columns = np.clip((np.arange(4 * factor) - factor // 2) / factor, 0, 3)
    grid = np.stack(np.meshgrid(columns / 3 * 2 - 1, rows / 2 * 2 - 1), axis=-1)
    expected = F.grid_sample(
        logits[None], torch.from_numpy(grid).float()[None], align_corners=True
    )[0]
    torch.testing.assert_close(upsample_logits(logits, factor), expected, atol=1e-5, rtol=1e-4)


def test_masks_are_cropped_before_they_are_resized() -> None:
    logits = torch.full((1, 4, 4), -9.0)
    logits[:, :, :2] = 9.0
    masks = masks_at_original_size(logits, 4, (16, 8), (32, 16))
    assert masks.shape == (1, 32, 16)
    assert masks.all()
    same = masks_at_original_size(logits, 4, (16, 16), (16, 16))
    assert torch.equal(same, mask_probabilities(logits, 4) > 0.5)


def test_no_instances() -> None:
    head = DynamicMaskHead()
    logits = head(
        torch.zeros(1, 8, 4, 6),
        torch.zeros(0, 169),
        torch.zeros(0, 2),
        torch.zeros(0),
        torch.zeros(0, dtype=torch.long),
    )
    assert logits.shape == (0, 4, 6)
    assert upsample_logits(logits).shape == (0, 8, 12)
    assert masks_at_original_size(logits, 8, (32, 48), (64, 96)).shape == (0, 64, 96)


def test_sizes_must_be_positive() -> None:
    with pytest.raises(ValueError, match="channels=0"):
        DynamicMaskHead(channels=0)
