# SPDX-License-Identifier: Apache-2.0
"""Datasets, clip sampling, transforms and the MovingShapes generator."""

import visbench.registry  # noqa: F401  (sets up the operators before mmdet is imported)

# isort: split
from visbench.datasets.benchmarks import (
    OVIS,
    MovingShapesDataset,
    YouTubeVIS2019,
    YouTubeVIS2021,
    YouTubeVIS2022,
)
from visbench.datasets.draws import Draw, seeded_generators
from visbench.datasets.frame_source import (
    EndOfVideo,
    FrameError,
    FrameSource,
    VideoItem,
    per_frame_transforms,
)
from visbench.datasets.samplers import SeededClipSampler
from visbench.datasets.transforms import (
    ClipBroadcaster,
    LoadFrame,
    PackClip,
    SampleClip,
    SampleGapClip,
    SampleKeyReference,
)
from visbench.datasets.vis_dataset import VISDataset

__all__ = [
    "OVIS",
    "ClipBroadcaster",
    "Draw",
    "EndOfVideo",
    "FrameError",
    "FrameSource",
    "LoadFrame",
    "MovingShapesDataset",
    "PackClip",
    "SampleClip",
    "SampleGapClip",
    "SampleKeyReference",
    "SeededClipSampler",
    "VISDataset",
    "VideoItem",
    "YouTubeVIS2019",
    "YouTubeVIS2021",
    "YouTubeVIS2022",
    "per_frame_transforms",
    "seeded_generators",
]
