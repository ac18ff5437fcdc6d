# SPDX-License-Identifier: Apache-2.0
"""Multi-scale deformable attention (Deformable DETR, arXiv:2010.04159, equation 3).

Two formulations give the same result. ``gather`` reads all bilinear corners of all points of all
levels with one ``embedding_bag`` whose per-sample weights are the products of attention weight
and bilinear weight; it is the fastest on a CPU, in inference and in training (see
``benchmarks/ops.py``). ``grid_sample`` samples each level by itself and works on every device.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

METHODS = ("gather", "grid_sample")
# Measured with benchmarks/ops.py; devices that are not listed use grid_sample.
FASTEST_METHOD = {"cpu": "gather"}

Shapes = list[tuple[int, int]]


def ms_deform_attn(
    value: Tensor,
    spatial_shapes: Tensor | Sequence[tuple[int, int]],
    sampling_locations: Tensor,
    attention_weights: Tensor,
    method: str | None = None,
) -> Tensor:
    """Sample every level at the given locations and sum the samples with the given weights.

    Sampling is bilinear with zeros outside of the map, as ``grid_sample`` with
    ``align_corners=False``: location (0, 0) is the upper left corner of the upper left cell and
    (1, 1) the lower right corner of the lower right cell.

    Args:
        value: Projected features (B, S, heads, D); S is the sum of height * width over the levels,
            each level stored row by row.
        spatial_shapes: (height, width) of each of the L levels, a tensor (L, 2) or plain numbers.
        sampling_locations: Normalised (x, y), shape (B, Q, heads, L, P, 2), anywhere on the plane.
        attention_weights: Weight of each point, shape (B, Q, heads, L, P).
        method: ``gather`` or ``grid_sample``; by default the fastest one measured on the device.

    Returns:
        Attended features (B, Q, heads * D) in the dtype of ``value``. Half precision is computed
        in float32. Differentiable once with respect to value, locations and weights.

    Raises:
        ValueError: The shapes do not fit together, or the method is unknown.
    """
    shapes = _level_shapes(spatial_shapes)
    _check_shapes(value, shapes, sampling_locations, attention_weights)
    if method is None:
        method = FASTEST_METHOD.get(value.device.type, "grid_sample")
    if method not in METHODS:
        raise ValueError(f"method: {method!r} is unknown; choose one of {', '.join(METHODS)}")
    dtype = torch.promote_types(value.dtype, torch.float32)
    sample = _gather if method == "gather" else _grid_sample
    output = sample(
        value.to(dtype), shapes, sampling_locations.to(dtype), attention_weights.to(dtype)
    )
    return output.to(value.dtype)


def multi_scale_deformable_attn(
    value: Tensor,
    value_spatial_shapes: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
) -> Tensor:
    """Do what MMCV's ``multi_scale_deformable_attn_pytorch`` does, with its argument names.

    See :func:`ms_deform_attn` for shapes and errors.
    """
    return ms_deform_attn(value, value_spatial_shapes, sampling_locations, attention_weights)


def ms_deform_attn_forward(
    value: Tensor,
    value_spatial_shapes: Tensor,
    value_level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    im2col_step: int,
) -> Tensor:
    """Forward operator under MMCV's name; levels must be stored one after the other.

    See :func:`ms_deform_attn` for shapes and errors.
    """
    return ms_deform_attn(value, value_spatial_shapes, sampling_locations, attention_weights)


def ms_deform_attn_backward(
    value: Tensor,
    value_spatial_shapes: Tensor,
    value_level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    grad_output: Tensor,
    grad_value: Tensor,
    grad_sampling_loc: Tensor,
    grad_attn_weight: Tensor,
    im2col_step: int,
) -> None:
    """Backward operator under MMCV's name; writes into the three gradient tensors."""
    with torch.enable_grad():
        inputs = [
            t.detach().requires_grad_() for t in (value, sampling_locations, attention_weights)
        ]
        output = ms_deform_attn(inputs[0], value_spatial_shapes, inputs[1], inputs[2])
        gradients = torch.autograd.grad(output, inputs, grad_output.to(output.dtype))
    for target, gradient in zip(
        (grad_value, grad_sampling_loc, grad_attn_weight), gradients, strict=True
    ):
        target.copy_(gradient)


def _level_shapes(spatial_shapes: Tensor | Sequence[tuple[int, int]]) -> Shapes:
    rows = spatial_shapes.tolist() if isinstance(spatial_shapes, Tensor) else spatial_shapes
    return [(int(height), int(width)) for height, width in rows]


def _check_shapes(value: Tensor, shapes: Shapes, locations: Tensor, weights: Tensor) -> None:
    if value.dim() != 4:
        raise ValueError(f"value: expected (batch, cells, heads, channels), not {value.shape}")
    cells = sum(height * width for height, width in shapes)
    if value.shape[1] != cells:
        raise ValueError(
            f"value: has {value.shape[1]} cells, but spatial_shapes {shapes} make {cells}"
        )
    batch, _, heads, _ = value.shape
    if locations.dim() != 6 or locations.shape[-1] != 2:
        raise ValueError(
            "sampling_locations: expected (batch, queries, heads, levels, points, 2), "
            f"not {tuple(locations.shape)}"
        )
    if (locations.shape[0], *locations.shape[2:4]) != (batch, heads, len(shapes)):
        raise ValueError(
            f"sampling_locations: {tuple(locations.shape)} does not fit {batch} images, "
            f"{heads} heads and {len(shapes)} levels"
        )
    if weights.shape != locations.shape[:-1]:
        raise ValueError(
            f"attention_weights: expected {tuple(locations.shape[:-1])}, not {tuple(weights.shape)}"
        )


def _grid_sample(value: Tensor, shapes: Shapes, locations: Tensor, weights: Tensor) -> Tensor:
    batch, _, heads, channels = value.shape
    queries = locations.shape[1]
    by_head = value.permute(0, 2, 3, 1).flatten(0, 1)  # (B * heads, D, S)
    grids = (2 * locations - 1).transpose(1, 2).flatten(0, 1)  # (B * heads, Q, L, P, 2)
    scales = weights.transpose(1, 2).flatten(0, 1)  # (B * heads, Q, L, P)
    output = value.new_zeros(batch * heads, channels, queries)
    start = 0
    for level, (height, width) in enumerate(shapes):
        cells = by_head[..., start : start + height * width]
        start += height * width
        cells = cells.reshape(batch * heads, channels, height, width)
        samples = F.grid_sample(cells, grids[:, :, level], align_corners=False)
        output = output + (samples * scales[:, None, :, level]).sum(-1)
    return output.view(batch, heads * channels, queries).transpose(1, 2).contiguous()


def _gather(value: Tensor, shapes: Shapes, locations: Tensor, weights: Tensor) -> Tensor:
    batch, _, heads, channels = value.shape
    queries = locations.shape[1]
    rows = _zero_bordered(value, shapes)  # (B, heads, rows, D)
    indices, corner_weights = _CornerWeights.apply(locations, weights, shapes, rows.shape[2])
    rows = rows.flatten(0, 2)
    bags = (batch * queries * heads, 4 * weights.shape[3:].numel())
    indices, corner_weights = indices.reshape(bags), corner_weights.reshape(bags)
    output = F.embedding_bag(indices, rows.detach(), per_sample_weights=corner_weights, mode="sum")
    if rows.requires_grad and torch.is_grad_enabled():
        output = _GradientToRows.apply(output, rows, indices, corner_weights.detach())
    return output.view(batch, queries, heads * channels)


def _zero_bordered(value: Tensor, shapes: Shapes) -> Tensor:
    """Return the cells of each head (B, heads, rows, D) with zeros around every level.

    A level of height h and width w takes h + 2 rows of w + 1 cells: the first cell of each row is
    the border left of it and right of the row before. One more zero closes the last level.
    """
    batch, _, heads, channels = value.shape
    total = sum((height + 2) * (width + 1) for height, width in shapes) + 1
    rows = value.new_zeros(batch, heads, total, channels)
    start = begin = 0
    for height, width in shapes:
        stop, end = start + height * width, begin + (height + 2) * (width + 1)
        level = rows[:, :, begin:end].view(batch, heads, height + 2, width + 1, channels)
        cells = value[:, start:stop].reshape(batch, height, width, heads, channels)
        level[:, :, 1:-1, 1:] = cells.permute(0, 3, 1, 2, 4)
        start, begin = stop, end
    return rows


class _GradientToRows(torch.autograd.Function):
    """Passes weighted sums of rows on and adds the gradient on the rows.

    The gradient is a weighted sum as well, over the outputs that read a row. Sorting the indices
    once and summing with ``embedding_bag`` takes less than half the time of PyTorch's own backward
    of ``embedding_bag`` on a CPU, and its result does not depend on the number of threads.
    """

    @staticmethod
    def forward(ctx: Any, output: Tensor, rows: Tensor, indices: Tensor, weights: Tensor) -> Tensor:
        """Return the output, which has been computed without the rows in the graph."""
        ctx.save_for_backward(indices, weights)
        ctx.rows = rows.shape[0]
        return output.view_as(output)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients on the output and on the rows."""
        indices, weights = ctx.saved_tensors
        order = torch.argsort(indices.flatten(), stable=True)
        counts = torch.bincount(indices.flatten(), minlength=ctx.rows)
        grad_rows = F.embedding_bag(
            torch.div(order, indices.shape[1], rounding_mode="floor"),
            grad.contiguous(),
            counts.cumsum(0) - counts,
            per_sample_weights=weights.flatten().index_select(0, order),
            mode="sum",
        )
        return grad, grad_rows, None, None


class _CornerWeights(torch.autograd.Function):
    """Indices into the bordered cells and weights of the four corners around every location."""

    @staticmethod
    def forward(
        ctx: Any, locations: Tensor, weights: Tensor, shapes: Shapes, rows: int
    ) -> tuple[Tensor, Tensor]:
        """Return indices and weights, both (B, Q, heads, L, P, 4)."""
        batch, _, heads, _, points, _ = locations.shape
        device = locations.device
        index_type = torch.int32 if batch * heads * rows < 2**31 else torch.int64
        # One value for every point: broadcasting over a few numbers is several times slower.
        sizes = torch.tensor([[(w, h)] for h, w in shapes], dtype=index_type, device=device)
        last = sizes.expand(heads, -1, points, 2).contiguous()  # (heads, L, P, 2) as x, y
        size = last.to(locations.dtype)
        position = torch.addcmul(locations.new_tensor(0.5), locations, size)
        inside = None
        if ctx.needs_input_grad[0]:
            inside = (position >= 0) & (position < size + 1)
        position = torch.minimum(position.clamp_(min=0), size + 1)
        # Clamped as integers once more: a location that is NaN must not index beyond the table.
        cell = torch.minimum(position.to(index_type).clamp_(min=0), last)
        fraction = position.sub_(cell)
        stride = sizes[..., 0] + 1  # (L, 1)
        begin = torch.cumsum((sizes[..., 1] + 2) * stride, 0, dtype=index_type)
        begin = begin - (sizes[..., 1] + 2) * stride
        table = torch.arange(batch * heads, dtype=index_type, device=device) * rows
        base = torch.addcmul(cell[..., 0], cell[..., 1], last[..., 0] + 1)
        base += (begin + table.view(batch, 1, heads, 1, 1)).expand(-1, -1, -1, -1, points)
        zero = torch.zeros_like(stride)
        corners = torch.stack([zero, zero + 1, stride, stride + 1], -1)  # (L, 1, 4)
        ctx.save_for_backward(weights, fraction, inside, size)
        indices = base.unsqueeze(-1) + corners
        ctx.mark_non_differentiable(indices)
        return indices, _corner_products(weights, fraction)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, _: Tensor, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients on locations and attention weights."""
        weights, fraction, inside, size = ctx.saved_tensors
        x, y = fraction.unbind(-1)
        upper_left, upper_right, lower_left, lower_right = grad.unbind(-1)
        upper = torch.lerp(upper_left, upper_right, x)
        lower = torch.lerp(lower_left, lower_right, x)
        grad_locations = grad_weights = None
        if ctx.needs_input_grad[1]:
            grad_weights = torch.lerp(upper, lower, y)
        if ctx.needs_input_grad[0]:
            grad_locations = torch.empty_like(fraction)
            slope_x = torch.lerp(upper_right - upper_left, lower_right - lower_left, y)
            torch.mul(slope_x, weights, out=grad_locations[..., 0])
            torch.mul(lower - upper, weights, out=grad_locations[..., 1])
            grad_locations.mul_(inside).mul_(size)
        return grad_locations, grad_weights, None, None


def _corner_products(weights: Tensor, fraction: Tensor) -> Tensor:
    x, y = fraction.unbind(-1)
    products = weights.new_empty(*weights.shape, 4)
    upper_left, upper_right, lower_left, lower_right = products.unbind(-1)
    lower = weights * y
    upper = weights - lower
    torch.mul(upper, x, out=upper_right)
    torch.sub(upper, upper_right, out=upper_left)
    torch.mul(lower, x, out=lower_right)
    torch.sub(lower, lower_right, out=lower_left)
    return products
