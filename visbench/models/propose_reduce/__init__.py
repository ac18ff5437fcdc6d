# SPDX-License-Identifier: Apache-2.0
"""Propose-Reduce: object sequences from key frames, reduced to objects (Lin et al., ICCV 2021)."""

from visbench.models.propose_reduce import association as _association  # noqa: F401  (registers)
from visbench.models.propose_reduce import checkpoint as _converters  # noqa: F401  (registers them)
from visbench.models.propose_reduce.detector import SeqMaskRCNN
from visbench.models.propose_reduce.head import SeqPropHead
from visbench.models.propose_reduce.losses import PixelCrossEntropy, SoftIoULoss
from visbench.models.propose_reduce.mask_head import SeqMaskHead
from visbench.models.propose_reduce.reference import (
    ReferenceBBoxHead,
    ReferenceBoxCoder,
    ReferenceMaskHead,
    ReferenceRoIExtractor,
    ReferenceRPNHead,
    ReferenceSampler,
)

__all__ = [
    "PixelCrossEntropy",
    "ReferenceBBoxHead",
    "ReferenceBoxCoder",
    "ReferenceMaskHead",
    "ReferenceRPNHead",
    "ReferenceRoIExtractor",
    "ReferenceSampler",
    "SeqMaskHead",
    "SeqMaskRCNN",
    "SeqPropHead",
    "SoftIoULoss",
]
