# SPDX-License-Identifier: Apache-2.0
"""Seq Mask R-CNN of width 16, with the detector of MaskTrack R-CNN's case."""

from __future__ import annotations

import copy
from typing import Any

import torch

from visbench.models import VISModel
from visbench.testing.conformance.case import ConformanceCase
from visbench.testing.conformance.cases.masktrack_rcnn import (
    DETECTOR,
    WIDTH,
    find_no_box,
    spread_masks,
)


def _detector() -> dict[str, Any]:
    detector = copy.deepcopy(DETECTOR)
    detector["roi_head"]["mask_head"]["type"] = "SeqMaskHead"
    return detector


def _spread_masks_and_propagation(model: VISModel) -> None:
    # Initial weights make the foreground lose in every pixel or in none.
    spread_masks(model)
    torch.nn.init.normal_(model.prop_head.predictor.weight, std=0.5)


MODEL: dict[str, Any] = {
    "type": "SeqMaskRCNN",
    "detector": _detector(),
    "prop_head": {
        "type": "SeqPropHead",
        "in_channels": WIDTH,
        "shallow_channels": (WIDTH, 2 * WIDTH),
        "channels": WIDTH,
        "encoder_channels": 2 * WIDTH,
        "key_channels": 8,
        "value_channels": WIDTH,
    },
    "key_frames": {"type": "EvenKeyFrames", "num_key_frames": 3},
    "propose": {"memory_interval": 2, "max_memory_frames": 2, "mask_iou_threshold": 0.9},
    "score": {"type": "MeanOverMask"},
    "reduce": [{"type": "SequenceNMS", "iou_threshold": 0.9, "score_threshold": 0.0}],
    "score_threshold": 0.05,
    "max_predictions": 20,
}

CASE = ConformanceCase(
    name="SeqMaskRCNN",
    model=MODEL,
    silence=find_no_box,
    adjust=_spread_masks_and_propagation,
    clip_length=2,
    key_frames=(0,),
)
