# SPDX-License-Identifier: Apache-2.0
"""Random mask sequences, and what is expected of them by counting pixels."""

from __future__ import annotations

import numpy as np

from visbench.models.propose_reduce.association import SequenceOverlaps, pack_masks

SIDE, FRAMES = 20, 20


def random_sequences(
    seed: int, number: int = 7, size: tuple[int, int] = (SIDE, SIDE), frames: int = FRAMES
) -> np.ndarray:
    """Return ``(N, T, H, W)`` masks: rectangles with holes, absent at times; some are alike."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((number, frames, *size), dtype=bool)
    height, width = size
    for sequence in masks:
        presence, solidity = rng.choice([0.0, 0.3, 1.0], p=[0.1, 0.3, 0.6]), rng.uniform(0.5, 1)
        y, x = rng.integers(0, height), rng.integers(0, width)
        h, w = rng.integers(1, height + 1), rng.integers(1, width + 1)
        for mask in sequence:
            if rng.random() < presence:
                mask[y : y + h, x : x + w] = True
                mask &= rng.random(size) < solidity
    for index in range(1, number):
        kind = rng.random()
        if kind < 0.15:
            masks[index] = masks[index - 1]
        elif kind < 0.4:
            masks[index] = masks[index - 1] & (rng.random(masks[index].shape) < 0.8)
    return masks


def brute_force_iou(masks: np.ndarray) -> np.ndarray:
    """Return the ``(N, N)`` IoU of dense sequences."""
    iou = np.zeros((len(masks), len(masks)))
    for i, first in enumerate(masks):
        for j, second in enumerate(masks):
            union = np.count_nonzero(first | second)
            iou[i, j] = np.count_nonzero(first & second) / union if union else 0.0
    return iou


def overlaps_of(masks: np.ndarray) -> SequenceOverlaps:
    """Return the overlaps of dense sequences."""
    return SequenceOverlaps([pack_masks(sequence) for sequence in masks])
