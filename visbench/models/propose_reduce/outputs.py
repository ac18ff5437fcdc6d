# SPDX-License-Identifier: Apache-2.0
"""From sequences at network size to tracks at original size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from visbench.models.propose_reduce.packed_masks import MaskSequence
from visbench.structures import (
    RLE,
    Prediction,
    Track,
    VideoInfo,
    VideoTracks,
    encode_masks,
    rle_area,
    rle_to_box,
)

MASKS_AT_ONCE = 8
"""Bounds the memory of resizing, whatever the length of the video."""


def to_tracks(
    video: VideoInfo,
    sequences: Sequence[MaskSequence],
    valid_size: tuple[int, int],
    original_size: tuple[int, int],
    predictions: Sequence[Prediction],
) -> VideoTracks:
    """Return sequences as tracks of a video.

    Args:
        video: The video, of known length.
        sequences: Kept sequences, one mask per frame at the padded network size.
        valid_size: ``(height, width)`` of the part of the masks that is not padding.
        original_size: ``(height, width)`` of the result.
        predictions: What is reported of the sequences.

    Returns:
        One track per sequence, whose id is the sequence's position. Where a resized mask is empty
        the track is absent; elsewhere its score is that of its best prediction, 0 without any.

    Raises:
        ValueError: If masks are smaller than ``valid_size`` or not as many as the video's frames.
    """
    best = [0.0] * len(sequences)
    for prediction in predictions:
        index = prediction.track_index
        best[index] = max(best[index], prediction.score)
    tracks = []
    for index, sequence in enumerate(sequences):
        masks = _resized(sequence, valid_size, original_size)
        tracks.append(_track(index, masks, best[index]))
    return VideoTracks(video, tracks, list(predictions))


def _resized(
    sequence: MaskSequence, valid_size: tuple[int, int], original_size: tuple[int, int]
) -> list[RLE | None]:
    """Return the masks at original size, None where they are empty."""
    visible = [index for index, mask in enumerate(sequence) if mask.area]
    masks: list[RLE | None] = [None] * len(sequence)
    for begin in range(0, len(visible), MASKS_AT_ONCE):
        part = visible[begin : begin + MASKS_AT_ONCE]
        stack = np.stack([sequence[index].unpack() for index in part])
        encoded = encode_masks(resize_masks(stack, valid_size, original_size))
        for index, mask in zip(part, encoded, strict=True):
            masks[index] = mask if rle_area(mask) else None
    return masks


def resize_masks(
    masks: npt.NDArray[np.bool_], valid_size: tuple[int, int], original_size: tuple[int, int]
) -> npt.NDArray[np.bool_]:
    """Cut off the padding and resize bilinearly (half-pixel centres); above one half is mask.

    Args:
        masks: ``(n, H, W)`` at the padded network size.
        valid_size: ``(height, width)`` of the part that is not padding.
        original_size: ``(height, width)`` of the result.

    Returns:
        ``(n, height, width)`` masks.

    Raises:
        ValueError: If the masks are smaller than ``valid_size``.
    """
    height, width = valid_size
    if masks.shape[1] < height or masks.shape[2] < width:
        raise ValueError(
            f"masks of size {masks.shape[1:]} are smaller than the image in them, {valid_size}"
        )
    valid = torch.from_numpy(np.ascontiguousarray(masks[:, :height, :width]))
    resized = functional.interpolate(
        valid[:, None].float(), size=tuple(original_size), mode="bilinear", align_corners=False
    )
    above: npt.NDArray[np.bool_] = (resized[:, 0] > 0.5).numpy()
    return above


def _track(index: int, masks: list[RLE | None], score: float) -> Track:
    boxes = np.full((len(masks), 4), np.nan, dtype=np.float32)
    scores = np.full(len(masks), np.nan, dtype=np.float32)
    for frame, mask in enumerate(masks):
        if mask is not None:
            boxes[frame], scores[frame] = rle_to_box(mask), score
    return Track(index, masks, boxes, scores)
