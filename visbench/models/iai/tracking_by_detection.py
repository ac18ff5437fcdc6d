# SPDX-License-Identifier: Apache-2.0
"""IAI's image models with a track head in place of ids and association (Table 6, "Track")."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch
import torch.nn.functional as F
from mmdet.structures import TrackDataSample
from mmengine.config import ConfigDict
from torch import Tensor

from visbench.models.base import OnlineVISModel
from visbench.models.iai.association import video_predictions
from visbench.models.iai.segmenter import Detections, build_segmenter
from visbench.models.iai.settings import check_limits
from visbench.models.inspro.targets import clip_targets, identity_targets
from visbench.models.inspro.track_association import (
    LOST,
    TrackAssociation,
    TrackMemory,
    similarity_logits,
)
from visbench.models.inspro.track_association import Detections as TrackDetections
from visbench.models.layers import boxes_to_original
from visbench.models.state import VideoState
from visbench.registry import MODELS
from visbench.structures import (
    Frame,
    FrameInstances,
    Prediction,
    VideoInfo,
    VideoTracks,
    encode_masks,
)


@dataclass
class DetectionTracks(VideoState):
    """What tracking by detection remembers of a video.

    Args:
        memory: Instances that later frames are compared with.
        totals: ``(tracks, C)`` sums of the class scores, in the order of the ids. They grow with
            the number of tracks, as the output does.
    """

    memory: TrackMemory = field(default_factory=TrackMemory)
    totals: Tensor = field(default_factory=lambda: torch.zeros(0, 0))


@MODELS.register_module()
class IAITrackingByDetection(OnlineVISModel[DetectionTracks]):
    """A segmenter of IAI on independent frames, whose detections a track head links.

    Track head and association are those of MaskTrack R-CNN, as in InsPro's baseline. What is
    reported of a video follows IAI: the mean class scores over all frames of the video, several
    classes per track. So the two differ in how identities come about, and in that frames are
    independent. The paper says no more than "tracking by detection".

    Args:
        backbone: Config of a backbone.
        neck: Config of a neck.
        segmenter: Config of an :class:`~visbench.models.iai.segmenter.IdentitySegmenter`, which
            gets no id branch.
        track_head: Config of MMDetection's ``RoITrackHead`` with a
            :class:`~visbench.models.layers.SignedRoIEmbedHead`.
        association: Arguments of a
            :class:`~visbench.models.inspro.track_association.TrackAssociation`.
        box_noise: Sides of the true boxes that train the track head move by up to this share of
            width and height, as those of detections do.
        max_per_video: Number of (track, class) pairs reported.
        video_score_thr: Pairs must have a higher mean score.
        data_preprocessor: Config of a :class:`~visbench.models.ClipPreprocessor`.
        init_cfg: Initialisation config of MMEngine.

    Raises:
        ValueError: If a value is out of range.
    """

    def __init__(
        self,
        backbone: dict,
        neck: dict,
        segmenter: dict,
        track_head: dict,
        association: dict | None = None,
        box_noise: float = 0.1,
        max_per_video: int = 10,
        video_score_thr: float = 0.05,
        data_preprocessor: dict | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        limited = {"max_per_video": max_per_video, "video_score_thr": video_score_thr}
        check_limits({**limited, "box_noise": box_noise})
        self.backbone = MODELS.build(backbone)
        self.neck = MODELS.build(neck)
        self.segmenter = build_segmenter({**segmenter, "identification": False}, num_ids=0)
        self.track_head = MODELS.build(ConfigDict(track_head))
        self.association = TrackAssociation(**(association or {}))
        self.box_noise = box_noise
        self.max_per_video = max_per_video
        self.video_score_thr = video_score_thr

    def extract(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the levels of the neck for frames ``(F, 3, H, W)``."""
        levels: tuple[Tensor, ...] = self.neck(self.backbone(images))
        return levels

    def embed(self, features: tuple[Tensor, ...], boxes: list[Tensor]) -> Tensor:
        """Return the embeddings ``(n, C)`` of the boxes, in pixels, of all frames."""
        regions, numbers = self.track_head.extract_roi_feats(features, boxes)
        return torch.cat(self.track_head.embed_head.extract_feat(regions, numbers))

    def loss(self, inputs: Tensor, data_samples: list[TrackDataSample]) -> dict:
        """Return the segmenter's losses of all frames and ``loss_track``.

        Args:
            inputs: ``(B, T, 3, H, W)``.
            data_samples: B samples of T frames in temporal order.
        """
        features = self.extract(inputs.transpose(0, 1).flatten(0, 1))
        frames = [sample[index] for index in range(inputs.size(1)) for sample in data_samples]
        losses = self.segmenter.loss(
            features,
            [frame.gt_instances for frame in frames],
            [frame.metainfo for frame in frames],
        )
        return {**losses, "loss_track": self._track_loss(features, data_samples)}

    def _track_loss(
        self, features: tuple[Tensor, ...], data_samples: list[TrackDataSample]
    ) -> Tensor:
        """Return the mean cross-entropy of finding objects in the other frames of their clip."""
        targets = clip_targets(data_samples, None, features[0].device)
        size = (targets.boxes[:, 2:] - targets.boxes[:, :2]).repeat(1, 2)
        noise = (2 * torch.rand_like(size) - 1) * self.box_noise
        embeddings = self.embed(
            features, list((targets.boxes + noise * size).split(targets.counts.tolist()))
        )
        key, candidates, column = identity_targets(targets)
        if len(key) == 0:
            return embeddings.sum() * 0
        logits = similarity_logits(embeddings, embeddings)[key]
        logits = logits.masked_fill(F.pad(~candidates, (1, 0)), -torch.inf)
        loss: Tensor = self.track_head.embed_head.loss_match(logits, column)
        return loss

    def start(self, video: VideoInfo) -> DetectionTracks:
        """Return an empty memory."""
        return DetectionTracks(video)

    @torch.no_grad()
    def step(self, frame: Frame, state: DetectionTracks) -> FrameInstances:
        """Detect in one frame and link the detections with what is remembered."""
        features = self.extract(frame.image[None])
        found = self._detect(features, frame)
        scores, labels = found.class_scores.max(dim=1)
        height, width = frame.valid_size
        linked = TrackDetections(
            embeddings=self.embed(features, [found.boxes]).float(),
            boxes=found.boxes / found.boxes.new_tensor([width, height, width, height]),
            labels=labels,
            scores=scores,
        )
        ids = torch.tensor(
            self.association.associate(linked, state.memory),
            dtype=torch.long,
            device=labels.device,
        )
        kept = ids != LOST
        found, ids = found.select(kept), ids[kept]
        self._score_tracks(state, ids, found.class_scores)
        instances = FrameInstances(
            ids=ids,
            labels=labels[kept],
            scores=scores[kept],
            boxes=boxes_to_original(found.boxes, frame.scale_factor),
            masks=encode_masks(found.masks_at_original_size(frame.valid_size, frame.original_size)),
        )
        state.recorder.add(frame.index, instances)
        return instances

    def _detect(self, features: tuple[Tensor, ...], frame: Frame) -> Detections:
        meta = {
            "img_shape": frame.valid_size,
            "ori_shape": frame.original_size,
            "scale_factor": frame.scale_factor,
            "batch_input_shape": tuple(frame.image.shape[-2:]),
        }
        found = self.segmenter.detect(features, meta, first_frame=True)
        # The association wants the most probable first.
        best = found.class_scores.amax(dim=1)
        order = best.argsort(descending=True, stable=True)
        return found.select(order[: self.association.max_detections])

    def _score_tracks(self, state: DetectionTracks, ids: Tensor, class_scores: Tensor) -> None:
        totals = class_scores.new_zeros(state.memory.next_id, class_scores.shape[1])
        totals[: len(state.totals)] = state.totals.reshape(-1, class_scores.shape[1])
        totals[ids] += class_scores
        state.totals = totals

    def finish(self, state: DetectionTracks) -> VideoTracks:
        """Report the best pairs of track and class of the whole video, as IAI does."""
        recorder = state.recorder
        pairs = video_predictions(
            state.totals.cpu().numpy(),
            recorder.num_frames,
            self.max_per_video,
            self.video_score_thr,
        )
        ids = recorder.ids
        return VideoTracks(
            replace(state.video, length=recorder.num_frames),
            recorder.tracks(),
            [Prediction(ids.index(track), label, score) for track, label, score in pairs],
        )

    def forward_frames(self, images: Tensor) -> Any:
        """Run backbone, neck and segmenter.

        Args:
            images: ``(F, 3, H, W)`` normalised frames.
        """
        return self.segmenter(self.extract(images))
