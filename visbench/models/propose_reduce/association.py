# SPDX-License-Identifier: Apache-2.0
"""How identities come about in Propose-Reduce; no network code.

An object is a whole sequence of masks, grown from one detection in one key frame. What is decided
here: where to start (key frames, :func:`deduplicate_masks`), how a sequence is scored, which
sequences are the same object (reducers), and what is reported.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from visbench.models.propose_reduce.packed_masks import (
    MaskSequence,
    PackedMask,
    grown_boxes,
    pack_masks,
)
from visbench.models.propose_reduce.reduction import (
    CategoryAwareReduction,
    Reducer,
    Reduction,
    Scores,
    SequenceNMS,
    SequenceSoftNMS,
    reduce_sequences,
)
from visbench.models.propose_reduce.sequence_overlaps import SequenceOverlaps, deduplicate_masks
from visbench.registry import TASK_UTILS
from visbench.structures import Prediction
from visbench.structures.rle import as_array

__all__ = [
    "AllKeyFrames",
    "CategoryAwareReduction",
    "EvenKeyFrames",
    "IntervalKeyFrames",
    "KeyFrames",
    "MaskSequence",
    "MeanOverMask",
    "MeanOverVideo",
    "PackedMask",
    "Reducer",
    "Reduction",
    "SequenceNMS",
    "SequenceOverlaps",
    "SequenceScorer",
    "SequenceSoftNMS",
    "deduplicate_masks",
    "grown_boxes",
    "pack_masks",
    "predictions_of",
    "reduce_sequences",
]


class KeyFrames(Protocol):
    """Chooses the frames from which objects are propagated."""

    def __call__(self, length: int) -> list[int]:
        """Return the key frames of a video of ``length`` frames in processing order."""


@TASK_UTILS.register_module()
class EvenKeyFrames:
    """Key frames spread evenly from the first to the last frame: the rule of the reference.

    Key frame k is ``trunc((T - 1) / (K - 1) * k)``; a single one (where the reference divides by
    zero) is the first frame.

    Args:
        num_key_frames: K, at least 1.
        repeat: Whether a frame that comes up several times, as happens where K exceeds T, is
            processed as often. The reference does so; its reduction then removes the duplicates.
    """

    def __init__(self, num_key_frames: int, repeat: bool = False) -> None:
        self.num_key_frames = _checked_count(type(self).__name__, num_key_frames)
        self.repeat = repeat

    def __call__(self, length: int) -> list[int]:
        """Return ascending frames; see :class:`KeyFrames`."""
        count = self.num_key_frames
        if length < 1:
            return []
        # In this order: another one truncates differently in floating point.
        step = (length - 1) / (count - 1) if count > 1 else 0.0
        frames = [int(step * k) for k in range(count)]
        return frames if self.repeat else list(dict.fromkeys(frames))


@TASK_UTILS.register_module()
class IntervalKeyFrames:
    """Key frames at a fixed interval from the first frame on: paper Eq. 1.

    Key frame k is ``max(T // K, 1) * k``. Where K exceeds T the equation leaves the video: all T
    frames are key frames then.

    Args:
        num_key_frames: K, at least 1.
    """

    def __init__(self, num_key_frames: int) -> None:
        self.num_key_frames = _checked_count(type(self).__name__, num_key_frames)

    def __call__(self, length: int) -> list[int]:
        """Return ascending frames; see :class:`KeyFrames`."""
        interval = max(length // self.num_key_frames, 1)
        return [interval * k for k in range(min(self.num_key_frames, length))]


@TASK_UTILS.register_module()
class AllKeyFrames:
    """Every frame is a key frame: K = infinity in the paper's Fig. 7."""

    def __call__(self, length: int) -> list[int]:
        """Return all frames in order; see :class:`KeyFrames`."""
        return list(range(length))


def _checked_count(name: str, count: int) -> int:
    if count < 1:
        raise ValueError(f"{name}: num_key_frames must be at least 1, got {count}")
    return count


class SequenceScorer(Protocol):
    """Combines the class probabilities of the frames to those of the sequences."""

    def __call__(self, probabilities: Any, visible: Any) -> Scores:
        """Return ``(N, C + 1)`` class probabilities of N sequences, background last.

        Args:
            probabilities: ``(T, N, C + 1)`` by frame, background last; ignored where the mask is
                empty.
            visible: ``(T, N)`` whether the mask of a frame has any pixel.
        """


@TASK_UTILS.register_module()
class MeanOverMask:
    """Mean over the frames in which the mask is not empty: the rule of the reference.

    A sequence that is empty in all frames is background with probability 1.
    """

    def __call__(self, probabilities: Any, visible: Any) -> Scores:
        """See :class:`SequenceScorer`."""
        shown, count = _visible_sum(probabilities, visible)
        shown[count == 0, -1] = 1
        return shown / np.maximum(count, 1)[:, None].astype(np.float32)


@TASK_UTILS.register_module()
class MeanOverVideo:
    """Mean over all frames of the video: paper Eq. 2.

    The paper is silent on frames without a mask: they count as background with probability 1, so
    that a sequence's probabilities still sum to 1.
    """

    def __call__(self, probabilities: Any, visible: Any) -> Scores:
        """See :class:`SequenceScorer`."""
        shown, count = _visible_sum(probabilities, visible)
        length = len(as_array(visible))
        shown[:, -1] += length - count
        return shown / np.float32(max(length, 1))


def _visible_sum(probabilities: Any, visible: Any) -> tuple[Scores, Any]:
    values = as_array(probabilities, np.float32)
    shown = as_array(visible, np.bool_)
    if values.ndim != 3 or values.shape[:2] != shown.shape:
        raise ValueError(
            f"probabilities must have the shape (T, N, classes + 1) and visible (T, N), got "
            f"{values.shape} and {shown.shape}"
        )
    return np.where(shown[..., None], values, np.float32(0)).sum(axis=0), shown.sum(axis=0)


def predictions_of(
    scores: Any, threshold: float, max_predictions: int | None = None
) -> list[Prediction]:
    """Return what is reported of the kept sequences: every class that is likely enough.

    Args:
        scores: ``(m, C + 1)`` class scores, background last.
        threshold: A class is reported if its score is at least this.
        max_predictions: At most so many are reported, those with the highest scores, the earlier
            one among equals; None for no limit.

    Returns:
        Predictions in order of the sequences, then of the classes.
    """
    table = as_array(scores)[:, :-1]
    sequence, label = np.nonzero(table >= threshold)
    best = np.argsort(-table[sequence, label], kind="stable")[:max_predictions]
    return [
        Prediction(int(sequence[n]), int(label[n]), float(table[sequence[n], label[n]]))
        for n in np.sort(best)
    ]
