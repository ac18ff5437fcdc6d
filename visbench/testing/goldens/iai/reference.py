# SPDX-License-Identifier: Apache-2.0
"""The reference model of IAI's golden cases and their ground truth, in terms of the library."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import InstanceData
from torch import Tensor

from visbench.models.iai.condinst import IAICondInst
from visbench.registry import MODELS
from visbench.testing.parity import GoldenCase
from visbench.testing.seeded_weights import seeded_input

CHANNELS = 256
STRIDES = (8, 16, 32, 64, 128)


def seeded(golden: GoldenCase, name: str, shape: Any, low: float = -2, high: float = 2) -> Tensor:
    """Return an input that is not stored; ``name`` is the one of the group's README."""
    return seeded_input(golden.meta.get("input_prefix", "") + name, shape, low, high)


def segmenter_config(golden: GoldenCase) -> dict[str, Any]:
    """Return the config of CondInst with ids in the sizes of the reference."""
    return {
        "type": "IAICondInst",
        "num_classes": int(golden.setting("num_classes")),
        "num_ids": int(golden.setting("num_ids")),
        "head": {
            "in_channels": CHANNELS,
            "feat_channels": CHANNELS,
            "stacked_convs": 4,
            "strides": STRIDES,
            "loss_bbox": {"type": "mmdet.GIoULoss", "eps": 1e-6},
        },
        "mask_features": {
            "in_channels": CHANNELS,
            "feat_channels": 128,
            "start_level": 0,
            "end_level": 2,
            "out_channels": 8,
            "mask_stride": STRIDES[0],
            "num_stacked_convs": 4,
            "norm_cfg": {"type": "BN"},
        },
    }


def build_segmenter(golden: GoldenCase) -> IAICondInst:
    """Return the segmenter in evaluation mode, with weights of its own."""
    segmenter: IAICondInst = MODELS.build(segmenter_config(golden))
    return segmenter.eval()


def ground_truth(golden: GoldenCase, ids: str = "gt_ids") -> list[InstanceData]:
    """Return the stored objects of every image.

    Args:
        golden: The case.
        ids: Array that becomes ``id_targets``; ``gt_ids`` become ``instances_ids`` as well.
    """
    counts = golden["gt_count"]
    if counts.sum() != len(golden["gt_bboxes"]):
        raise ValueError(f"{golden.path}: gt_count {counts.tolist()} does not fit gt_bboxes")
    ends = np.cumsum(counts)
    height, width = golden["gt_masks"].shape[1:]
    frames = []
    for start, end in zip(ends - counts, ends, strict=True):
        part = slice(int(start), int(end))
        frames.append(
            InstanceData(
                bboxes=torch.from_numpy(golden["gt_bboxes"][part]),
                labels=torch.from_numpy(golden["gt_labels"][part]),
                masks=BitmapMasks(golden["gt_masks"][part].astype(np.uint8), height, width),
                id_targets=torch.from_numpy(golden[ids][part]),
                instances_ids=torch.from_numpy(golden["gt_ids"][part]),
            )
        )
    return frames
