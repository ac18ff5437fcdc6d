# SPDX-License-Identifier: Apache-2.0
"""IAI, Instance As Identity: online segmentation by predicted ids (Zhu et al., ECCV 2022)."""

from visbench.models.iai import checkpoint as _converters  # noqa: F401  (registers them)
from visbench.models.iai.association_module import AssociationModule
from visbench.models.iai.condinst import IAICondInst
from visbench.models.iai.detector import IAI, IAIState
from visbench.models.iai.identification import ConvIdentityBranch, FCIdentityBranch, IdentityBank
from visbench.models.iai.mask_rcnn import IAIMaskRCNN
from visbench.models.iai.segmenter import Detections, IdentitySegmenter
from visbench.models.iai.tracking_by_detection import IAITrackingByDetection

__all__ = [
    "IAI",
    "AssociationModule",
    "ConvIdentityBranch",
    "Detections",
    "FCIdentityBranch",
    "IAICondInst",
    "IAIMaskRCNN",
    "IAIState",
    "IAITrackingByDetection",
    "IdentityBank",
    "IdentitySegmenter",
]
