# SPDX-License-Identifier: Apache-2.0
"""Results of a still image, as the reference implementation evaluates its pre-training on COCO."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor
from torchvision.ops import batched_nms, box_convert, clip_boxes_to_image


class ImageDetections(NamedTuple):
    """The n results of an image, the most probable first; a query may be there with many classes.

    Attributes:
        queries: ``(n,)``.
        labels: ``(n,)`` classes.
        scores: ``(n,)`` their probabilities.
    """

    queries: Tensor
    labels: Tensor
    scores: Tensor


def image_detections(
    probabilities: Tensor, boxes: Tensor, nms_threshold: float = 0.7, top_k: int = 100
) -> ImageDetections:
    """Return the best pairs of query and class (fact sheet, section 10).

    Args:
        probabilities: ``(Q, K)`` class probabilities.
        boxes: ``(Q, 4)`` cxcywh, divided by the frame's size.
        nms_threshold: Of two queries with the same best class and a larger IoU only the better one
            takes part.
        top_k: Number of results, at most.
    """
    best, classes = probabilities.max(dim=1)
    kept = batched_nms(box_convert(boxes, "cxcywh", "xyxy"), best, classes, nms_threshold)
    pairs = probabilities[kept].flatten()
    scores, order = pairs.topk(min(top_k, len(pairs)))
    number = probabilities.shape[1]
    return ImageDetections(kept[order // number], order % number, scores)


def pixel_boxes(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Return boxes as xyxy in pixels.

    Args:
        boxes: ``(n, 4)`` cxcywh, divided by the frame's size.
        size: ``(height, width)`` of the frame.
    """
    height, width = size
    return box_convert(boxes, "cxcywh", "xyxy") * boxes.new_tensor([width, height, width, height])


def boxes_within(boxes: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Clip boxes to a frame.

    Args:
        boxes: ``(n, 4)`` xyxy in pixels.
        size: ``(height, width)`` of the frame.

    Returns:
        The clipped boxes, and ``(n,)`` booleans that are false where nothing is left of one.
    """
    clipped = clip_boxes_to_image(boxes, size)
    return clipped, (clipped[:, 2:] > clipped[:, :2]).all(dim=1)
