# SPDX-License-Identifier: Apache-2.0
"""A tiny IDOL and pairs of frames for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from visbench.models import IDOL
from visbench.registry import MODELS
from visbench.testing.conformance.cases.idol import MODEL

# After visbench, which supplies mmcv's operators before mmdet is imported.
from mmdet.structures import DetDataSample, TrackDataSample  # isort: skip
from mmdet.structures.mask import BitmapMasks  # isort: skip

SIZE = (64, 96)

Box = tuple[int, int, int, int]


@pytest.fixture
def build() -> Callable[..., IDOL]:
    """Return a function that builds the tiny model with changed fields."""

    def make(**fields: Any) -> IDOL:
        torch.manual_seed(0)
        model: IDOL = MODELS.build({**MODEL, **fields})
        model.init_weights()
        # Box layers start at zero; larger weights make every path visible.
        for branch in model.head.reg_branches:
            torch.nn.init.normal_(branch[-1].weight, std=0.1)
        return model

    return make


def frame_of(objects: dict[int, Box], size: tuple[int, int] = SIZE) -> DetDataSample:
    """Return a frame with boxes (filled as masks) by object id; the class is the id modulo 3."""
    masks = np.zeros((len(objects), *size), dtype=np.uint8)
    for mask, (left, top, right, bottom) in zip(masks, objects.values(), strict=True):
        mask[top:bottom, left:right] = 1
    frame = DetDataSample(
        metainfo={"img_shape": size, "ori_shape": size, "batch_input_shape": SIZE}
    )
    frame.gt_instances = InstanceData(
        bboxes=torch.tensor(list(objects.values()), dtype=torch.float32).reshape(-1, 4),
        labels=torch.tensor([number % 3 for number in objects], dtype=torch.long),
        masks=BitmapMasks(masks, *size),
        instances_ids=torch.tensor(list(objects), dtype=torch.long),
    )
    return frame


@pytest.fixture
def pair_of() -> Callable[..., TrackDataSample]:
    """Return a function that makes a clip of frames given as boxes by object id."""

    def make(*frames: dict[int, Box], key: int = 0, **fields: Any) -> TrackDataSample:
        others = [index for index in range(len(frames)) if index != key]
        sample = TrackDataSample(metainfo={"key_frames_inds": [key], "ref_frames_inds": others})
        sample.video_data_samples = [frame_of(frame, **fields) for frame in frames]
        return sample

    return make


@pytest.fixture
def images() -> Callable[..., torch.Tensor]:
    """Return a function that makes ``(clips, frames, 3, 64, 96)`` random frames."""

    def make(clips: int = 1, frames: int = 2) -> torch.Tensor:
        generator = torch.Generator().manual_seed(1)
        return torch.randn(clips, frames, 3, *SIZE, generator=generator)

    return make
