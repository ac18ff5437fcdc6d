# SPDX-License-Identifier: Apache-2.0
"""Transforms of clips."""

import visbench.registry  # noqa: F401  (sets up the operators before mmdet is imported)

# isort: split
from visbench.datasets.transforms.broadcast import ChooseTransforms, ClipBroadcaster, JitterClip
from visbench.datasets.transforms.formatting import PackClip
from visbench.datasets.transforms.guidance import (
    SampleGuidance,
    SelectGuidance,
    guidance_positions,
)
from visbench.datasets.transforms.loading import LoadFrame
from visbench.datasets.transforms.reference import (
    ReferenceLoadTrackAnnotations,
    ReferenceRandomFlip,
    ReferenceResize,
)
from visbench.datasets.transforms.sampling import (
    FrameSampler,
    SampleClip,
    SampleGapClip,
    SampleGrowingClip,
    SampleKeyReference,
)

__all__ = [
    "ChooseTransforms",
    "ClipBroadcaster",
    "FrameSampler",
    "JitterClip",
    "LoadFrame",
    "PackClip",
    "ReferenceLoadTrackAnnotations",
    "ReferenceRandomFlip",
    "ReferenceResize",
    "SampleClip",
    "SampleGapClip",
    "SampleGrowingClip",
    "SampleGuidance",
    "SampleKeyReference",
    "SelectGuidance",
    "guidance_positions",
]
