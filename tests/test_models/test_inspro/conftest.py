# SPDX-License-Identifier: Apache-2.0
"""A tiny InsPro and clips for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from visbench.models import InsPro
from visbench.registry import MODELS

# After visbench, which supplies mmcv's operators before mmdet is imported.
from mmdet.structures import DetDataSample, TrackDataSample  # isort: skip
from mmdet.structures.mask import BitmapMasks  # isort: skip

HEIGHT, WIDTH, WIDTH_OF_MODEL = 64, 96, 16


def tiny_config(
    criterion: dict | None = None,
    test_cfg: dict | None = None,
    model: dict | None = None,
    masks: bool = True,
    **head: Any,
) -> dict[str, Any]:
    """Return a model of width 16 with 6 slots, 2 stages and 3 classes; ``model`` comes last."""
    norm = {"type": "GN", "num_groups": 4}
    width = WIDTH_OF_MODEL
    return {
        "type": "visbench.InsPro",
        "backbone": {
            "type": "mmdet.ResNet",
            "depth": 18,
            "base_channels": width,
            "stem_channels": width,
            "norm_cfg": norm,
            "norm_eval": False,
        },
        "neck": {
            "type": "mmdet.FPN",
            "in_channels": [width, width * 2, width * 4, width * 8],
            "out_channels": width,
            "num_outs": 4,
        },
        "mask_branch": {
            "in_channels": width,
            "feat_channels": width,
            "start_level": 1,
            "end_level": 2,
            "out_channels": 8,
            "mask_stride": 8,
            "num_stacked_convs": 1,
            "norm_cfg": norm,
        }
        if masks
        else None,
        "head": {
            "type": "visbench.InsProHead",
            "num_classes": 3,
            "num_queries": 6,
            "num_stages": 2,
            "channels": width,
            "stage": {
                "num_heads": 2,
                "feedforward_channels": 32,
                "dynamic_channels": 4,
                "roi_size": 3,
            },
            "bank_size": 3,
            **head,
        },
        "criterion": {"type": "visbench.InsProCriterion", **(criterion or {})},
        "test_cfg": {"top_k": 4, **(test_cfg or {})},
        **(model or {}),
    }


@pytest.fixture
def build() -> Callable[..., InsPro]:
    """Return a function that builds the tiny model with changed fields."""

    def make(**fields: Any) -> InsPro:
        torch.manual_seed(0)
        model: InsPro = MODELS.build(tiny_config(**fields))
        model.init_weights()
        # The last layers start near zero; larger weights make every path visible.
        for stage in model.head.stages:
            torch.nn.init.normal_(stage.interaction.fc_reg.weight, std=0.1)
            torch.nn.init.normal_(stage.interaction.fc_cls.weight, std=0.5)
            if stage.controller is not None:
                torch.nn.init.normal_(stage.controller[-1].weight, std=0.2)
        return model

    return make


def sample_of(
    boxes: list[dict[int, tuple[int, int, int, int]]], size: tuple[int, int] = (HEIGHT, WIDTH)
) -> TrackDataSample:
    """Return a clip of one frame per entry, each the boxes (filled as masks) by object id."""
    frames = []
    for entry in boxes:
        masks = np.zeros((len(entry), *size), dtype=np.uint8)
        for mask, (left, top, right, bottom) in zip(masks, entry.values(), strict=True):
            mask[top:bottom, left:right] = 1
        frame = DetDataSample(metainfo={"img_shape": size, "ori_shape": size})
        frame.gt_instances = InstanceData(
            bboxes=torch.tensor(list(entry.values()), dtype=torch.float32).reshape(-1, 4),
            labels=torch.tensor([object_id % 3 for object_id in entry], dtype=torch.long),
            masks=BitmapMasks(masks, *size),
            instances_ids=torch.tensor(list(entry), dtype=torch.long),
        )
        frames.append(frame)
    sample = TrackDataSample()
    sample.video_data_samples = frames
    return sample


@pytest.fixture
def clips() -> tuple[torch.Tensor, list[TrackDataSample]]:
    """Return two clips of three frames; objects come, go and return."""
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(2, 3, 3, HEIGHT, WIDTH, generator=generator)
    first = sample_of(
        [
            {7: (5, 5, 30, 30), 2: (50, 20, 80, 60)},
            {2: (52, 20, 82, 60)},
            {7: (9, 5, 34, 30), 2: (54, 20, 84, 60), 5: (0, 40, 20, 64)},
        ]
    )
    second = sample_of([{}, {1: (10, 10, 40, 40)}, {1: (14, 10, 44, 40)}])
    return inputs, [first, second]


@pytest.fixture
def make_sample() -> Callable[..., TrackDataSample]:
    """Return :func:`sample_of`."""
    return sample_of


@pytest.fixture
def config() -> Callable[..., dict[str, Any]]:
    """Return :func:`tiny_config`."""
    return tiny_config
