# SPDX-License-Identifier: Apache-2.0
"""IAI of width 16 on CondInst."""

from __future__ import annotations

from typing import Any

import torch

from visbench.models import VISModel
from visbench.testing.conformance.case import ConformanceCase
from visbench.testing.conformance.networks import BACKBONE, NECK, WIDTH

STRIDE = 16
_NORM = {"type": "GN", "num_groups": 4}

ASSOCIATION: dict[str, Any] = {
    "in_channels": 4 * WIDTH,
    "stride": STRIDE,
    "channels": WIDTH,
    "classification_channels": WIDTH,
    "block": {
        "self_heads": 2,
        "memory_heads": 2,
        "window": 5,
        "hidden_channels": 2 * WIDTH,
        "num_groups": 4,
    },
}


def _find_nothing(model: VISModel) -> None:
    model.segmenter.test_cfg["cls_score_thr"] = 2.0


def _find_something(model: VISModel) -> None:
    # Initial probabilities of 0.01 and masks from constant parameters would find nothing.
    head = model.segmenter.head
    for predictor in (head.conv_cls, head.id_branch.predictor):
        torch.nn.init.normal_(predictor.weight, std=0.5)
        torch.nn.init.zeros_(predictor.bias)
    torch.nn.init.normal_(head.controller.weight, std=0.3)
    torch.nn.init.constant_(head.conv_reg.bias, 2.0)


MODEL: dict[str, Any] = {
    "type": "IAI",
    "backbone": BACKBONE,
    "neck": {**NECK, "in_channels": [WIDTH, 2 * WIDTH, 3 * WIDTH]},
    "segmenter": {
        "type": "IAICondInst",
        "num_classes": 3,
        "head": {
            "in_channels": WIDTH,
            "feat_channels": WIDTH,
            "stacked_convs": 1,
            "strides": (4, 8, 16),
            # Each level has objects in the standard clip.
            "regress_ranges": ((-1, 14), (14, 18), (18, 1e8)),
            "norm_cfg": _NORM,
        },
        "mask_features": {
            "in_channels": WIDTH,
            "feat_channels": WIDTH,
            "start_level": 0,
            "end_level": 1,
            "out_channels": 4,
            "mask_stride": 4,
            "num_stacked_convs": 1,
            "norm_cfg": _NORM,
        },
        "test_cfg": {"max_per_frame": 5},
    },
    "association": ASSOCIATION,
    "num_ids": 8,
}

CASE = ConformanceCase(
    name="IAI",
    model=MODEL,
    silence=_find_nothing,
    adjust=_find_something,
    clip_length=3,
)
