# SPDX-License-Identifier: Apache-2.0
"""IAI, Instance As Identity: online segmentation by predicted ids (Zhu et al., ECCV 2022)."""

from visbench.models.iai.condinst import IAICondInst
from visbench.models.iai.identification import ConvIdentityBranch, FCIdentityBranch, IdentityBank
from visbench.models.iai.mask_rcnn import IAIMaskRCNN
from visbench.models.iai.segmenter import Detections, IdentitySegmenter

__all__ = [
    "ConvIdentityBranch",
    "Detections",
    "FCIdentityBranch",
    "IAICondInst",
    "IAIMaskRCNN",
    "IdentityBank",
    "IdentitySegmenter",
]
