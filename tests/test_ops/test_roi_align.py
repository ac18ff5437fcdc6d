# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import mmcv.ops
import pytest
import torch
from torch import Tensor

from visbench.ops import roi_align as native

ROIS = torch.tensor(
    [
        [0, 4.0, 3.0, 50.0, 41.0],
        [1, -30.0, -20.0, 21.0, 33.0],
        [1, 60.0, 40.0, 120.0, 90.0],
        [0, 10.0, 10.0, 11.0, 10.5],
        [0, 300.0, 300.0, 320.0, 330.0],
        [1, 20.0, 5.0, 70.0, 8.0],
    ],
    dtype=torch.float64,
)
SETTINGS = [
    (mode, ratio, aligned) for mode in ("avg", "max") for ratio in (0, 1, 2) for aligned in (0, 1)
]


def features() -> Tensor:
    return torch.rand(2, 3, 6, 9, generator=torch.Generator().manual_seed(0)).double()


def bilinear(plane: Tensor, y: float, x: float) -> Tensor:
    height, width = plane.shape[1:]
    if y < -1 or y > height or x < -1 or x > width:
        return plane.new_zeros(len(plane))
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    total = plane.new_zeros(len(plane))
    for row in range(height):
        for column in range(width):
            total += max(0, 1 - abs(y - row)) * max(0, 1 - abs(x - column)) * plane[:, row, column]
    return total


def by_definition(maps: Tensor, mode: str, ratio: int, aligned: int, bins: tuple) -> Tensor:
    output = maps.new_zeros(len(ROIS), maps.shape[1], *bins)
    shift = 0.5 if aligned else 0.0
    for n, (image, *box) in enumerate(ROIS.tolist()):
        x1, y1, x2, y2 = (v / 8 - shift for v in box)
        width, height = x2 - x1, y2 - y1
        if not aligned:
            width, height = max(width, 1), max(height, 1)
        size = height / bins[0], width / bins[1]
        count = [ratio or math.ceil(s) for s in size]
        for i in range(bins[0]):
            for j in range(bins[1]):
                samples = [
                    bilinear(
                        maps[int(image)],
                        y1 + (i + (a + 0.5) / count[0]) * size[0],
                        x1 + (j + (b + 0.5) / count[1]) * size[1],
                    )
                    for a in range(count[0])
                    for b in range(count[1])
                ]
                stacked = torch.stack(samples)
                output[n, :, i, j] = stacked.mean(0) if mode == "avg" else stacked.amax(0)
    return output


@pytest.mark.parametrize(("mode", "ratio", "aligned"), SETTINGS)
def test_equals_the_definition(mode: str, ratio: int, aligned: int) -> None:
    maps = features()
    output = mmcv.ops.roi_align(maps, ROIS, (3, 2), 1 / 8, ratio, mode, bool(aligned))
    torch.testing.assert_close(output, by_definition(maps, mode, ratio, aligned, (3, 2)))


@pytest.mark.parametrize(("mode", "ratio", "aligned"), SETTINGS)
def test_gradients(mode: str, ratio: int, aligned: int) -> None:
    maps = features().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda m: mmcv.ops.roi_align(m, ROIS[:4], (2, 2), 1 / 8, ratio, mode, bool(aligned)), maps
    )


def test_chunks_do_not_change_maxima(monkeypatch: pytest.MonkeyPatch) -> None:
    maps = features()
    whole = mmcv.ops.roi_align(maps, ROIS, (3, 2), 1 / 8, 2, "max")
    monkeypatch.setattr(native, "CHUNK", 1)
    assert mmcv.ops.roi_align(maps, ROIS, (3, 2), 1 / 8, 2, "max").equal(whole)


@pytest.mark.parametrize("mode", ["avg", "max"])
def test_regions_without_samples_or_none_at_all(mode: str) -> None:
    maps = features().requires_grad_()
    empty = torch.tensor([[0, 8.0, 8.0, 8.0, 8.0]]).double()
    output = mmcv.ops.roi_align(maps, empty, (3, 2), 1 / 8, 0, mode)
    assert not output.any()
    assert not torch.autograd.grad(output.sum(), maps)[0].any()
    assert mmcv.ops.roi_align(maps, empty[:0], (3, 2), 1 / 8, 0, mode).shape == (0, 3, 3, 2)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("mode", ["avg", "max"])
def test_half_precision(dtype: torch.dtype, mode: str) -> None:
    maps, rois = features().to(dtype).requires_grad_(), ROIS.to(dtype)
    output = mmcv.ops.roi_align(maps, rois, 2, 1 / 8, 2, mode)
    expected = mmcv.ops.roi_align(maps.detach().float(), rois.float(), 2, 1 / 8, 2, mode)
    assert output.dtype == dtype
    torch.testing.assert_close(output, expected.to(dtype))
    assert torch.autograd.grad(output.float().sum(), maps)[0].isfinite().all()
