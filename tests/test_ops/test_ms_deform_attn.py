# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable

import mmcv.ops.multi_scale_deform_attn as mmcv_attention
import pytest
import torch
from torch import Tensor

from visbench.ops.extension import original_attention
from visbench.ops.ms_deform_attn import (
    METHODS,
    ms_deform_attn,
    ms_deform_attn_backward,
    ms_deform_attn_forward,
)

SHAPES = [(5, 7), (3, 4), (1, 1)]


def inputs(
    dtype: torch.dtype = torch.float64, queries: int = 6, spread: float = 1.6, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    cells = sum(height * width for height, width in SHAPES)

    def draw(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, dtype=torch.float64)

    value = draw(2, cells, 3, 4) - 0.5
    locations = (draw(2, queries, 3, len(SHAPES), 2, 2) - 0.5) * spread + 0.5
    weights = draw(2, queries, 3, len(SHAPES), 2)
    return value.to(dtype), locations.to(dtype), weights.to(dtype)


def by_definition(value: Tensor, locations: Tensor, weights: Tensor) -> Tensor:
    """One point after the other: the value at a point is the bilinear mean of four cells."""
    batch, queries, heads, levels, points, _ = locations.shape
    output = value.new_zeros(batch, queries, heads, value.shape[-1])
    for b in range(batch):
        for q in range(queries):
            for h in range(heads):
                start = 0
                for level in range(levels):
                    height, width = SHAPES[level]
                    plane = value[b, start : start + height * width, h].view(height, width, -1)
                    start += height * width
                    for p in range(points):
                        x = float(locations[b, q, h, level, p, 0]) * width - 0.5
                        y = float(locations[b, q, h, level, p, 1]) * height - 0.5
                        for row in range(height):
                            for column in range(width):
                                share = max(0.0, 1 - abs(y - row)) * max(0.0, 1 - abs(x - column))
                                output[b, q, h] += (
                                    share * weights[b, q, h, level, p] * plane[row, column]
                                )
    return output.flatten(2)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("spread", [1.0, 1.6, 50.0])
def test_equals_the_definition(method: str, spread: float) -> None:
    value, locations, weights = inputs(spread=spread)
    output = ms_deform_attn(value, SHAPES, locations, weights, method=method)
    torch.testing.assert_close(output, by_definition(value, locations, weights))


@pytest.mark.parametrize("method", METHODS)
def test_gradients(method: str) -> None:
    tensors = [t.requires_grad_() for t in inputs(queries=2)]
    assert torch.autograd.gradcheck(
        lambda v, loc, w: ms_deform_attn(v, SHAPES, loc, w, method=method), tensors
    )


@pytest.mark.parametrize("required", [0, 1, 2])
def test_gradient_of_one_input_alone(required: int) -> None:
    tensors = list(inputs())
    tensors[required].requires_grad_()
    gradients = [
        torch.autograd.grad(
            ms_deform_attn(tensors[0], SHAPES, *tensors[1:], method=method).square().sum(),
            tensors[required],
        )[0]
        for method in METHODS
    ]
    assert gradients[0].abs().max() > 0
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("edge", [-0.5, 0.0, 0.5, 6.5, 7.0, 7.5, 1e6, -1e6])
def test_methods_agree_on_the_borders_of_cells(edge: float) -> None:
    value, locations, weights = inputs(queries=1)
    locations[..., 0] = edge / 7  # the width of the first level
    outputs, gradients = [], []
    for method in METHODS:
        cells = value.clone().requires_grad_()
        output = ms_deform_attn(cells, SHAPES, locations, weights, method=method)
        outputs.append(output)
        gradients.append(torch.autograd.grad(output.square().sum(), cells)[0])
    torch.testing.assert_close(outputs[0], outputs[1])
    torch.testing.assert_close(gradients[0], gradients[1])


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_locations_that_are_no_numbers_stay_inside_the_table(number: float) -> None:
    value, locations, weights = inputs(torch.float32)
    locations[0, 0, 0, 0, 0, 0] = number
    output = ms_deform_attn(value, SHAPES, locations, weights, method="gather")
    assert output[1].isfinite().all()


@pytest.mark.parametrize("method", METHODS)
def test_no_queries(method: str) -> None:
    value, locations, weights = inputs(queries=0)
    value.requires_grad_()
    output = ms_deform_attn(value, SHAPES, locations, weights, method=method)
    assert output.shape == (2, 0, 12)
    (gradient,) = torch.autograd.grad(output.sum(), value)
    assert not gradient.any()


def test_strided_inputs_give_the_same() -> None:
    value, locations, weights = inputs()
    strided = [t.transpose(1, 2).contiguous().transpose(1, 2) for t in (value, locations, weights)]
    torch.testing.assert_close(
        ms_deform_attn(strided[0], torch.tensor(SHAPES), *strided[1:]),
        ms_deform_attn(value, SHAPES, locations, weights),
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("method", METHODS)
def test_half_precision_is_computed_in_float32(dtype: torch.dtype, method: str) -> None:
    value, locations, weights = inputs(dtype)
    value.requires_grad_()
    output = ms_deform_attn(value, SHAPES, locations.float(), weights, method=method)
    expected = ms_deform_attn(value.float(), SHAPES, locations.float(), weights.float())
    assert output.dtype == dtype
    torch.testing.assert_close(output, expected.to(dtype))
    assert torch.autograd.grad(output.sum(), value)[0].dtype == dtype


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v, s, loc, w: (v[:, 1:], s, loc, w), "47 cells"),
        (lambda v, s, loc, w: (v, s, loc[..., 0], w), "sampling_locations"),
        (lambda v, s, loc, w: (v, s, loc[:1], w[:1]), "2 images"),
        (lambda v, s, loc, w: (v, s, loc, w[..., :1]), "attention_weights"),
        (lambda v, s, loc, w: (v[0], s, loc, w), "value"),
    ],
)
def test_shapes_that_do_not_fit(change: Callable[..., tuple], message: str) -> None:
    value, locations, weights = inputs()
    with pytest.raises(ValueError, match=message):
        ms_deform_attn(*change(value, SHAPES, locations, weights))


def test_unknown_method() -> None:
    value, locations, weights = inputs()
    with pytest.raises(ValueError, match="grid_sample"):
        ms_deform_attn(value, SHAPES, locations, weights, method="nearest")


def test_operators_under_the_names_of_mmcv() -> None:
    value, locations, weights = inputs()
    shapes = torch.tensor(SHAPES)
    start = torch.tensor([0, 35, 47])
    tensors = [t.clone().requires_grad_() for t in (value, locations, weights)]
    output = mmcv_attention.MultiScaleDeformableAttnFunction.apply(
        tensors[0], shapes, start, tensors[1], tensors[2], 64
    )
    expected = ms_deform_attn(*(tensors[0], SHAPES, tensors[1], tensors[2]))
    torch.testing.assert_close(output, expected)
    upstream = torch.rand_like(output)
    torch.testing.assert_close(
        torch.autograd.grad(output, tensors, upstream),
        torch.autograd.grad(expected, tensors, upstream),
    )
    assert ms_deform_attn_forward(value, shapes, start, locations, weights, 64).equal(expected)
    filled = [torch.full_like(t, 7) for t in (value, locations, weights)]
    ms_deform_attn_backward(value, shapes, start, locations, weights, upstream, *filled, 64)
    torch.testing.assert_close(
        tuple(filled),
        torch.autograd.grad(ms_deform_attn(tensors[0], SHAPES, *tensors[1:]), tensors, upstream),
    )


def test_attention_module_of_mmdetection_uses_the_replacement(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from mmdet.models.layers import DeformableDetrTransformerEncoder

    torch.manual_seed(0)
    attention = {"embed_dims": 32, "num_heads": 4, "num_levels": 3, "num_points": 2}
    layer = {
        "self_attn_cfg": {**attention, "dropout": 0.0, "batch_first": True},
        "ffn_cfg": {"embed_dims": 32, "feedforward_channels": 16, "ffn_drop": 0.0},
    }
    encoder = DeformableDetrTransformerEncoder(num_layers=2, layer_cfg=layer)
    encoder.init_weights()
    for parameter in encoder.parameters():  # offsets and weights start at 0
        parameter.data += 0.05 * torch.randn_like(parameter)
    query = torch.randn(2, 48, 32)
    arguments = {
        "query": query,
        "query_pos": torch.randn_like(query),
        "key_padding_mask": torch.zeros(2, 48, dtype=torch.bool),
        "spatial_shapes": torch.tensor(SHAPES),
        "level_start_index": torch.tensor([0, 35, 47]),
        "valid_ratios": torch.ones(2, 3, 2),
    }
    calls: list[int] = []

    def counted(*tensors: Tensor) -> Tensor:
        calls.append(1)
        return original_attention()(*tensors)

    def run() -> tuple[Tensor, ...]:
        output = encoder(**arguments)
        gradients = torch.autograd.grad(output.square().mean(), list(encoder.parameters()))
        return (output, *gradients)

    name = "multi_scale_deformable_attn_pytorch"
    assert getattr(mmcv_attention, name).__module__ == "visbench.ops.ms_deform_attn"
    ours = run()
    monkeypatch.setattr(mmcv_attention, name, counted)
    torch.testing.assert_close(ours, run(), atol=1e-5, rtol=1e-4)
    assert len(calls) == 2


def test_attention_module_under_autocast() -> None:
    torch.manual_seed(0)
    module = mmcv_attention.MultiScaleDeformableAttention(
        32, num_heads=4, num_levels=3, num_points=2, dropout=0.0, batch_first=True
    )
    query = torch.randn(2, 5, 32, requires_grad=True)
    arguments = {
        "value": torch.randn(2, 48, 32),
        "reference_points": torch.rand(2, 5, 3, 2),
        "spatial_shapes": torch.tensor(SHAPES),
        "level_start_index": torch.tensor([0, 35, 47]),
    }
    expected = module(query, **arguments)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = module(query, **arguments)
    output.float().sum().backward()
    torch.testing.assert_close(output.float(), expected, atol=0.05, rtol=0.05)
    assert query.grad is not None and query.grad.isfinite().all()
