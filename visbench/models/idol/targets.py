# SPDX-License-Identifier: Apache-2.0
"""Ground truth of key and reference frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmdet.structures import DetDataSample, TrackDataSample
from torch import Tensor
from torchvision.ops import box_convert

MASK_STRIDE = 4
"""Pixels of the padded frame per cell of the mask logits in the reference implementation."""


@dataclass
class PairTargets:
    """The G objects of a key frame, and where they are in the reference frame.

    Objects that are in the reference frame only take no part in training.

    Args:
        labels: ``(G,)`` classes.
        boxes: ``(G, 4)`` cxcywh in the key frame, divided by its valid size.
        masks: ``(G, h, w)`` masks in the key frame, 0 or 1, at the stride of the mask logits.
        reference_boxes: ``(G, 4)`` cxcywh in the reference frame, divided by its valid size; zeros
            for objects that are not in it.
        valid: ``(G,)`` booleans, true for objects that are in the reference frame.
    """

    labels: Tensor
    boxes: Tensor
    masks: Tensor
    reference_boxes: Tensor
    valid: Tensor


def pair_targets(
    samples: Sequence[TrackDataSample],
    device: torch.device | str,
    mask_stride: int = MASK_STRIDE,
) -> list[PairTargets]:
    """Collect the objects of a batch of clips of one or two frames.

    The key frame is the first of ``key_frames_inds``, or the first frame. In a clip of one frame
    (a still image) no object is valid.

    Args:
        samples: B samples with ``gt_instances`` of visible objects, as PackClip and
            ClipPreprocessor leave them.
        device: Where the tensors go.
        mask_stride: Pixels of the padded frame per cell of the mask logits.

    Raises:
        ValueError: If a clip has more than two frames or an id occurs twice in a frame.
    """
    return [_pair(sample, device, mask_stride) for sample in samples]


def frame_order(sample: TrackDataSample) -> list[int]:
    """Return the positions of the key frame and, if there is one, the reference frame.

    Raises:
        ValueError: If the clip has more than two frames.
    """
    if len(sample) > 2:
        raise ValueError(
            f"a training clip of IDOL has a key and a reference frame, got {len(sample)} frames; "
            "set clip=dict(type='visbench.SampleKeyReference', num_references=1)"
        )
    key = int(sample.metainfo.get("key_frames_inds", [0])[0])
    return [key, *(index for index in range(len(sample)) if index != key)]


def _pair(sample: TrackDataSample, device: torch.device | str, mask_stride: int) -> PairTargets:
    frames = [sample[index] for index in frame_order(sample)]
    key, ids = frames[0].gt_instances, _ids(frames[0])
    reference_boxes = torch.zeros(len(ids), 4)
    valid = torch.zeros(len(ids), dtype=torch.bool)
    if len(frames) == 2:
        boxes = relative_boxes(frames[1])
        position = {value: row for row, value in enumerate(_ids(frames[1]))}
        rows = [position.get(value, -1) for value in ids]
        valid = torch.tensor(rows, dtype=torch.long) >= 0
        reference_boxes[valid] = boxes[[row for row in rows if row >= 0]]
    return PairTargets(
        labels=torch.as_tensor(key.labels).to(device),
        boxes=relative_boxes(frames[0]).to(device),
        masks=sample_masks(key.masks, frames[0].batch_input_shape, mask_stride).to(device),
        reference_boxes=reference_boxes.to(device),
        valid=valid.to(device),
    )


def relative_boxes(frame: DetDataSample) -> Tensor:
    """Return the boxes ``(n, 4)`` of a frame as cxcywh, divided by its valid size, on the CPU."""
    height, width = frame.img_shape[:2]
    boxes = torch.as_tensor(frame.gt_instances.bboxes, dtype=torch.float32).cpu()
    return box_convert(boxes, "xyxy", "cxcywh") / boxes.new_tensor([width, height, width, height])


def sample_masks(masks: Any, size: tuple[int, int], stride: int = MASK_STRIDE) -> Tensor:
    """Return masks at the stride of the mask logits, without interpolation.

    Args:
        masks: MMDetection's masks of n objects, ``(height, width)`` at most ``size``.
        size: ``(height, width)`` of the padded batch, which the masks are zero-padded to.
        stride: Every ``stride``-th pixel is taken, from ``stride // 2`` on.

    Returns:
        ``(n, size[0] // stride, size[1] // stride)`` of 0 and 1, float32, on the CPU.
    """
    array = masks.pad(tuple(size), pad_val=0).to_ndarray()
    sampled = array[:, stride // 2 :: stride, stride // 2 :: stride]
    return torch.from_numpy(np.ascontiguousarray(sampled, dtype=np.float32))


def _ids(frame: DetDataSample) -> list[int]:
    ids: list[int] = torch.as_tensor(frame.gt_instances.instances_ids).tolist()
    if len(set(ids)) != len(ids):
        raise ValueError(
            f"an object id occurs twice in one frame: {ids}; correct 'instances_ids' of the data"
        )
    return ids
