# SPDX-License-Identifier: Apache-2.0
"""Building blocks that two or more methods use."""

import visbench.registry  # noqa: F401  (sets up the operators before mmdet is imported)

# isort: split
from mmdet.models.utils import aligned_bilinear

from visbench.models.layers.boxes import box_centres, boxes_to_original, clip_boxes
from visbench.models.layers.dynamic_masks import DynamicMaskHead, masks_at_original_size
from visbench.models.layers.embed_head import SignedRoIEmbedHead

__all__ = [
    "DynamicMaskHead",
    "SignedRoIEmbedHead",
    "aligned_bilinear",
    "box_centres",
    "boxes_to_original",
    "clip_boxes",
    "masks_at_original_size",
]
