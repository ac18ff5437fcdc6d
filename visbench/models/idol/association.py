# SPDX-License-Identifier: Apache-2.0
"""How identities come about in IDOL; no network code."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import batched_nms, box_convert, box_iou

from visbench.models.idol.memory import (
    TEMPORAL_WEIGHTS,
    Detections,
    Floats,
    Ints,
    TrackMemory,
    weighted_embeddings,
)
from visbench.models.layers import multi_cues
from visbench.models.layers.multi_cues import choose, multi_cue_scores, similarity_logits
from visbench.registry import TASK_UTILS

BACKDROP = -1
DISCARDED = -2
DUPLICATE = -3
"""In place of an id: a detection apart from all better ones, one that overlaps a better one, and
one that mask NMS removed. None of them is reported."""

UNMATCHED = -1
LOST = -2
"""In place of a track: the detection continues none, and may begin one or (lost) may not."""


def select_queries(
    probabilities: Tensor, boxes: Tensor, threshold: float = 0.1, nms_threshold: float = 0.9
) -> Tensor:
    """Return the queries that are detections, the most probable first (fact sheet, section 8).

    Args:
        probabilities: ``(Q, K)`` class probabilities.
        boxes: ``(Q, 4)`` cxcywh, divided by the frame's size.
        threshold: A query is a detection above this probability of its best class.
        nms_threshold: Of two detections of one class with a larger IoU the better one stays.

    Returns:
        ``(n,)`` with n of at least 1: without a detection it is the single best query.

    Raises:
        FloatingPointError: If a probability or a box is NaN.
    """
    if not (probabilities.isfinite().all() and boxes.isfinite().all()):
        raise FloatingPointError(
            "class probabilities or boxes of a frame are NaN or infinite: the checkpoint holds "
            "weights that are not finite, or reduced precision overflows; test in fp32"
        )
    scores, labels = probabilities.float().max(dim=1)
    candidates = (scores > threshold).nonzero()[:, 0]
    if not len(candidates):
        return scores.argmax()[None]
    corners = box_convert(boxes[candidates].float(), "cxcywh", "xyxy")
    kept = batched_nms(corners, scores[candidates], labels[candidates], nms_threshold)
    return candidates[kept]


def mask_overlaps(logits: Tensor) -> Tensor:
    """Return the IoU ``(n, n)`` of masks ``(n, h, w)``, which are where logits are above 0.

    Two empty masks have IoU 1. The matrix of intersections is one product of the flattened masks.
    """
    flat = (logits > 0).flatten(1).float()
    intersection = flat @ flat.T
    area = flat.sum(dim=1)
    union = area[:, None] + area - intersection
    return (intersection + 1e-6) / (union + 1e-6)


def mask_nms(overlaps: Floats, threshold: float) -> Ints:
    """Return the detections that no better remaining one overlaps by more than ``threshold``.

    Args:
        overlaps: ``(n, n)`` IoU of the masks, the most probable detection first.
        threshold: IoU.
    """
    stays = np.ones(len(overlaps), dtype=bool)
    for row in range(len(overlaps)):
        if stays[row]:
            stays[row + 1 :] &= overlaps[row, row + 1 :] <= threshold
    return np.flatnonzero(stays)


def bidirectional_softmax(embeddings: Floats, others: Floats) -> Floats:
    """Return the mean of the softmax over the others and over the embeddings, ``(n, m)``.

    Args:
        embeddings: ``(n, C)`` of detections.
        others: ``(m, C)`` of tracks.
    """
    similarity = embeddings @ others.T
    mean: Floats = (_softmax(similarity, 1) + _softmax(similarity, 0)) * np.float32(0.5)
    return mean


def _softmax(values: Floats, axis: int) -> Floats:
    exponential: Floats = np.exp(values - values.max(axis=axis, keepdims=True))
    return exponential / exponential.sum(axis=axis, keepdims=True)


@TASK_UTILS.register_module()
class EmbeddingMatching:
    """Match detections with tracks by their embeddings alone (fact sheet, section 9).

    Detections choose one after the other, the most probable first; a track that is taken is out of
    reach for the others. Labels and boxes play no role.

    Args:
        threshold: A detection continues a track above this score.
        frame_weight: Whether, where several tracks are above the threshold, their scores are
            multiplied by the number of their frames, so that long tracks win.
    """

    def __init__(self, threshold: float = 0.5, frame_weight: bool = True) -> None:
        self.threshold = threshold
        self.frame_weight = frame_weight

    def __call__(self, detections: Detections, memory: TrackMemory, embeddings: Floats) -> Ints:
        """Return the track of every detection.

        Args:
            detections: n detections.
            memory: m tracks, at least one.
            embeddings: ``(m, C)`` what the tracks are recognised by.

        Returns:
            ``(n,)`` rows of the memory, each at most once, or UNMATCHED.
        """
        scores = bidirectional_softmax(detections.embeddings, embeddings)
        columns = np.full(len(scores), UNMATCHED, dtype=np.int64)
        frames = memory.num_frames.astype(np.float32)
        for row in range(len(scores)):
            weighted = self._weighted(scores[row], frames)
            column = int(weighted.argmax())
            if weighted[column] > self.threshold:
                columns[row] = column
                scores[:, column] = 0
        return columns

    def _weighted(self, scores: Floats, frames: Floats) -> Floats:
        candidates = scores > self.threshold
        if not self.frame_weight or candidates.sum() < 2:
            return scores
        return scores * np.where(candidates, frames, frames[candidates].mean())


@TASK_UTILS.register_module()
class MultiCueMatching:
    """Match by class, box, score and embedding, after MaskTrack R-CNN (Table 1, "multi-cues").

    The score of a detection and a track is the logarithm of the softmax of their similarity, plus
    the weighted logarithm of the detection's score, IoU of the boxes and 1 if the classes are
    equal. "New" is a further candidate of similarity 0, IoU 0 and equal class. A detection takes
    the candidate with the highest score; of several that take one track the best is kept and the
    others are dropped. The supplementary names the cues only; weights are MaskTrack R-CNN's.

    Args:
        score_weight: Weight of the logarithm of the detection's score, which decides contests.
        iou_weight: Weight of the IoU with the latest box of a track.
        label_weight: What an equal class is worth.
    """

    def __init__(
        self, score_weight: float = 1.0, iou_weight: float = 2.0, label_weight: float = 10.0
    ) -> None:
        self.score_weight = score_weight
        self.iou_weight = iou_weight
        self.label_weight = label_weight

    def __call__(self, detections: Detections, memory: TrackMemory, embeddings: Floats) -> Ints:
        """Return the track of every detection or UNMATCHED or LOST; see EmbeddingMatching."""
        arrays = (*detections[:4], embeddings, memory.boxes, memory.labels)
        found, boxes, labels, scores, tracks, track_boxes, track_labels = map(
            torch.from_numpy, arrays
        )
        overlaps = box_iou(
            *(box_convert(value, "cxcywh", "xyxy") for value in (boxes, track_boxes))
        )
        columns = choose(
            multi_cue_scores(
                similarity_logits(found, tracks),
                scores,
                overlaps,
                labels[:, None] == track_labels,
                (self.score_weight, self.iou_weight, self.label_weight),
            ).numpy()
        )
        meaning = {multi_cues.NEW: UNMATCHED, multi_cues.LOST: LOST}
        return np.array([meaning.get(column, column - 1) for column in columns], dtype=np.int64)


@TASK_UTILS.register_module()
class IDOLTracker:
    """Gives every detection of a frame an id, from the detection and the memory alone.

    Args:
        matching: Config of an :class:`EmbeddingMatching` (default) or :class:`MultiCueMatching`.
        temporal_weight: What tracks are recognised by: the mean of their last embeddings weighted
            by ``score`` or ``tau``, see :data:`TEMPORAL_WEIGHTS`; None for the moving average.
        tau: Weight beside the recency, for ``temporal_weight="tau"``.
        memory_length: T, the number of embeddings that are kept of a track.
        momentum: Weight of a new embedding in the moving average.
        nms_threshold: Mask NMS before the matching: IoU above which the less probable one goes.
        init_threshold: Score above which a detection begins a track while there is none.
        new_threshold: Score above which an unmatched detection begins a track otherwise.
        backdrop_threshold: IoU with better detections below which one is a backdrop.
        max_age: A track is forgotten so many frames after it was last matched.

    Raises:
        ValueError: If ``temporal_weight`` is unknown, or ``memory_length`` or ``max_age`` below 1.
    """

    def __init__(
        self,
        matching: dict | None = None,
        temporal_weight: str | None = "score",
        tau: float = 0.5,
        memory_length: int = 3,
        momentum: float = 0.8,
        nms_threshold: float = 0.5,
        init_threshold: float = 0.2,
        new_threshold: float = 0.2,
        backdrop_threshold: float = 0.05,
        max_age: int = 10,
    ) -> None:
        if temporal_weight is not None and temporal_weight not in TEMPORAL_WEIGHTS:
            raise ValueError(
                f"tracker.temporal_weight={temporal_weight!r} is neither None nor one of "
                f"{sorted(TEMPORAL_WEIGHTS)}"
            )
        if memory_length < 1 or max_age < 1:
            raise ValueError(
                f"tracker.memory_length={memory_length} and tracker.max_age={max_age} must be at "
                "least 1"
            )
        self.matching = TASK_UTILS.build(matching or {"type": "visbench.EmbeddingMatching"})
        self.temporal_weight = temporal_weight
        self.tau = tau
        self.memory_length = memory_length
        self.momentum = momentum
        self.nms_threshold = nms_threshold
        self.init_threshold = init_threshold
        self.new_threshold = new_threshold
        self.backdrop_threshold = backdrop_threshold
        self.max_age = max_age

    def update(self, memory: TrackMemory, detections: Detections) -> Ints:
        """Identify the detections of the next frame and update the memory.

        A frame without detections makes the tracks older.

        Args:
            memory: Changed in place.
            detections: n detections, the most probable first.

        Returns:
            ``(n,)`` ids, each once, or BACKDROP, DISCARDED or DUPLICATE.

        Raises:
            FloatingPointError: If an embedding is NaN or infinite.
        """
        if not np.isfinite(detections.embeddings).all():
            raise FloatingPointError(
                f"embeddings of frame {memory.frame} are NaN or infinite: the checkpoint holds "
                "weights that are not finite, or reduced precision overflows; test in fp32"
            )
        ids = np.full(len(detections.scores), DUPLICATE, dtype=np.int64)
        kept = mask_nms(detections.overlaps, self.nms_threshold)
        ids[kept] = self._identify(memory, detections.select(kept))
        memory.forget(self.max_age)
        memory.frame += 1
        return ids

    def embeddings(self, memory: TrackMemory) -> Floats:
        """Return what the tracks are recognised by, ``(m, C)``."""
        if self.temporal_weight is None:
            return memory.average
        weights = TEMPORAL_WEIGHTS[self.temporal_weight](memory, self.tau)
        return weighted_embeddings(memory, weights)

    def _identify(self, memory: TrackMemory, detections: Detections) -> Ints:
        columns = np.full(len(detections.scores), UNMATCHED, dtype=np.int64)
        threshold = self.init_threshold
        if len(memory) and len(columns):
            columns = self.matching(detections, memory, self.embeddings(memory))
            threshold = self.new_threshold
        apart = np.tril(detections.overlaps, -1) < self.backdrop_threshold
        ids = np.where(apart.all(axis=1), BACKDROP, DISCARDED)
        matched = np.flatnonzero(columns >= 0)
        new = np.flatnonzero((columns == UNMATCHED) & (detections.scores > threshold))
        ids[matched] = memory.ids[columns[matched]]
        if len(matched):
            memory.refresh(columns[matched], detections.select(matched), self.momentum)
        if len(new):
            ids[new] = memory.begin(detections.select(new), self.memory_length)
        return ids
