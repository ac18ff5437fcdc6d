# SPDX-License-Identifier: Apache-2.0
"""InsPro of width 16, with masks and with boxes only."""

from __future__ import annotations

from typing import Any

from visbench.models import VISModel
from visbench.testing.conformance.case import ConformanceCase
from visbench.testing.conformance.networks import BACKBONE, NECK, WIDTH


def _find_nothing(model: VISModel) -> None:
    model.test_cfg["frame_score_thr"] = 2.0


MODEL: dict[str, Any] = {
    "type": "InsPro",
    "backbone": BACKBONE,
    "neck": NECK,
    "head": {
        "type": "InsProHead",
        "num_classes": 3,
        "num_queries": 8,
        "num_stages": 2,
        "channels": WIDTH,
        "stage": {"roi_size": 5, "num_heads": 2, "feedforward_channels": 32},
        "strides": (4, 8, 16),
        "bank_size": 2,
    },
    "mask_branch": {
        "in_channels": WIDTH,
        "feat_channels": WIDTH,
        "start_level": 0,
        "end_level": 2,
        "out_channels": 8,
        "mask_stride": 4,
        "num_stacked_convs": 1,
        "norm_cfg": {"type": "GN", "num_groups": 4},
    },
    "criterion": {"type": "InsProCriterion"},
    "test_cfg": {"top_k": 4},
}

CASE = ConformanceCase(name="InsPro", model=MODEL, silence=_find_nothing, clip_length=3)
BOXES_CASE = ConformanceCase(
    name="InsPro, boxes only",
    model={**MODEL, "mask_branch": None},
    silence=_find_nothing,
    clip_length=3,
)
