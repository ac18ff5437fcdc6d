# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import mmcv.ops
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

GEOMETRIES = [(1, 1, 1, 1, 1), (2, 1, 1, 2, 1), (1, 2, 2, 1, 2), ((2, 1), (0, 1), (1, 2), 2, 2)]


def tensors(geometry: tuple, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    *_, groups, deform_groups = geometry
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

    x, weight = draw(2, 4, 6, 7), draw(2, 4 // groups, 3, 3)
    size = F.conv2d(x, weight, None, *geometry[:3], groups).shape[2:]
    return {
        "x": x,
        "offset": draw(2, deform_groups * 18, *size),
        "mask": draw(2, deform_groups * 9, *size).sigmoid(),
        "weight": weight,
        "bias": draw(2),
    }


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_without_offsets_it_is_a_convolution(geometry: tuple) -> None:
    t = tensors(geometry)
    expected = F.conv2d(t["x"], t["weight"], None, *geometry[:4])
    zero = torch.zeros_like(t["offset"])
    output = mmcv.ops.deform_conv2d(t["x"], zero, t["weight"], *geometry)
    torch.testing.assert_close(output, expected)
    modulated = mmcv.ops.modulated_deform_conv2d(
        t["x"], zero, torch.full_like(t["mask"], 0.5), t["weight"], t["bias"], *geometry
    )
    torch.testing.assert_close(modulated, expected / 2 + t["bias"][:, None, None])


def test_whole_offsets_move_the_input() -> None:
    t = tensors(GEOMETRIES[0])
    offset = torch.zeros_like(t["offset"])
    offset[:, 0::2], offset[:, 1::2] = 1.0, -2.0  # rows come first
    moved = F.pad(t["x"], (2, 0, 0, 1))[:, :, 1:, :7]
    output = mmcv.ops.deform_conv2d(t["x"], offset, t["weight"], 1, 1)
    expected = F.conv2d(moved, t["weight"], None, 1, 1)
    # At the other borders the two see different zeros.
    torch.testing.assert_close(output[..., 1:-1, :-1], expected[..., 1:-1, :-1])


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_gradients(geometry: tuple) -> None:
    t = {name: tensor.requires_grad_() for name, tensor in tensors(geometry).items()}
    x, offset, mask, weight, bias = t.values()
    # fast_mode compares directional derivatives, which spares hundreds of evaluations.
    assert torch.autograd.gradcheck(
        lambda *a: mmcv.ops.deform_conv2d(*a, *geometry), (x, offset, weight), fast_mode=True
    )
    assert torch.autograd.gradcheck(
        lambda *a: mmcv.ops.modulated_deform_conv2d(*a, *geometry),
        (x, offset, mask, weight, bias),
        fast_mode=True,
    )


def test_gradients_of_some_inputs_and_of_repeated_passes() -> None:
    geometry = GEOMETRIES[0]
    t = tensors(geometry)
    weight = t["weight"].requires_grad_()
    alone = mmcv.ops.deform_conv2d(t["x"], t["offset"], weight, *geometry)
    (expected,) = torch.autograd.grad(alone.square().sum(), weight)
    x = t["x"].clone().requires_grad_()
    output = mmcv.ops.deform_conv2d(x, t["offset"], weight, *geometry)
    loss = output.square().sum()
    for factor in (1, 2):  # nothing kept from one pass may leak into the next
        gradients = torch.autograd.grad(factor * loss, (x, weight), retain_graph=True)
        torch.testing.assert_close(gradients[1], factor * expected)


def test_no_bias() -> None:
    t = tensors(GEOMETRIES[0])
    weight = t["weight"].requires_grad_()
    output = mmcv.ops.modulated_deform_conv2d(t["x"], t["offset"], t["mask"], weight, None, 1, 1)
    full = mmcv.ops.modulated_deform_conv2d(t["x"], t["offset"], t["mask"], weight, t["bias"], 1, 1)
    torch.testing.assert_close(output + t["bias"][:, None, None], full)
    assert torch.autograd.grad(output.sum(), weight)[0].isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype: torch.dtype) -> None:
    t = tensors(GEOMETRIES[0], dtype)
    weight = t["weight"].requires_grad_()
    output = mmcv.ops.deform_conv2d(t["x"], t["offset"], weight, 1, 1)
    assert output.dtype == dtype
    full = mmcv.ops.deform_conv2d(t["x"].float(), t["offset"].float(), weight.float(), 1, 1)
    torch.testing.assert_close(output, full.to(dtype))
    assert torch.autograd.grad(output.float().sum(), weight)[0].dtype == dtype


def test_layers_of_mmcv_under_autocast() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 4, 6, 7)
    for layer in (
        mmcv.ops.DeformConv2dPack(4, 2, 3, padding=1),
        mmcv.ops.ModulatedDeformConv2dPack(4, 2, 3, padding=1),
    ):
        expected = layer(x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output = layer(x)
        output.float().sum().backward()
        torch.testing.assert_close(output.float(), expected, atol=0.05, rtol=0.05)
        assert layer.weight.grad.isfinite().all()
