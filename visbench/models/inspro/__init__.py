# SPDX-License-Identifier: Apache-2.0
"""InsPro: propagation of instance queries and proposals (He et al., NeurIPS 2022)."""

from visbench.models.inspro.detector import InsPro, InsProState
from visbench.models.inspro.head import InsProHead
from visbench.models.inspro.losses import InsProCriterion
from visbench.models.inspro.tracking_by_detection import InsProTrackingByDetection

__all__ = [
    "InsPro",
    "InsProCriterion",
    "InsProHead",
    "InsProState",
    "InsProTrackingByDetection",
]
