# SPDX-License-Identifier: Apache-2.0
"""Frames of any size -> one padded batch, valid sizes kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmdet.structures.bbox import BaseBoxes
from mmengine.model import BaseDataPreprocessor

from visbench.registry import MODELS
from visbench.structures import Frame


@MODELS.register_module()
class ClipPreprocessor(BaseDataPreprocessor):
    """Normalise and batch the frames of clips.

    Frames of one clip may differ in size (IDOL crops every frame by itself). All frames of a
    batch are zero-padded at the right and lower border to one size divisible by
    ``pad_size_divisor``; ``img_shape`` (valid part), ``pad_shape`` and ``batch_input_shape`` are
    set on every frame, and ground-truth masks are padded alike.

    Args:
        mean: Mean of the R, G, B channels, 0 to 255.
        std: Standard deviation of the R, G, B channels.
        bgr_to_rgb: Whether images come as BGR (OpenCV, MMCV) and shall be RGB.
        pad_size_divisor: Height and width of the batch are multiples of it.
        pad_mask: Whether ground-truth masks are padded to the batch size.
        non_blocking: Whether copies to the device may overlap.
    """

    def __init__(
        self,
        mean: Sequence[float] = (123.675, 116.28, 103.53),
        std: Sequence[float] = (58.395, 57.12, 57.375),
        bgr_to_rgb: bool = True,
        pad_size_divisor: int = 32,
        pad_mask: bool = True,
        non_blocking: bool = False,
    ) -> None:
        super().__init__(non_blocking)
        self.bgr_to_rgb = bgr_to_rgb
        self.pad_size_divisor = pad_size_divisor
        self.pad_mask = pad_mask
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)

    def forward(self, data: dict, training: bool = False) -> dict:
        """Turn a collated batch into what a model takes.

        Args:
            data: ``inputs`` as MMEngine's ``pseudo_collate`` leaves clips of
                :class:`~visbench.datasets.transforms.PackClip`: a list over T frames of lists over
                B samples of ``(3, h, w)`` uint8 images; ``data_samples``: B samples of T frames.
            training: Whether ground truth is there to be padded.

        Returns:
            ``inputs`` as ``(B, T, 3, H, W)`` float and ``data_samples``.
        """
        data = self.cast_data(data)
        frames, samples = data["inputs"], data.get("data_samples")
        size = self.batch_size([image for frame in frames for image in frame])
        inputs = torch.stack(
            [torch.stack([self._image(image, size) for image in frame]) for frame in frames], dim=1
        )
        for index, frame in enumerate(frames):
            for sample, image in zip(samples or [], frame, strict=False):
                self._describe(sample[index], image, size, training)
        return {"inputs": inputs, "data_samples": samples}

    def prepare_frame(self, frame: Frame) -> Frame:
        """Return the frame normalised, padded to the divisor and on the model's device."""
        image = frame.image.to(self.device, non_blocking=self._non_blocking)
        return frame.with_image(self._image(image, self.batch_size([image])))

    def batch_size(self, images: Sequence[torch.Tensor]) -> tuple[int, int]:
        """Return the padded ``(height, width)`` that holds all images."""
        divisor = self.pad_size_divisor
        height, width = (max(image.shape[axis] for image in images) for axis in (-2, -1))
        return -(-height // divisor) * divisor, -(-width // divisor) * divisor

    def _image(self, image: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        if self.bgr_to_rgb:
            image = image.flip(0)
        image = (image.float() - self.mean) / self.std
        return F.pad(image, (0, size[1] - image.shape[-1], 0, size[0] - image.shape[-2]))

    def _describe(
        self, sample: Any, image: torch.Tensor, size: tuple[int, int], training: bool
    ) -> None:
        sample.set_metainfo(
            {
                "img_shape": tuple(image.shape[-2:]),
                "pad_shape": size,
                "batch_input_shape": size,
            }
        )
        instances = sample.get("gt_instances") if training else None
        if instances is None:
            return
        if isinstance(instances.get("bboxes"), BaseBoxes):
            instances.bboxes = instances.bboxes.tensor
        if self.pad_mask and "masks" in instances:
            instances.masks = instances.masks.pad(size, pad_val=0)
