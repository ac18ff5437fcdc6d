# SPDX-License-Identifier: Apache-2.0
"""IAI's baseline of tracking by detection, of width 16 on CondInst."""

from __future__ import annotations

from typing import Any

import torch

from visbench.models import VISModel
from visbench.testing.conformance.case import ConformanceCase
from visbench.testing.conformance.cases import iai
from visbench.testing.conformance.networks import BACKBONE, NECK, WIDTH


def _find_nothing(model: VISModel) -> None:
    model.segmenter.test_cfg["cls_score_thr"] = 2.0


def _find_something(model: VISModel) -> None:
    # Initial probabilities of 0.01 and masks from constant parameters would find nothing.
    head = model.segmenter.head
    torch.nn.init.normal_(head.conv_cls.weight, std=0.5)
    torch.nn.init.zeros_(head.conv_cls.bias)
    torch.nn.init.normal_(head.controller.weight, std=0.3)
    torch.nn.init.constant_(head.conv_reg.bias, 2.0)


MODEL: dict[str, Any] = {
    "type": "IAITrackingByDetection",
    "backbone": BACKBONE,
    "neck": NECK,
    "segmenter": iai.MODEL["segmenter"],
    "track_head": {
        "type": "RoITrackHead",
        "roi_extractor": {
            "type": "SingleRoIExtractor",
            "roi_layer": {"type": "RoIAlign", "output_size": 7, "sampling_ratio": 2},
            "out_channels": WIDTH,
            "featmap_strides": [4],
        },
        "embed_head": {
            "type": "visbench.SignedRoIEmbedHead",
            "num_fcs": 2,
            "roi_feat_size": 7,
            "in_channels": WIDTH,
            "fc_out_channels": 32,
        },
    },
    "association": {"max_detections": 4, "max_instances": 6},
}

CASE = ConformanceCase(
    name="IAITrackingByDetection",
    model=MODEL,
    silence=_find_nothing,
    adjust=_find_something,
    clip_length=3,
)
