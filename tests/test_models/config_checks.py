# SPDX-License-Identifier: Apache-2.0
"""What the tests of the methods' configs share."""

from __future__ import annotations

from typing import Any

import torch

from visbench.models import VISModel
from visbench.structures import VideoTracks
from visbench.testing.conformance.case import prepared, video_of
from visbench.testing.conformance.scene import Scene


@torch.no_grad()
def predict(model: VISModel, length: int = 3) -> VideoTracks:
    """Return what a model finds in a made-up video of so many frames."""
    model.eval()
    frames = prepared(model, Scene(2, length))
    return model.segment(video_of(frames), frames)


def changed(config: Any, base: Any, path: str = "") -> dict[str, Any]:
    """Return the leaves in which two configs differ."""
    differences: dict[str, Any] = {}
    for key in sorted({*config, *base}):
        ours, theirs = config.get(key), base.get(key)
        if isinstance(ours, dict) and isinstance(theirs, dict):
            differences.update(changed(ours, theirs, f"{path}{key}."))
        elif ours != theirs:
            differences[f"{path}{key}"] = ours
    return differences
