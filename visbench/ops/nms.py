# SPDX-License-Identifier: Apache-2.0
"""Non-maximum suppression under MMCV's operator names and with its rules."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torchvision
from torch import Tensor

SOFT_METHODS = {"naive": 0, "linear": 1, "gaussian": 2}

FloatArray = npt.NDArray[Any]


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int = 0) -> Tensor:
    """Keep a box unless a box with a higher score overlaps it by more than the threshold.

    Args:
        boxes: Boxes (n, 4) as xyxy in pixels.
        scores: Scores (n,).
        iou_threshold: Largest IoU with a kept box, 0 to 1.
        offset: Width and height are ``x2 - x1 + offset``; 1 counts both end pixels.

    Returns:
        Indices of the kept boxes (k,) int64, by descending score.

    Raises:
        ValueError: The shapes do not fit or the offset is neither 0 nor 1.
    """
    _check(boxes, scores, offset)
    threshold = float(iou_threshold)
    if offset == 1:
        # In float64 the extent x2 + 1 - x1 does not depend on the order of the sums, even for the
        # large coordinates by which batched NMS keeps classes apart.
        boxes = _double(boxes) + boxes.new_tensor([0, 0, 1, 1], dtype=_double_type(boxes))
    elif boxes.dtype != torch.float64:
        boxes = boxes.float()
        # MMCV compares in float32: an IoU of exactly 0.3 is not greater than a threshold of 0.3.
        threshold = float(np.float32(threshold))
    keep: Tensor = torchvision.ops.nms(boxes, scores.to(boxes.dtype), threshold)
    return keep


def softnms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int = 0,
) -> Tensor:
    """Lower the scores of overlapping boxes instead of removing them (Soft-NMS, arXiv:1704.04503).

    The box with the highest score is selected, the scores of the others decay, and boxes whose
    score falls below ``min_score`` drop out; this repeats until no box is left.

    Args:
        boxes: Boxes (n, 4) as xyxy in pixels, on the CPU.
        scores: Scores (n,).
        dets: Receives the k selected boxes with their decayed scores in its first rows, (n, 5).
        iou_threshold: IoU from which ``naive`` sets the score to 0 and ``linear`` multiplies it by
            1 - IoU; ``gaussian`` multiplies every score by exp(-IoU^2 / sigma).
        sigma: Width of ``gaussian``.
        min_score: Smallest score of a box that stays.
        method: 0 naive, 1 linear, 2 gaussian.
        offset: Width and height are ``x2 - x1 + offset``.

    Returns:
        Indices of the selected boxes (k,) int64, in the order of selection.

    Raises:
        ValueError: The shapes do not fit, or the offset or the method is unknown.
    """
    _check(boxes, scores, offset)
    if method not in SOFT_METHODS.values():
        raise ValueError(f"method: {method!r} is unknown; choose one of {SOFT_METHODS}")
    dtype = torch.promote_types(boxes.dtype, torch.float32)
    corners: FloatArray = boxes.detach().cpu().to(dtype, copy=True).numpy()
    left: FloatArray = scores.detach().cpu().to(dtype, copy=True).numpy()
    kind = corners.dtype.type
    order = np.arange(len(corners))
    extent = corners[:, 2:] - corners[:, :2] + kind(offset)
    area = extent[:, 0] * extent[:, 1]
    first = 0
    while first < len(order):
        best = first + int(left[first:].argmax())
        for values in (corners, left, area, order):
            values[[first, best]] = values[[best, first]]
        overlap = _overlap(
            corners[first], area[first], corners[first + 1 :], area[first + 1 :], offset
        )
        left[first + 1 :] *= _decay(overlap, method, kind(iou_threshold), kind(sigma))
        enough = np.asarray(left[first + 1 :] >= kind(min_score))
        stay = _compact(enough) + first + 1
        index = np.concatenate([np.arange(first + 1), stay])
        corners, left, area, order = corners[index], left[index], area[index], order[index]
        first += 1
    selected = np.concatenate([corners, left[:, None]], axis=1)
    dets[: len(order)] = torch.from_numpy(selected).to(dets)
    return torch.from_numpy(order)


def _check(boxes: Tensor, scores: Tensor, offset: int) -> None:
    if boxes.dim() != 2 or boxes.shape[1] != 4:
        raise ValueError(f"boxes: expected (n, 4), not {tuple(boxes.shape)}")
    if scores.shape != boxes.shape[:1]:
        raise ValueError(f"scores: expected ({len(boxes)},), not {tuple(scores.shape)}")
    if offset not in (0, 1):
        raise ValueError(f"offset: expected 0 or 1, not {offset!r}")


def _double_type(boxes: Tensor) -> torch.dtype:
    return torch.float32 if boxes.device.type == "mps" else torch.float64  # MPS has no float64


def _double(boxes: Tensor) -> Tensor:
    return boxes.to(_double_type(boxes))


def _overlap(
    box: FloatArray, box_area: FloatArray, others: FloatArray, areas: FloatArray, offset: int
) -> FloatArray:
    low = np.maximum(box[:2], others[:, :2])
    high = np.minimum(box[2:], others[:, 2:])
    extent = np.maximum(high - low + others.dtype.type(offset), 0)
    shared = extent[:, 0] * extent[:, 1]
    union = box_area + areas - shared
    overlap: FloatArray = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return overlap


def _decay(
    overlap: FloatArray, method: int, iou_threshold: np.floating, sigma: np.floating
) -> FloatArray:
    if method == SOFT_METHODS["gaussian"]:
        lowered: FloatArray = np.exp(-(overlap * overlap) / sigma)
        return lowered
    lowered = 1 - overlap if method == SOFT_METHODS["linear"] else np.zeros_like(overlap)
    weight: FloatArray = np.where(overlap >= iou_threshold, lowered, overlap.dtype.type(1))
    return weight


def _compact(stay: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """Return the places of the boxes that stay: each gap is filled from the end of the list.

    MMCV drops a box by moving the last one into its place, and the place decides between equal
    scores later.
    """
    count = int(stay.sum())
    places = np.arange(count)
    gaps = np.flatnonzero(~stay[:count])
    places[gaps] = (np.flatnonzero(stay[count:]) + count)[::-1]
    return places
