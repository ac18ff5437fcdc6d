# SPDX-License-Identifier: Apache-2.0
"""Boxes in the conventions of MMDetection 1, for models that follow them.

There the right and lower edge of a box are the last pixel in it, the scale of an image is one
number, and a flip is one of pixel centres. The parts of the models are in
:mod:`visbench.models.propose_reduce.reference`.
"""

from __future__ import annotations

from typing import Any

import mmcv
from mmdet.datasets.transforms import LoadTrackAnnotations, RandomFlip, Resize
from mmdet.structures.bbox import autocast_box_type

from visbench.registry import TRANSFORMS

_ONE_PIXEL = {"horizontal": (-1, 0), "vertical": (0, -1), "diagonal": (-1, -1)}


@TRANSFORMS.register_module()
class ReferenceLoadTrackAnnotations(LoadTrackAnnotations):
    """Load annotations with boxes ``(x, y, x + w - 1, y + h - 1)``."""

    def _load_bboxes(self, results: dict[str, Any]) -> None:
        super()._load_bboxes(results)
        results["gt_bboxes"][:, 2:] -= 1


@TRANSFORMS.register_module()
class ReferenceResize(Resize):
    """Resize with ``keep_ratio`` and multiply boxes by the one factor that was asked for.

    MMDetection takes the ratios of the rounded sizes, one for each axis.

    Args:
        scale: ``(long, short)`` bounds that the image is scaled to fit, enlarged if need be.
    """

    def __init__(self, scale: tuple[int, int]) -> None:
        super().__init__(scale=tuple(scale), keep_ratio=True)

    def _resize_img(self, results: dict[str, Any]) -> None:
        height, width = results["img"].shape[:2]
        super()._resize_img(results)
        _, factor = mmcv.rescale_size((width, height), self.scale, return_scale=True)
        results["scale_factor"] = (factor, factor)


@TRANSFORMS.register_module()
class ReferenceRandomFlip(RandomFlip):
    """Flip; a box's edge at pixel x of w goes to pixel w - 1 - x. Arguments as MMDetection's."""

    @autocast_box_type()
    def _flip(self, results: dict[str, Any]) -> None:
        super()._flip(results)
        boxes = results.get("gt_bboxes")
        if boxes is not None:
            boxes.translate_(_ONE_PIXEL[results["flip_direction"]])
            boxes.clip_(results["img_shape"])
