# SPDX-License-Identifier: Apache-2.0
"""How identities come about in tracking by detection, after MaskTrack R-CNN; no network code."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from mmdet.structures.bbox import bbox_overlaps
from torch import Tensor

from visbench.models.layers.multi_cues import (
    LOST,
    NEW,
    choose,
    multi_cue_scores,
    similarity_logits,
)


class Detections(NamedTuple):
    """The n detections of a frame, the most probable first.

    Attributes:
        embeddings: ``(n, C)``.
        boxes: ``(n, 4)`` xyxy, divided by the frame's size, so that frames may differ in theirs.
        labels: ``(n,)`` classes.
        scores: ``(n,)`` probabilities of these classes.
    """

    embeddings: Tensor
    boxes: Tensor
    labels: Tensor
    scores: Tensor


@dataclass
class TrackMemory:
    """The latest embedding, box and class of m instances, those unseen for longest first.

    Args:
        next_id: Id of the next new instance; ids of forgotten instances are not used again.
        ids: m ids.
        embeddings: ``(m, C)``.
        boxes: ``(m, 4)``.
        labels: ``(m,)``.
    """

    next_id: int = 0
    ids: list[int] = field(default_factory=list)
    embeddings: Tensor = field(default_factory=lambda: torch.empty(0, 0))
    boxes: Tensor = field(default_factory=lambda: torch.empty(0, 4))
    labels: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.long))

    def state_dict(self) -> dict[str, Any]:
        """Return the fields; :meth:`load_state_dict` restores them."""
        return dict(vars(self))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Replace the content by what :meth:`state_dict` returned."""
        for name in vars(self):
            setattr(self, name, state[name])

    def update(self, ids: list[int], detections: Detections, maximum: int) -> None:
        """Remember detections under their ids; at most ``maximum`` instances are kept.

        Those unseen for longest are forgotten first and, of one frame, the least probable.
        """
        stay = [row for row, track_id in enumerate(self.ids) if track_id not in set(ids)]
        kept = [row for row, track_id in enumerate(ids) if track_id != LOST][::-1]
        self.ids = ([self.ids[row] for row in stay] + [ids[row] for row in kept])[-maximum:]
        for name in ("embeddings", "boxes", "labels"):
            values = [getattr(detections, name)[kept]]
            if stay:
                values.insert(0, getattr(self, name)[stay])
            setattr(self, name, torch.cat(values)[-maximum:])


@dataclass(frozen=True)
class TrackAssociation:
    """Give every detection of a frame to an instance of the video or make it a new one.

    The match score of a detection and an instance is the logarithm of the softmax of their
    similarity, plus the weighted logarithm of the detection's score, IoU of the boxes and 1 if
    the classes are equal. "New" is a further candidate of similarity 0, IoU 0 and equal class
    (MaskTrack R-CNN, section 4.2). A detection takes the candidate with the highest score; of
    several that take one instance the best is kept and the others are dropped. There is no other
    treatment of duplicates.

    Args:
        score_weight: Weight of the logarithm of the detection's score. It decides contests only,
            since it is the same for all candidates of a detection.
        iou_weight: Weight of the IoU with the latest box of an instance.
        label_weight: What an equal class is worth.
        max_detections: Detections of a frame, the most probable first.
        max_instances: Instances remembered, which bounds the memory of a video of any length.
            The paper names no bound; its videos have at most a few dozen frames.

    Raises:
        ValueError: If ``max_detections`` is below 1 or ``max_instances`` below it.
    """

    score_weight: float = 1.0
    iou_weight: float = 2.0
    label_weight: float = 10.0
    max_detections: int = 20
    max_instances: int = 100

    def __post_init__(self) -> None:
        if not 1 <= self.max_detections <= self.max_instances:
            raise ValueError(
                f"association.max_detections={self.max_detections} must be at least 1 and "
                f"association.max_instances={self.max_instances} at least as many, so that all "
                "instances of a frame can be remembered"
            )

    def detect(self, probabilities: Tensor, threshold: float) -> Tensor:
        """Return the slots that are detections, the most probable first.

        Args:
            probabilities: ``(N, K)`` class probabilities.
            threshold: Least probability of the best class of a detection.
        """
        scores = probabilities.amax(dim=1)
        slots = scores.argsort(descending=True, stable=True)[: self.max_detections]
        return slots[scores[slots] >= threshold]

    def associate(self, detections: Detections, memory: TrackMemory) -> list[int]:
        """Return the ids of detections, -1 for a dropped one, and update the memory.

        A frame without detections leaves the memory as it is.
        """
        if len(detections.labels) == 0:
            return []
        columns = [NEW] * len(detections.labels)
        if memory.ids:
            columns = choose(self.match_scores(detections, memory).cpu().numpy())
        ids = []
        for column in columns:
            if column == NEW:
                ids.append(memory.next_id)
                memory.next_id += 1
            else:
                ids.append(LOST if column == LOST else memory.ids[column - 1])
        memory.update(ids, detections, self.max_instances)
        return ids

    def match_scores(self, detections: Detections, memory: TrackMemory) -> Tensor:
        """Return ``(n, 1 + m)`` match scores, "new" first."""
        return multi_cue_scores(
            similarity_logits(detections.embeddings, memory.embeddings),
            detections.scores,
            bbox_overlaps(detections.boxes, memory.boxes),
            detections.labels[:, None] == memory.labels,
            (self.score_weight, self.iou_weight, self.label_weight),
        )
