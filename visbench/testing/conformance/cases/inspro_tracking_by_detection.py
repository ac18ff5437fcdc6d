# SPDX-License-Identifier: Apache-2.0
"""InsPro's tracking by detection, of width 16."""

from __future__ import annotations

from typing import Any

from visbench.models import VISModel
from visbench.testing.conformance.case import ConformanceCase
from visbench.testing.conformance.cases import inspro


def _find_nothing(model: VISModel) -> None:
    model.test_cfg["frame_score_thr"] = 2.0


MODEL: dict[str, Any] = {
    **inspro.MODEL,
    "type": "InsProTrackingByDetection",
    "head": {
        **inspro.MODEL["head"],
        "propagate_query": False,
        "propagate_proposal": False,
        "bank_size": 1,
    },
    "criterion": {"type": "InsProCriterion", "tcm": False, "dedup_beta": 0.0},
    "track_head": {
        "type": "RoITrackHead",
        "roi_extractor": {
            "type": "SingleRoIExtractor",
            "roi_layer": {"type": "RoIAlign", "output_size": 7, "sampling_ratio": 2},
            "out_channels": inspro.WIDTH,
            "featmap_strides": [4, 8, 16],
        },
        "embed_head": {
            "type": "visbench.SignedRoIEmbedHead",
            "num_fcs": 2,
            "roi_feat_size": 7,
            "in_channels": inspro.WIDTH,
            "fc_out_channels": 32,
        },
    },
    "association": {"max_detections": 4, "max_instances": 6},
    # Untrained slots are hardly ever probable; every one counts as a detection.
    "test_cfg": {"top_k": 4, "frame_score_thr": 0.0},
}

CASE = ConformanceCase(
    name="InsProTrackingByDetection", model=MODEL, silence=_find_nothing, clip_length=3
)
