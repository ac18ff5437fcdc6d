# SPDX-License-Identifier: Apache-2.0
"""Drawing of results on frames, overlay videos, contact sheets; without torch and MMDetection."""

from visbench.structures import instances_at
from visbench.visualization.overlay import (
    display_scale,
    draw_instances,
    pad_to,
    side_by_side,
)
from visbench.visualization.palette import track_colour
from visbench.visualization.writer import (
    OverlayWriter,
    VideoWriteError,
    write_contact_sheet,
    write_overlay_video,
)

__all__ = [
    "OverlayWriter",
    "VideoWriteError",
    "display_scale",
    "draw_instances",
    "instances_at",
    "pad_to",
    "side_by_side",
    "track_colour",
    "write_contact_sheet",
    "write_overlay_video",
]
