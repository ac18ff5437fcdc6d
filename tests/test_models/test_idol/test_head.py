# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from visbench.models import IDOL
from visbench.models.idol import IDOLHead


def small_head() -> IDOLHead:
    torch.manual_seed(0)
    return IDOLHead(3, channels=8, num_layers=2, embed_channels=5)


def test_initialisation() -> None:
    head = small_head()
    head.init_weights()
    for branch in head.cls_branches:
        torch.testing.assert_close(branch.bias, torch.full((3,), -math.log(99)))
    assert [branch[-1].bias.tolist() for branch in head.reg_branches] == [
        [0.0, 0.0, -2.0, -2.0],
        [0.0, 0.0, 0.0, 0.0],
    ]
    assert not any(branch[-1].weight.any() for branch in head.reg_branches)
    assert not any(layer.bias.any() for layer in head.controller if hasattr(layer, "bias"))
    first, second = head.cls_branches
    assert first.weight is not second.weight


def test_boxes_start_at_their_references() -> None:
    head = small_head()
    head.init_weights()
    points, boxes = torch.rand(1, 6, 2), torch.rand(1, 6, 4)
    hidden = torch.randn(2, 1, 6, 8)
    first = head(hidden, [points, boxes, boxes], layer=0)
    last = head(hidden, [points, boxes, boxes])
    torch.testing.assert_close(first.boxes[..., :2], points)
    torch.testing.assert_close(first.boxes[..., 2:], torch.full((1, 6, 2), 1 / (1 + math.e**2)))
    torch.testing.assert_close(last.boxes, boxes)
    assert first.references.equal(points)
    assert last.references.equal(boxes[..., :2])


def test_boxes_are_the_refined_references_with_gradient(
    build: Callable[..., IDOL], images: Callable[..., torch.Tensor]
) -> None:
    model = build().eval()
    decoded = model.decode(images(1, 1)[:, 0], [(60, 90)])
    for layer in range(2):
        outputs = model.head(decoded.hidden, decoded.references, layer)
        torch.testing.assert_close(outputs.boxes, decoded.references[layer + 1])
        assert outputs.boxes.requires_grad


def test_masks_are_relative_to_references_in_pixels() -> None:
    head = small_head()
    features = torch.rand(2, 8, 4, 6)
    hidden, references = torch.randn(2, 2, 6, 8), [torch.rand(2, 6, 4)] * 3
    outputs = head(hidden, references)
    frames, queries = torch.tensor([1, 0, 1]), torch.tensor([5, 0, 2])
    sizes = torch.tensor([[30, 40], [32, 48]])
    masks = head.mask_logits(features, outputs, frames, queries, sizes)
    assert masks.shape == (3, 8, 12)
    for row, (frame, query) in enumerate(zip(frames.tolist(), queries.tolist(), strict=True)):
        height, width = sizes[frame].tolist()
        x, y = references[1][frame, query, :2].tolist()
        parameters = head.controller(hidden[1, frame, query])
        weights = parameters[:80].view(8, 10), parameters[80:144].view(8, 8), parameters[144:152]
        biases = parameters[152:160], parameters[160:168], parameters[168]
        for r, c in ((0, 0), (1, 3)):
            place = torch.tensor([x * width - (8 * c + 4), y * height - (8 * r + 4)])
            value = torch.cat([place, features[frame, :, r, c]])
            value = (weights[0] @ value + biases[0]).relu()
            value = (weights[1] @ value + biases[1]).relu()
            # Aligned upsampling by 2 keeps the values of the coarse map at odd cells.
            torch.testing.assert_close(
                masks[row, 2 * r + 1, 2 * c + 1], weights[2] @ value + biases[2]
            )


@pytest.mark.parametrize("number", [0, 1])
def test_number_of_masks(number: int) -> None:
    head = small_head()
    outputs = head(torch.randn(2, 1, 6, 8), [torch.rand(1, 6, 4)] * 3)
    index = torch.zeros(number, dtype=torch.long)
    masks = head.mask_logits(torch.rand(1, 8, 2, 3), outputs, index, index, torch.tensor([[9, 9]]))
    assert masks.shape == (number, 4, 6)
    assert masks.requires_grad


def test_stride_of_the_masks() -> None:
    assert IDOLHead(3, channels=8, num_layers=1).mask_stride == 4
    assert IDOLHead(3, channels=8, num_layers=1, mask_head={"stride": 4}).mask_stride == 2
