# SPDX-License-Identifier: Apache-2.0
"""Deformable convolution, plain (arXiv:1703.06211) and modulated (arXiv:1811.11168).

MMCV's operator names and argument orders around torchvision's operators. Offsets are (y, x) pairs
per kernel cell and deformable group, in cells of the input, as in MMCV and torchvision alike.
Half precision is computed in float32, as torchvision does under autocast.
"""

from __future__ import annotations

import torch
import torchvision  # noqa: F401  (registers torch.ops.torchvision)
from torch import Tensor

Pair = tuple[int, int]
Gradients = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


def deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    offset: Tensor,
    output: Tensor,
    columns: Tensor,
    ones: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    im2col_step: int,
) -> None:
    """Write the convolution of ``input`` (B, C, H, W) into ``output`` (B, out, Ho, Wo).

    ``weight`` is (out, C / group, kH, kW), ``offset`` (B, 2 * deformable_group * kH * kW, Ho, Wo).
    The buffers ``columns`` and ``ones`` and ``im2col_step`` are of no use here.
    """
    geometry = (dH, dW), (padH, padW), (dilationH, dilationW), group, deformable_group
    output.copy_(_forward(input, weight, offset, None, None, *geometry))


def deform_conv_backward_input(
    input: Tensor,
    offset: Tensor,
    gradOutput: Tensor,
    gradInput: Tensor,
    gradOffset: Tensor,
    weight: Tensor,
    columns: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    im2col_step: int,
) -> None:
    """Write the gradients on input and offsets; keep the one on the weights in ``columns``.

    MMCV asks for the gradient on the weights next, with the same buffer, and torchvision computes
    all of them at once.
    """
    geometry = (dH, dW), (padH, padW), (dilationH, dilationW), group, deformable_group
    gradients = _backward(gradOutput, input, weight, offset, None, *geometry)
    gradInput.copy_(gradients[0])
    gradOffset.copy_(gradients[2])
    columns.resize_(gradients[1].shape).copy_(gradients[1])


def deform_conv_backward_parameters(
    input: Tensor,
    offset: Tensor,
    gradOutput: Tensor,
    gradWeight: Tensor,
    columns: Tensor,
    ones: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    scale: float,
    im2col_step: int,
) -> None:
    """Add ``scale`` times the gradient on the weights to ``gradWeight``."""
    if columns.shape == gradWeight.shape:
        gradient = columns.clone()
        columns.resize_(0)  # what is kept belongs to one backward pass only
    else:
        geometry = (dH, dW), (padH, padW), (dilationH, dilationW), group, deformable_group
        gradient = _backward(gradOutput, input, gradWeight, offset, None, *geometry)[1]
    gradWeight.add_(gradient.to(gradWeight.dtype), alpha=scale)


def modulated_deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    output: Tensor,
    columns: Tensor,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    group: int,
    deformable_group: int,
    with_bias: bool,
) -> None:
    """Write the modulated convolution into ``output``.

    As :func:`deform_conv_forward` with ``mask`` (B, deformable_group * kH * kW, Ho, Wo) and, with
    ``with_bias``, ``bias`` (out,).
    """
    geometry = (
        (stride_h, stride_w),
        (pad_h, pad_w),
        (dilation_h, dilation_w),
        group,
        deformable_group,
    )
    output.copy_(_forward(input, weight, offset, mask, bias if with_bias else None, *geometry))


def modulated_deform_conv_backward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    columns: Tensor,
    grad_input: Tensor,
    grad_weight: Tensor,
    grad_bias: Tensor,
    grad_offset: Tensor,
    grad_mask: Tensor,
    grad_output: Tensor,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    group: int,
    deformable_group: int,
    with_bias: bool,
) -> None:
    """Write all gradients; ``grad_bias`` only with ``with_bias``."""
    geometry = (
        (stride_h, stride_w),
        (pad_h, pad_w),
        (dilation_h, dilation_w),
        group,
        deformable_group,
    )
    gradients = _backward(grad_output, input, weight, offset, mask, *geometry)
    targets = (grad_input, grad_weight, grad_offset, grad_mask, grad_bias)
    for target, gradient in zip(targets, gradients, strict=True):
        if target is not grad_bias or with_bias:
            target.copy_(gradient)


def _forward(
    input: Tensor,
    weight: Tensor,
    offset: Tensor,
    mask: Tensor | None,
    bias: Tensor | None,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    deform_groups: int,
) -> Tensor:
    arguments = _full_precision(input, weight, offset, mask, bias)
    output: Tensor = torch.ops.torchvision.deform_conv2d(
        *arguments, *stride, *padding, *dilation, groups, deform_groups, mask is not None
    )
    return output


def _backward(
    gradient: Tensor,
    input: Tensor,
    weight: Tensor,
    offset: Tensor,
    mask: Tensor | None,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    deform_groups: int,
) -> Gradients:
    """Return the gradients on input, weight, offset, mask and bias."""
    arguments = _full_precision(input, weight, offset, mask, None)
    result: Gradients = torch.ops.torchvision._deform_conv2d_backward(
        gradient.to(arguments[0].dtype).contiguous(),
        *arguments,
        *stride,
        *padding,
        *dilation,
        groups,
        deform_groups,
        mask is not None,
    )
    return result


def _full_precision(
    input: Tensor, weight: Tensor, offset: Tensor, mask: Tensor | None, bias: Tensor | None
) -> list[Tensor]:
    dtype = torch.promote_types(input.dtype, torch.float32)
    no_mask = input.new_zeros(input.shape[0], 1) if mask is None else mask
    no_bias = input.new_zeros(weight.shape[0]) if bias is None else bias
    tensors = (input, weight, offset, no_mask, no_bias)
    return [tensor.to(dtype).contiguous() for tensor in tensors]
