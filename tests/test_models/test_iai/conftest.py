# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import InstanceData
from torch import Tensor

from visbench.testing.conformance.cases import iai

SIZE = (64, 96)


@pytest.fixture
def levels() -> Callable[..., tuple[Tensor, ...]]:
    """Return a function that makes the levels of a neck for frames of 64x96 pixels."""

    def make(batch: int = 1) -> tuple[Tensor, ...]:
        generator = torch.Generator().manual_seed(1)
        return tuple(
            torch.randn(batch, iai.WIDTH, SIZE[0] // s, SIZE[1] // s, generator=generator)
            for s in (4, 8, 16)
        )

    return make


@pytest.fixture
def objects() -> Callable[..., InstanceData]:
    """Return a function that makes objects that fill their boxes."""

    def make(*boxes: tuple[int, int, int, int], ids: tuple[int, ...] = ()) -> InstanceData:
        masks = np.zeros((len(boxes), *SIZE), dtype=np.uint8)
        for mask, (left, top, right, bottom) in zip(masks, boxes, strict=True):
            mask[top:bottom, left:right] = 1
        return InstanceData(
            bboxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
            labels=torch.arange(len(boxes)) % 3,
            masks=BitmapMasks(masks, *SIZE),
            id_targets=torch.tensor(ids or tuple(range(len(boxes))), dtype=torch.long),
        )

    return make
