# SPDX-License-Identifier: Apache-2.0
"""Propose-Reduce: sequence proposals and their reduction (Lin et al., ICCV 2021)."""

from visbench.models.propose_reduce import checkpoint as _converters  # noqa: F401  (registers them)
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
    "ReferenceBBoxHead",
    "ReferenceBoxCoder",
    "ReferenceMaskHead",
    "ReferenceRPNHead",
    "ReferenceRoIExtractor",
    "ReferenceSampler",
    "SeqMaskHead",
]
