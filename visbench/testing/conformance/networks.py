# SPDX-License-Identifier: Apache-2.0
"""The tiny backbone and neck that conformance cases share."""

from __future__ import annotations

from typing import Any

WIDTH = 16

BACKBONE: dict[str, Any] = {
    "type": "ResNet",
    "depth": 18,
    "base_channels": WIDTH,
    "stem_channels": WIDTH,
    "num_stages": 3,
    "strides": (1, 2, 2),
    "dilations": (1, 1, 1),
    "out_indices": (0, 1, 2),
    "norm_cfg": {"type": "GN", "num_groups": 4},
    "norm_eval": False,
}
"""Three stages at strides 4, 8 and 16 of width 16, 32 and 64."""

NECK: dict[str, Any] = {
    "type": "FPN",
    "in_channels": [WIDTH, 2 * WIDTH, 4 * WIDTH],
    "out_channels": WIDTH,
    "num_outs": 3,
}
"""Levels of width 16 at the backbone's strides."""
