# SPDX-License-Identifier: Apache-2.0
"""MovingShapes: procedural videos of textured shapes for video instance segmentation.

Needs numpy, OpenCV, pycocotools and rich only.
"""

from __future__ import annotations

from .presets import MIXED_PARTS, PRESET_NAMES, PRESETS, VERSION, VIDEOS, Preset
from .render import FrameTruth, frame_truth, render_frame
from .scene import Scene
from .shapes import CATEGORIES
from .writer import SplitPaths, ensure_split, make_split, split_paths

__all__ = [
    "CATEGORIES",
    "MIXED_PARTS",
    "PRESETS",
    "PRESET_NAMES",
    "VERSION",
    "VIDEOS",
    "FrameTruth",
    "Preset",
    "Scene",
    "SplitPaths",
    "ensure_split",
    "frame_truth",
    "make_split",
    "render_frame",
    "split_paths",
]
