# SPDX-License-Identifier: Apache-2.0
"""Datasets, clip sampling, transforms and the MovingShapes generator.

Names are imported on first use, so that the generator, the checker and the hold-out split, which
need numpy and OpenCV only, start without MMDetection.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "ClipBroadcaster": "transforms",
    "Draw": "draws",
    "EndOfVideo": "frame_source",
    "FrameError": "frame_source",
    "FrameSource": "frame_source",
    "LoadFrame": "transforms",
    "MovingShapesDataset": "benchmarks",
    "OVIS": "benchmarks",
    "PackClip": "transforms",
    "SampleClip": "transforms",
    "SampleGapClip": "transforms",
    "SampleGrowingClip": "transforms",
    "SampleKeyReference": "transforms",
    "SeededClipSampler": "samplers",
    "VISDataset": "vis_dataset",
    "VideoItem": "frame_source",
    "YouTubeVIS2019": "benchmarks",
    "YouTubeVIS2021": "benchmarks",
    "YouTubeVIS2022": "benchmarks",
    "per_frame_transforms": "frame_source",
    "seeded_generators": "draws",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
