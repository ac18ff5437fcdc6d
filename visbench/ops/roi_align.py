# SPDX-License-Identifier: Apache-2.0
"""RoIAlign (arXiv:1703.06870, section 3), average and maximum, under MMCV's operator names.

The average is torchvision's operator. The maximum, which torchvision lacks, is computed here from
the same sampling points.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
import torchvision  # noqa: F401  (registers torch.ops.torchvision)
from torch import Tensor

AVERAGE = 1  # value of pool_mode; 0 takes maxima
NO_SAMPLE = -2  # further out than the one cell around the map that still has values
# Samples held at once while taking maxima: bounds the memory, not the result.
CHUNK = 2**22


def roi_align_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Write pooled features into ``output``.

    Args:
        input: Features (B, C, H, W).
        rois: Regions (n, 5) as batch index, x1, y1, x2, y2 in image pixels.
        output: Receives the result (n, C, aligned_height, aligned_width).
        argmax_y: For the maximum, receives the row of the winning sample, of the shape of
            ``output``, in cells; -2, which is outside of the map, without sample.
        argmax_x: The same for the column.
        aligned_height: Rows of bins.
        aligned_width: Columns of bins.
        spatial_scale: Cells per image pixel.
        sampling_ratio: Samples per bin and axis; 0 takes as many as the bin has cells, rounded up.
        pool_mode: 0 maximum, 1 average of the samples of a bin.
        aligned: Shift by half a cell; without it a region is at least one cell wide and high.

    A region without samples (adaptive sampling, aligned, no extent) gives 0 in both modes; the
    compiled operator writes its initial value of the maximum there.
    """
    dtype = torch.promote_types(input.dtype, torch.float32)
    features, regions = input.to(dtype), rois.to(dtype)
    bins = (aligned_height, aligned_width)
    if pool_mode == AVERAGE:
        output.copy_(
            torch.ops.torchvision.roi_align(
                features, regions, spatial_scale, *bins, sampling_ratio, aligned
            )
        )
        return
    output.zero_()
    argmax_y.fill_(NO_SAMPLE)
    argmax_x.fill_(NO_SAMPLE)
    if not len(rois):
        return
    start, extent = _region_cells(regions, spatial_scale, aligned)
    samples = _samples_per_bin(extent, bins, sampling_ratio)
    for count in torch.unique(samples, dim=0).tolist():
        if min(count) < 1:
            continue
        members = (samples == samples.new_tensor(count)).all(1).nonzero()[:, 0]
        size = max(CHUNK // max(input.shape[1] * bins[0] * bins[1] * count[0] * count[1], 1), 1)
        for part in members.split(size):
            rows = _axis_samples(start[part, 1], extent[part, 1], bins[0], count[0])
            columns = _axis_samples(start[part, 0], extent[part, 0], bins[1], count[1])
            values, y, x = _maxima(features, regions[part, 0].long(), rows, columns, bins)
            output[part] = values.to(output.dtype)
            argmax_y[part] = y.to(argmax_y.dtype)
            argmax_x[part] = x.to(argmax_x.dtype)


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Write the gradient on the features into ``grad_input`` (B, C, H, W).

    See :func:`roi_align_forward` for the arguments.
    """
    dtype = torch.promote_types(grad_output.dtype, torch.float32)
    gradient = grad_output.to(dtype)
    if pool_mode == AVERAGE:
        grad_input.copy_(
            torch.ops.torchvision._roi_align_backward(
                gradient,
                rois.to(dtype),
                spatial_scale,
                aligned_height,
                aligned_width,
                *grad_input.shape,
                sampling_ratio,
                aligned,
            )
        )
        return
    _, channels, height, width = grad_input.shape
    indices, weights = _corners(argmax_y.to(dtype), argmax_x.to(dtype), height, width)
    channel = torch.arange(channels, device=rois.device)[:, None, None, None]
    image = rois[:, 0].long()[:, None, None, None, None]
    planes = (image * channels + channel) * (height * width)
    flat = grad_input.new_zeros(grad_input.numel(), dtype=dtype)
    flat.index_add_(0, (indices + planes).flatten(), (weights * gradient.unsqueeze(-1)).flatten())
    grad_input.copy_(flat.view(grad_input.shape))


def _region_cells(rois: Tensor, spatial_scale: float, aligned: bool) -> tuple[Tensor, Tensor]:
    """Return upper left corner and extent of the regions in cells, both (n, 2) as x, y."""
    shift = 0.5 if aligned else 0.0
    start = rois[:, 1:3] * spatial_scale - shift
    extent = rois[:, 3:5] * spatial_scale - shift - start
    return start, extent if aligned else extent.clamp(min=1)


def _samples_per_bin(extent: Tensor, bins: tuple[int, int], sampling_ratio: int) -> Tensor:
    """Return the number of samples per bin of every region, (n, 2) as y, x."""
    if sampling_ratio > 0:
        return torch.full_like(extent, sampling_ratio, dtype=torch.long)
    return (extent.flip(1) / extent.new_tensor(bins)).ceil().long()


def _axis_samples(start: Tensor, extent: Tensor, bins: int, count: int) -> Tensor:
    """Return the coordinates of the samples along one axis, (n, bins * count)."""
    size = extent / bins
    index = torch.arange(bins, device=start.device).to(start)
    within = (torch.arange(count, device=start.device).to(start) + 0.5) / count
    steps = index[:, None] * size[:, None, None] + within * size[:, None, None]
    return (start[:, None, None] + steps).flatten(1)


def _maxima(
    features: Tensor, images: Tensor, rows: Tensor, columns: Tensor, bins: tuple[int, int]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the largest sample of each bin and its row and column, each (n, C, *bins)."""
    number = len(images)
    _, channels, height, width = features.shape
    y = rows[:, :, None].expand(-1, -1, columns.shape[1])
    x = columns[:, None, :].expand(-1, rows.shape[1], -1)
    indices, weights = _corners(y, x, height, width)
    table = features.permute(0, 2, 3, 1).reshape(-1, channels)
    values = F.embedding_bag(
        (indices + images[:, None, None, None] * (height * width)).view(-1, 4),
        table,
        per_sample_weights=weights.reshape(-1, 4),
        mode="sum",
    )

    def by_bin(samples: Tensor) -> Tensor:
        grid = (bins[0], rows.shape[1] // bins[0], bins[1], columns.shape[1] // bins[1])
        return samples.reshape(number, *grid, -1).permute(0, 5, 1, 3, 2, 4).flatten(4)

    best, where = by_bin(values).max(-1)
    where = where.unsqueeze(-1)
    best_y, best_x = (by_bin(c).expand(-1, channels, -1, -1, -1).gather(-1, where) for c in (y, x))
    return best, best_y[..., 0], best_x[..., 0]


def _corners(y: Tensor, x: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return indices into a plane and bilinear weights of the cells around points, (..., 4).

    Up to one cell outside of the plane a point has the value of the nearest cell, further out 0.
    """
    inside = (y >= -1) & (y <= height) & (x >= -1) & (x <= width)
    y, x = y.clamp(0, height - 1), x.clamp(0, width - 1)
    top, left = y.floor(), x.floor()
    fy, fx = y - top, x - left
    top, left = top.long(), left.long()
    bottom, right = (top + 1).clamp(max=height - 1), (left + 1).clamp(max=width - 1)
    indices = torch.stack(
        [top * width + left, top * width + right, bottom * width + left, bottom * width + right], -1
    )
    weights = torch.stack([(1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx], -1)
    return indices, weights * inside.unsqueeze(-1)
