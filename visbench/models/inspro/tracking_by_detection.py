# SPDX-License-Identifier: Apache-2.0
"""InsPro's detector with a track head in place of propagation (Table 2d of the paper)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from mmdet.structures.bbox import bbox_overlaps
from torch import Tensor

from visbench.models.inspro.detector import Emitted, InsPro, InsProState
from visbench.models.inspro.stage import StageOutput
from visbench.models.inspro.targets import ClipTargets, identity_targets
from visbench.models.inspro.track_association import (
    Detections,
    TrackAssociation,
    TrackMemory,
)
from visbench.models.layers.multi_cues import LOST, similarity_logits
from visbench.registry import MODELS
from visbench.structures import VideoInfo

POSITIVE_IOU = 0.5
"""From this IoU with its object on a predicted box is a positive sample (MaskTrack R-CNN)."""


@dataclass
class TrackingByDetectionState(InsProState):
    """What tracking by detection remembers of a video.

    ``totals`` and ``counts`` have one row per track, in the order of the ids, and a last row for
    a track that has not begun. They grow with the number of tracks, as the output does.

    Args:
        memory: Instances that later frames are compared with.
    """

    memory: TrackMemory = field(default_factory=TrackMemory)


@MODELS.register_module()
class InsProTrackingByDetection(InsPro):
    """InsPro whose identities come from a track head, the paper's baseline of association.

    Detections of a frame are the slots whose best class is probable enough
    (``test_cfg.frame_score_thr``), one class each; their embeddings are compared with those of
    the instances seen so far. As in InsPro there is no non-maximum suppression. A track's class
    scores are reduced over the frames of the video and reported like those of a slot: frames in
    which the track is absent count with probability 0. So the two differ in association alone;
    MaskTrack R-CNN's own rule is one prediction per track with the mean score of its frames.

    The paper's row is trained without propagation, consistent matching and deduplication, which
    are fields of ``head`` and ``criterion``.

    Args:
        track_head: Config of MMDetection's ``RoITrackHead`` with a
            :class:`~visbench.models.layers.SignedRoIEmbedHead`, whose ``loss_match`` holds the
            weight of the track loss (1 by default).
        association: Arguments of a
            :class:`~visbench.models.inspro.track_association.TrackAssociation`.
        **inspro: Arguments of :class:`InsPro`.

    Raises:
        ValueError: If ``association`` has a value out of range.
    """

    def __init__(self, track_head: dict, association: dict | None = None, **inspro: Any) -> None:
        super().__init__(**inspro)
        self.track_head = MODELS.build(track_head)
        self.association = TrackAssociation(**(association or {}))

    def embed(self, features: Sequence[Tensor], boxes: Sequence[Tensor]) -> Tensor:
        """Return the embeddings of the boxes of all frames, ``(n, C)``.

        Args:
            features: Maps ``(F, C, h, w)``.
            boxes: ``(n, 4)`` boxes in pixels of each of the F frames.
        """
        roi_features, numbers = self.track_head.extract_roi_feats(features, boxes)
        return torch.cat(self.track_head.embed_head.extract_feat(roi_features, numbers))

    def identity_losses(
        self,
        features: Sequence[Tensor],
        outputs: StageOutput,
        targets: ClipTargets,
        slots: Tensor,
    ) -> dict[str, Tensor]:
        """Return ``loss_track``: every object must be found in the other frames of its clip.

        An object is embedded once per frame, at the last stage's box of its slot or, where that
        is no positive sample, at its true box, so that the track head learns from the start. The
        loss is the mean cross-entropy over all pairs of an object and another frame of the clip
        with objects; without any pair it is zero, attached to the graph.
        """
        boxes = self._object_boxes(outputs, targets, slots[-1])
        embeddings = self.embed(features, boxes.split(targets.counts.tolist()))
        key, candidates, column = identity_targets(targets)
        if len(key) == 0:
            return {"loss_track": embeddings.sum() * 0}
        logits = similarity_logits(embeddings, embeddings)[key]
        absent = F.pad(~candidates, (1, 0))
        logits = logits.masked_fill(absent, -torch.inf)
        return {"loss_track": self.track_head.embed_head.loss_match(logits, column)}

    def _object_boxes(self, outputs: StageOutput, targets: ClipTargets, slots: Tensor) -> Tensor:
        reported = self.head.reported_boxes(outputs.boxes[-1].detach(), targets.whwh).float()
        boxes = reported[targets.frame, slots]
        overlaps = bbox_overlaps(boxes, targets.boxes, is_aligned=True)
        positive = (slots >= 0) & (overlaps >= POSITIVE_IOU)
        return torch.where(positive[:, None], boxes, targets.boxes)

    def start(self, video: VideoInfo) -> TrackingByDetectionState:
        """Return the learned pairs and an empty memory."""
        state = TrackingByDetectionState(**vars(super().start(video)))
        state.totals, state.counts = state.totals[:1], state.counts[:1]
        return state

    def identify(  # type: ignore[override]
        self,
        features: Sequence[Tensor],
        output: StageOutput,
        whwh: Tensor,
        state: TrackingByDetectionState,
    ) -> Emitted:
        """Detect, associate and update the class scores of all tracks; ids are those of tracks."""
        probabilities = output.logits[0].float().sigmoid()
        slots = self.association.detect(probabilities, self.test_cfg["frame_score_thr"])
        scores, labels = probabilities[slots].max(dim=1)
        boxes = self.head.reported_boxes(output.boxes, whwh)[0, slots].float()
        embeddings = self.embed(features, [boxes]).float()
        detections = Detections(embeddings, boxes / whwh, labels, scores)
        ids = torch.tensor(
            self.association.associate(detections, state.memory),
            dtype=torch.long,
            device=slots.device,
        )
        kept = ids != LOST
        emitted = Emitted(ids[kept], slots[kept], labels[kept], scores[kept])
        self._score_tracks(state, emitted, probabilities)
        return emitted

    def _score_tracks(
        self, state: TrackingByDetectionState, emitted: Emitted, probabilities: Tensor
    ) -> None:
        known = len(state.totals) - 1
        rows = torch.arange(state.memory.next_id + 1, device=emitted.ids.device).clamp(max=known)
        table = probabilities.new_zeros((len(rows), probabilities.shape[1]))
        table[emitted.ids] = probabilities[emitted.slots]
        state.totals, state.counts = self._accumulate(state.totals[rows], state.counts[rows], table)

    def identity_outputs(
        self, features: Sequence[Tensor], boxes: Tensor, slots: Tensor
    ) -> dict[str, Tensor]:
        """Return ``embeddings`` ``(F * n, C)`` of at most ``max_detections`` slots per frame."""
        slots = slots[:, : self.association.max_detections]
        chosen = boxes.gather(1, slots[..., None].expand(-1, -1, 4))
        return {"embeddings": self.embed(features, list(chosen))}
