# SPDX-License-Identifier: Apache-2.0
"""Results of a still image, as the reference implementation evaluates its pre-training on COCO."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.ops import batched_nms, box_convert, clip_boxes_to_image

from visbench.models.idol.masks import binary_masks
from visbench.models.state import VideoState
from visbench.registry import TASK_UTILS
from visbench.structures import (
    Frame,
    FrameInstances,
    Prediction,
    VideoInfo,
    VideoTracks,
    encode_masks,
)


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


def best_pairs(probabilities: Tensor, top_k: int) -> ImageDetections:
    """Return the ``top_k`` most probable pairs of query and class, fewer if there are fewer.

    Args:
        probabilities: ``(Q, K)`` class probabilities.
        top_k: Number of results.
    """
    pairs, number = probabilities.flatten(), probabilities.shape[1]
    scores, order = pairs.topk(min(top_k, len(pairs)))
    return ImageDetections(order // number, order % number, scores)


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


@TASK_UTILS.register_module()
class StillImageAssociation:
    """Reports every frame by itself, for evaluation on still images (fact sheet, section 10).

    Reported are the most probable pairs of query and class; ids are ranks and link nothing.

    Args:
        nms_threshold: Of two queries with the same best class and a larger IoU only the better one
            takes part.
        top_k: Number of results per frame, at most.
    """

    def __init__(self, nms_threshold: float = 0.7, top_k: int = 100) -> None:
        self.nms_threshold = nms_threshold
        self.top_k = top_k

    def start(self, video: VideoInfo) -> VideoState:
        """Return a state without any memory."""
        return VideoState(video)

    def select(self, probabilities: Tensor, boxes: Tensor) -> Tensor:
        """Return the queries ``(n,)`` without duplicates, the most probable one first.

        Args:
            probabilities: ``(Q, K)``.
            boxes: ``(Q, 4)`` cxcywh, divided by the frame's size.
        """
        best, classes = probabilities.max(dim=1)
        corners = box_convert(boxes.float(), "cxcywh", "xyxy")
        kept: Tensor = batched_nms(corners, best, classes, self.nms_threshold)
        return kept

    def step(
        self,
        logits: Tensor,
        boxes: Tensor,
        embeddings: Tensor,
        mask_logits: Callable[[Tensor], Tensor],
        frame: Frame,
        state: VideoState,
    ) -> FrameInstances:
        """Report the most probable pairs whose box is in the frame.

        Args:
            logits: ``(Q, K)`` class logits.
            boxes: ``(Q, 4)`` cxcywh, divided by the frame's size.
            embeddings: Not looked at.
            mask_logits: Returns the mask logits ``(n, h, w)`` of n queries, padding included.
            frame: The prepared frame.
            state: Only its recorder changes.
        """
        probabilities = logits.float().sigmoid()
        queries = self.select(probabilities, boxes)
        pairs = best_pairs(probabilities[queries], self.top_k)
        pixels = pixel_boxes(boxes[queries[pairs.queries]].float(), frame.original_size)
        clipped, within = boxes_within(pixels, frame.original_size)
        found = mask_logits(queries[pairs.queries[within]])
        stride = frame.image.shape[-2] // found.shape[-2]
        masks = binary_masks(found, stride, frame.valid_size, frame.original_size)
        instances = FrameInstances(
            torch.arange(len(found)),
            pairs.labels[within],
            pairs.scores[within],
            clipped[within],
            encode_masks(masks),
        )
        state.recorder.add(frame.index, instances)
        return instances

    def finish(self, state: VideoState) -> VideoTracks:
        """Return what was emitted, one prediction for each id."""
        recorder = state.recorder
        predictions = [
            Prediction(index, recorder.majority_label(row), recorder.mean_score(row))
            for index, row in enumerate(recorder.ids)
        ]
        video = replace(state.video, length=recorder.num_frames)
        return VideoTracks(video, recorder.tracks(), predictions)
