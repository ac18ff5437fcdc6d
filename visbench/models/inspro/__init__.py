# SPDX-License-Identifier: Apache-2.0
"""InsPro: propagation of instance queries and proposals (He et al., NeurIPS 2022)."""

from visbench.models.inspro import checkpoint as _converters  # noqa: F401  (registers them)
from visbench.models.inspro.detector import InsPro, InsProState
from visbench.models.inspro.head import InsProHead
from visbench.models.inspro.lite import InsProLite
from visbench.models.inspro.losses import InsProCriterion
from visbench.models.inspro.track_detect import InsProTrackDetect, TrackDetectState
from visbench.models.inspro.tracking_by_detection import InsProTrackingByDetection

__all__ = [
    "InsPro",
    "InsProCriterion",
    "InsProHead",
    "InsProLite",
    "InsProState",
    "InsProTrackDetect",
    "InsProTrackingByDetection",
    "TrackDetectState",
]
