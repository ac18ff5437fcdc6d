# SPDX-License-Identifier: Apache-2.0
"""Draws the results of a test."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from mmengine.hooks import Hook

from visbench.registry import HOOKS
from visbench.structures import Frame
from visbench.visualization import write_overlay_video


@HOOKS.register_module()
class OverlayHook(Hook):
    """Writes one video per tested video, with masks, ids, classes and scores drawn on it.

    Args:
        out_dir: Folder of the mp4 files, named after the videos.
        score_threshold: Instances with a lower score are not drawn.
        fps: Frames per second of the written videos.
    """

    priority = "LOW"

    def __init__(self, out_dir: str, score_threshold: float = 0.3, fps: float = 10.0) -> None:
        self.out_dir = Path(out_dir)
        self.score_threshold = score_threshold
        self.fps = fps

    def after_test_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Read the frames again and draw the tracks on them."""
        dataset = runner.test_dataloader.dataset
        tracks = outputs[0]["video_tracks"]
        write_overlay_video(
            self.out_dir / f"{tracks.video.name.replace('/', '_')}.mp4",
            _originals(dataset.get_video(data_batch["index"]).frames),
            tracks,
            (getattr(dataset, "metainfo", None) or {}).get("classes", ()),
            self.score_threshold,
            fps=self.fps,
        )


def _originals(frames: Iterable[Frame]) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield ``(H, W, 3)`` BGR frames in the size that the results have."""
    for frame in frames:
        image = np.ascontiguousarray(frame.image.permute(1, 2, 0).numpy())
        height, width = frame.original_size
        if image.shape[:2] != (height, width):
            image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
        yield image
