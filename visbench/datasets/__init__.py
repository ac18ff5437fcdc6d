# SPDX-License-Identifier: Apache-2.0
"""Datasets, clip sampling, transforms and the MovingShapes generator.

Names are imported on first use, so that the generator, the checker and the hold-out split, which
need numpy and OpenCV only, start without MMDetection.
"""

from __future__ import annotations

from visbench.lazy import lazy_names

_ORIGINS = {
    "ChooseTransforms": "transforms",
    "ClipBroadcaster": "transforms",
    "CocoClips": "coco",
    "DAVISUnsupervised": "davis",
    "Draw": "draws",
    "EndOfVideo": "frame_source",
    "FrameError": "frame_source",
    "FrameSource": "frame_source",
    "ImageNetDET": "imagenet.dataset",
    "ImageNetVID": "imagenet.dataset",
    "JitterClip": "transforms",
    "LoadFrame": "transforms",
    "MixedDataset": "mixed",
    "MovingShapesDataset": "benchmarks",
    "OVIS": "benchmarks",
    "PackClip": "transforms",
    "ReferenceLoadTrackAnnotations": "transforms",
    "ReferenceRandomFlip": "transforms",
    "ReferenceResize": "transforms",
    "SampleClip": "transforms",
    "SampleGapClip": "transforms",
    "SampleGrowingClip": "transforms",
    "SampleGuidance": "transforms",
    "SampleKeyReference": "transforms",
    "SeededClipSampler": "samplers",
    "SelectGuidance": "transforms",
    "VISDataset": "vis_dataset",
    "VideoItem": "frame_source",
    "YouTubeVIS2019": "benchmarks",
    "YouTubeVIS2021": "benchmarks",
    "YouTubeVIS2022": "benchmarks",
    "per_frame_transforms": "frame_source",
    "seeded_generators": "draws",
}

__all__ = sorted(_ORIGINS)

__getattr__ = lazy_names(__name__, _ORIGINS)
