# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest
import torch
from mmcv.cnn.bricks.transformer import MultiheadAttention

from visbench.models import IDOL
from visbench.models.idol.transformer import (
    DeformableAttention,
    IDOLTransformer,
    frame_padding,
    level_padding,
)

import mmcv.ops  # isort: skip  (after visbench, which makes this import work)

SHAPES = [(6, 9), (3, 5)]
CELLS = sum(height * width for height, width in SHAPES)


@pytest.mark.parametrize("coordinates", [2, 4])
def test_attention_equals_that_of_mmcv(coordinates: int) -> None:
    sizes = {"embed_dims": 16, "num_heads": 2, "num_levels": 2, "num_points": 3}
    ours = DeformableAttention(**sizes, dropout=0.0, batch_first=True)
    torch.nn.init.normal_(ours.sampling_offsets.weight)
    torch.nn.init.normal_(ours.attention_weights.weight)
    theirs = mmcv.ops.MultiScaleDeformableAttention(**sizes, dropout=0.0, batch_first=True)
    theirs.load_state_dict(ours.state_dict())
    inputs = {
        "query": torch.randn(2, 7, 16),
        "value": torch.randn(2, CELLS, 16),
        "query_pos": torch.randn(2, 7, 16),
        "reference_points": torch.rand(2, 7, 2, coordinates),
        "key_padding_mask": torch.rand(2, CELLS) > 0.7,
    }
    expected = theirs(
        **inputs,
        spatial_shapes=torch.tensor(SHAPES),
        level_start_index=torch.tensor([0, 54]),
    )
    torch.testing.assert_close(ours(**inputs, spatial_shapes=SHAPES), expected)


def test_attention_weights_sum_to_one_over_levels_and_points() -> None:
    attention = DeformableAttention(16, num_heads=2, num_levels=2, num_points=3)
    _, weights = attention.sampling(torch.randn(1, 4, 16), torch.rand(1, 4, 2, 2), SHAPES)
    torch.testing.assert_close(weights.sum(dim=(-1, -2)), torch.ones(1, 4, 2))


def test_positions_are_those_of_cell_centres() -> None:
    encoding = IDOLTransformer(8, num_levels=1, num_heads=2).positional_encoding
    mask = torch.zeros(1, 2, 4, dtype=torch.bool)
    mask[..., 3:] = True
    encoded = encoding(mask)
    centres = 2 * torch.pi * torch.tensor([0.5, 1.5, 2.5]) / 3
    torch.testing.assert_close(encoded[0, 4, 0, :3], centres.sin(), atol=1e-5, rtol=0)
    heights = 2 * torch.pi * torch.tensor([0.5, 1.5]) / 2
    torch.testing.assert_close(encoded[0, 1, :, 0], heights.cos(), atol=1e-5, rtol=0)


def test_padding_of_extra_levels_comes_from_the_finest_one() -> None:
    padding = frame_padding(torch.zeros(2, 3, 64, 96), [(64, 96), (40, 50)])
    shapes = [(8, 12), (4, 6), (2, 3), (1, 2)]
    masks = level_padding(padding, shapes, num_backbone_levels=3)
    assert not any(mask[0].any() for mask in masks)
    for mask, shape in zip(masks, shapes, strict=True):
        source = padding[1] if mask is not masks[3] else masks[0][1]
        rows = [source.shape[0] * row // shape[0] for row in range(shape[0])]
        columns = [source.shape[1] * column // shape[1] for column in range(shape[1])]
        assert mask[1].equal(source[rows][:, columns])


def test_gradient_reaches_the_initial_references_only(
    build: Callable[..., IDOL], images: Callable[..., torch.Tensor]
) -> None:
    decoded = build().decode(images(2, 1)[:, 0], [(64, 96), (50, 70)])
    first, *refined = decoded.references
    assert first.requires_grad
    assert first.shape == (2, 12, 2)
    assert [reference.shape for reference in refined] == [(2, 12, 4)] * 2
    assert not any(reference.requires_grad for reference in refined)


def test_initialisation() -> None:
    transformer = IDOLTransformer(16, num_levels=2, num_heads=4, num_queries=5)
    transformer.init_weights()
    attention = transformer.encoder.layers[0].self_attn
    assert not attention.sampling_offsets.weight.any()
    offsets = attention.sampling_offsets.bias.view(4, 2, 4, 2)
    expected = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    for point in range(4):
        torch.testing.assert_close(offsets[:, 1, point], expected * (point + 1), atol=1e-5, rtol=0)
    assert not transformer.reference_points_fc.bias.any()
    assert transformer.query_embedding.weight.shape == (5, 32)


def test_building_leaves_the_defaults_of_plain_attention() -> None:
    IDOLTransformer(channels=16, num_heads=2, feedforward_channels=16, dropout=0.3)
    default = inspect.signature(MultiheadAttention).parameters["dropout_layer"].default
    assert default["drop_prob"] == 0


def test_dropout_acts_in_every_layer() -> None:
    transformer = IDOLTransformer(channels=16, num_heads=2, feedforward_channels=16, dropout=0.3)
    rates = {m.p for m in transformer.modules() if isinstance(m, torch.nn.Dropout)}
    assert 0.3 in rates
    attention = transformer.decoder.layers[0].self_attn
    assert attention.attn.dropout == 0.3
    assert attention.dropout_layer.p == 0.3


def test_queries_can_start_on_a_grid_and_differ_in_their_place_alone() -> None:
    transformer = IDOLTransformer(16, num_heads=2, num_queries=6, query_grid=(2, 3))
    transformer.init_weights()
    position, content = transformer.query_embedding.weight.chunk(2, dim=1)
    points = transformer.reference_points_fc(position).sigmoid()
    expected = [[x / 6, y / 4] for y in (1, 3) for x in (1, 3, 5)]
    torch.testing.assert_close(points, torch.tensor(expected))
    assert (content == content[0]).all() and content.std() > 0
    assert len(position.unique(dim=0)) == 6


def test_queries_start_anywhere_without_a_grid() -> None:
    transformer = IDOLTransformer(16, num_heads=2, num_queries=6)
    transformer.init_weights()
    _, content = transformer.query_embedding.weight.chunk(2, dim=1)
    assert len(content.unique(dim=0)) == 6


def test_a_grid_has_a_place_for_every_query() -> None:
    with pytest.raises(ValueError, match=r"query_grid=\(2, 3\) has not num_queries=300"):
        IDOLTransformer(16, num_heads=2, query_grid=(2, 3))
