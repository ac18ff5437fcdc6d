# SPDX-License-Identifier: Apache-2.0
"""The network of a track head whose similarities may be negative."""

from __future__ import annotations

import torch
from mmdet.models.tracking_heads import RoIEmbedHead
from torch import Tensor

from visbench.registry import MODELS


@MODELS.register_module()
class SignedRoIEmbedHead(RoIEmbedHead):
    """MMDetection's ``RoIEmbedHead`` without the ReLU after the last layer.

    The logit of "a new object" is 0, and the others are dot products of two embeddings
    (MaskTrack R-CNN, equation 1). MMDetection's embeddings end with a ReLU, so no dot product is
    negative and "a new object" never wins against a remembered one.
    """

    def extract_feat(self, x: Tensor, num_x_per_img: list[int]) -> tuple[Tensor, ...]:
        """Return the embeddings of RoI features, split by image.

        Args:
            x: ``(N, C, H, W)`` RoI features of all images.
            num_x_per_img: Number of RoIs of each image.

        Returns:
            One ``(n, channels)`` tensor per image.
        """
        for conv in self.convs:
            x = conv(x)
        if self.with_avg_pool:
            x = self.avg_pool(x)
        x = x.flatten(1)
        for index, fully_connected in enumerate(self.fcs):
            x = fully_connected(self.relu(x) if index else x)
        return torch.split(x, num_x_per_img)
