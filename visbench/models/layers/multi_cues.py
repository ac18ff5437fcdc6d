# SPDX-License-Identifier: Apache-2.0
"""Matching of detections with instances by several cues, after MaskTrack R-CNN."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

NEW = 0
"""Column of "a new instance" in tables of scores; the instances remembered follow."""

LOST = -1
"""In place of a column or an id: the detection lost its instance to a better one."""


def similarity_logits(embeddings: Tensor, others: Tensor) -> Tensor:
    """Return a column of zeros for "new" and the dot products of embeddings, in float32.

    Args:
        embeddings: ``(n, C)``.
        others: ``(m, C)``.

    Returns:
        ``(n, 1 + m)``.
    """
    # Dot products of a thousand channels leave the range of half precision.
    with torch.autocast(embeddings.device.type, enabled=False):
        return F.pad(embeddings.float() @ others.float().T, (1, 0))


def multi_cue_scores(
    similarity: Tensor,
    confidence: Tensor,
    overlaps: Tensor,
    same_label: Tensor,
    weights: tuple[float, float, float],
) -> Tensor:
    """Return ``(n, 1 + m)`` match scores of n detections with "new" and m instances.

    The score is the logarithm of the softmax of the similarity, plus the weighted logarithm of the
    detection's score, IoU and equality of the classes. "New" has IoU 0 and an equal class
    (MaskTrack R-CNN, section 4.2).

    Args:
        similarity: ``(n, 1 + m)`` from :func:`similarity_logits`.
        confidence: ``(n,)`` scores of the detections.
        overlaps: ``(n, m)`` IoU of the boxes.
        same_label: ``(n, m)`` booleans.
        weights: Weights of score, IoU and class.
    """
    score_weight, iou_weight, label_weight = weights
    tiny = torch.finfo(torch.float32).tiny
    return (
        similarity.log_softmax(dim=1)
        + score_weight * confidence.float().clamp(min=tiny).log()[:, None]
        + iou_weight * F.pad(overlaps, (1, 0))
        + label_weight * F.pad(same_label.float(), (1, 0), value=1.0)
    )


def choose(scores: npt.NDArray[np.floating]) -> list[int]:
    """Return the best column of every row; a column but the first goes to one row only.

    Args:
        scores: ``(n, 1 + m)``, "new" first.

    Returns:
        n columns, -1 for a row that lost its best column to a row of higher score. Of equal
        columns, and of equal rows, the first wins.
    """
    columns: list[int] = scores.argmax(axis=1).tolist()
    owner: dict[int, int] = {}
    for row in np.argsort(-scores.max(axis=1), kind="stable").tolist():
        column = columns[row]
        if column != NEW and owner.setdefault(column, row) != row:
            columns[row] = LOST
    return columns
