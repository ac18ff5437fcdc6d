# SPDX-License-Identifier: Apache-2.0
"""Mask head whose predictions can be pasted without a threshold, as guidance for the memory."""

from __future__ import annotations

import torch
from mmdet.models.roi_heads.mask_heads import FCNMaskHead
from mmdet.models.roi_heads.mask_heads.fcn_mask_head import _do_paste_mask
from torch import Tensor

from visbench.registry import MODELS


@MODELS.register_module()
class SeqMaskHead(FCNMaskHead):
    """MMDetection's mask head that also gives probabilities at the size of the image.

    Training memorises what the head estimates inside the ground-truth boxes of the guidance frame
    (Propose-Reduce, section 3.2): probabilities, not decisions.
    """

    def paste_soft(
        self, probabilities: Tensor, bboxes: Tensor, labels: Tensor, img_shape: tuple[int, int]
    ) -> Tensor:
        """Paste the probabilities of the labels' channels into the image.

        Args:
            probabilities: ``(n, C, h, w)`` foreground probabilities per class and box, 0 to 1; one
                channel for all classes if the head is class-agnostic.
            bboxes: ``(n, 4)`` xyxy in pixels of the image.
            labels: ``(n,)`` int64 classes.
            img_shape: Height and width of the image without padding.

        Returns:
            ``(n, height, width)`` float32 probabilities, 0 outside of the boxes.
        """
        chosen = self.of_labels(probabilities, labels)
        if not len(chosen):
            return chosen.new_zeros((0, *img_shape))
        pasted, _ = _do_paste_mask(chosen[:, None], bboxes.float(), *img_shape, skip_empty=False)
        return pasted

    def of_labels(self, maps: Tensor, labels: Tensor) -> Tensor:
        """Return the map that belongs to each label, ``(n, h, w)`` float32 of ``(n, C, h, w)``."""
        channels = torch.zeros_like(labels) if self.class_agnostic else labels
        return maps[torch.arange(len(maps), device=maps.device), channels].float()
