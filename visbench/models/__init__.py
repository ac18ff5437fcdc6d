# SPDX-License-Identifier: Apache-2.0
"""Video instance segmentation methods and their common contract."""

import visbench.registry  # noqa: F401  (sets up the operators before mmdet is imported)

# isort: split
from visbench.models.base import OnlineVISModel, VISModel
from visbench.models.baselines import Mask2FormerVIS, MaskTrackRCNN
from visbench.models.data_preprocessor import ClipPreprocessor
from visbench.models.iai import IAI
from visbench.models.idol import IDOL
from visbench.models.inspro import InsPro, InsProLite, InsProTrackDetect
from visbench.models.propose_reduce import SeqMaskRCNN
from visbench.models.state import VideoState

__all__ = [
    "IAI",
    "IDOL",
    "ClipPreprocessor",
    "InsPro",
    "InsProLite",
    "InsProTrackDetect",
    "Mask2FormerVIS",
    "MaskTrackRCNN",
    "OnlineVISModel",
    "SeqMaskRCNN",
    "VISModel",
    "VideoState",
]
