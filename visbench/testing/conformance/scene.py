# SPDX-License-Identifier: Apache-2.0
"""The standard clip: two objects, visible in all frames, on a textured background."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from mmdet.structures import DetDataSample, TrackDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import InstanceData

from visbench.structures import Frame

SIZE = (60, 90)
"""Height and width of a frame after the pipeline; padding makes it 64x96."""

ORIGINAL_SIZE = (120, 180)
"""Height and width of a frame as filmed."""

COLOURS = ((40, 200, 90), (220, 60, 160))


class Scene:
    """A rendered clip of a rectangle (label 0, id 1) and a disc (label 1, id 2).

    Args:
        seed: Of background and motion.
        num_frames: Length of the clip.
        objects: Whether the two objects are there at all; without them frames are black.
    """

    def __init__(self, seed: int, num_frames: int, objects: bool = True) -> None:
        rng = np.random.default_rng(seed)
        self.objects = objects
        self.starts = rng.uniform((14, 20), (SIZE[0] - 22, SIZE[1] - 40), size=(2, 2))
        self.speeds = rng.uniform(-2, 2, size=(2, 2))
        self.background = rng.integers(0, 120, size=(*SIZE, 3)).astype(np.uint8)
        self.num_frames = num_frames

    def masks(self, index: int) -> npt.NDArray[np.bool_]:
        """Return the ``(2, h, w)`` masks of a frame; ``(0, h, w)`` without objects."""
        if not self.objects:
            return np.zeros((0, *SIZE), dtype=bool)
        rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
        (y1, x1), (y2, x2) = self.starts + index * self.speeds
        rectangle = (abs(rows - y1) <= 9) & (abs(columns - x1) <= 12)
        disc = (rows - y2) ** 2 + (columns - x2 - 20) ** 2 <= 100
        return np.stack([rectangle & ~disc, disc])

    def image(self, index: int) -> torch.Tensor:
        """Return the frame as a ``(3, h, w)`` uint8 tensor in BGR order."""
        image = self.background.copy() if self.objects else np.zeros_like(self.background)
        for mask, colour in zip(self.masks(index), COLOURS, strict=False):
            image[mask] = colour
        return torch.from_numpy(image).permute(2, 0, 1).contiguous()

    def frames(self) -> list[Frame]:
        """Return the raw frames of the clip as a test video."""
        return [
            Frame(index, self.image(index), SIZE, ORIGINAL_SIZE) for index in range(self.num_frames)
        ]

    def sample(self, key_frames: Sequence[int]) -> TrackDataSample:
        """Return the clip's annotations as the training pipeline packs them."""
        references = [index for index in range(self.num_frames) if index not in key_frames]
        sample = TrackDataSample(
            metainfo={"key_frames_inds": list(key_frames), "ref_frames_inds": references}
        )
        sample.video_data_samples = [self._frame_sample(i) for i in range(self.num_frames)]
        return sample

    def _frame_sample(self, index: int) -> DetDataSample:
        masks = self.masks(index)
        bitmaps = BitmapMasks(masks.astype(np.uint8), *SIZE)
        meta = {"frame_id": index, "video_id": 1, "img_shape": SIZE, "ori_shape": ORIGINAL_SIZE}
        scale = (SIZE[1] / ORIGINAL_SIZE[1], SIZE[0] / ORIGINAL_SIZE[0])
        sample = DetDataSample(
            metainfo={**meta, "scale_factor": scale, "video_length": self.num_frames}
        )
        sample.gt_instances = InstanceData(
            bboxes=bitmaps.get_bboxes("hbox").tensor,
            labels=torch.arange(len(masks)),
            masks=bitmaps,
            instances_ids=torch.arange(len(masks)) + 1,
        )
        sample.ignored_instances = InstanceData(
            bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long)
        )
        return sample


def batch(scenes: Sequence[Scene], key_frames: Sequence[int]) -> dict:
    """Collate scenes of equal length as MMEngine's ``pseudo_collate`` does.

    Returns:
        ``inputs``: a list over T frames of lists over B uint8 images; ``data_samples``: B samples.
    """
    return {
        "inputs": [
            [scene.image(index) for scene in scenes] for index in range(scenes[0].num_frames)
        ],
        "data_samples": [scene.sample(key_frames) for scene in scenes],
    }
