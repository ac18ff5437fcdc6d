# SPDX-License-Identifier: Apache-2.0
"""MaskTrack R-CNN (Yang et al., ICCV 2019) from MMDetection's parts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from mmdet.structures import DetDataSample, TrackDataSample
from mmengine.config import ConfigDict
from torch import Tensor

from visbench.models.base import OnlineVISModel
from visbench.models.baselines.association import MaskTrackState, associate
from visbench.models.layers.two_stage import (
    bare_samples,
    build_mask_detector,
    detection_losses,
    pair_indices,
)
from visbench.registry import MODELS
from visbench.structures import Frame, FrameInstances, Prediction, VideoInfo, VideoTracks
from visbench.structures.rle import encode_masks


@MODELS.register_module()
class MaskTrackRCNN(OnlineVISModel):
    """MMDetection's MaskTrack R-CNN with an explicit state; its checkpoints load unchanged.

    Detector, track head and tracker are MMDetection's. Two deviations from its
    ``MaskTrackRCNN``: the region proposal network is trained without classes (MMDetection 3.x
    hands it the class labels, so that objects of any class but the first count as background),
    and of two detections that it emits under one id only the better match is emitted.

    Args:
        detector: Config of a two-stage detector with masks, such as ``MaskRCNN``.
        track_head: Config of a ``RoITrackHead``.
        tracker: Config of a ``MaskTrackRCNNTracker``.
        max_predictions: How many tracks of a video are reported, best first; all if None.
        reference_losses: Whether reference frames train the detector too. The paper and
            MMDetection train it on key frames; with both, a short training sees twice the images.
        data_preprocessor: Config of a :class:`~visbench.models.ClipPreprocessor`.
        init_cfg: Initialisation config of MMEngine.

    Raises:
        ValueError: If the detector has no RoI head with masks.
    """

    def __init__(
        self,
        detector: dict,
        track_head: dict,
        tracker: dict,
        max_predictions: int | None = None,
        reference_losses: bool = False,
        data_preprocessor: dict | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        self.detector = build_mask_detector(detector, type(self).__name__)
        self.track_head = MODELS.build(ConfigDict(track_head))
        self.tracker = MODELS.build(ConfigDict(tracker))
        self.max_predictions = max_predictions
        self.reference_losses = reference_losses

    def loss(self, inputs: Tensor, data_samples: list[TrackDataSample]) -> dict:
        """Return detection losses of the key frames and the matching loss of the pairs.

        Args:
            inputs: ``(B, 2, 3, H, W)``: one key and one reference frame, in any order.
            data_samples: B samples with ``key_frames_inds`` and ``ref_frames_inds``.

        Returns:
            Losses of RPN, box, class and mask head and ``loss_match``; ``match_accuracy`` in
            percent.

        Raises:
            ValueError: If a clip is not a pair of one key and one reference frame.
        """
        frames = inputs[pair_indices(inputs, data_samples, type(self).__name__)]
        feats = self.detector.extract_feat(frames)
        pairs = len(data_samples)
        samples = [sample.get_key_frames()[0] for sample in data_samples]
        if self.reference_losses:
            samples += [sample.get_ref_frames()[0] for sample in data_samples]
        detected = [level[: len(samples)] for level in feats]
        losses, proposals = detection_losses(self.detector, detected, samples)
        key = [level[:pairs] for level in feats]
        reference = [level[pairs:] for level in feats]
        losses.update(self.track_head.loss(key, reference, proposals[:pairs], data_samples))
        return losses

    def forward_frames(self, images: Tensor) -> tuple:
        """Run backbone, RPN, RoI heads and the track head's embedding.

        Args:
            images: ``(N, 3, H, W)`` normalised frames.

        Returns:
            Class scores, box deltas and mask logits of all proposals, and the feature levels.
        """
        samples = bare_samples(images)
        feats = self.detector.extract_feat(images)
        proposals = self.detector.rpn_head.predict(feats, samples, rescale=False)
        return (*self.detector.roi_head.forward(feats, proposals, samples), feats)

    def start(self, video: VideoInfo) -> MaskTrackState:
        """Return an empty memory."""
        return MaskTrackState(video)

    @torch.no_grad()
    def step(self, frame: Frame, state: MaskTrackState) -> FrameInstances:  # type: ignore[override]
        """Detect on one frame and link its detections to the tracks remembered in ``state``."""
        sample = DetDataSample(metainfo=_metainfo(frame))
        feats = self.detector.extract_feat(frame.image[None])
        proposals = self.detector.rpn_head.predict(feats, [sample])
        (sample.pred_instances,) = self.detector.roi_head.predict(
            feats, proposals, [sample], rescale=True
        )
        found = associate(self.tracker, self, feats, sample, state)
        instances = FrameInstances(
            ids=found.instances_id,
            labels=found.labels,
            scores=found.scores.float(),
            boxes=found.bboxes.float(),
            masks=encode_masks(found.masks),
        )
        state.recorder.add(frame.index, instances)
        return instances

    def finish(self, state: MaskTrackState) -> VideoTracks:  # type: ignore[override]
        """Return all tracks and the predictions of :func:`mean_score_predictions`."""
        recorder = state.recorder
        return VideoTracks(
            replace(state.video, length=recorder.num_frames),
            recorder.tracks(),
            mean_score_predictions(state, self.max_predictions),
        )


def mean_score_predictions(state: MaskTrackState, maximum: int | None) -> list[Prediction]:
    """Decide what is reported: each track once, as MMDetection's YouTube-VIS metric does.

    Args:
        state: A video's state after its last frame.
        maximum: How many tracks are reported; all if None.

    Returns:
        Predictions with the mean score over the frames where a track was emitted and its most
        frequent label (the smallest on ties), best score first.
    """
    recorder = state.recorder
    predictions = [
        Prediction(index, recorder.majority_label(track_id), recorder.mean_score(track_id))
        for index, track_id in enumerate(recorder.ids)
    ]
    predictions.sort(key=lambda prediction: -prediction.score)
    return predictions[:maximum]


def _metainfo(frame: Frame) -> dict[str, Any]:
    return {
        "frame_id": frame.index,
        "img_shape": frame.valid_size,
        "ori_shape": frame.original_size,
        "scale_factor": frame.scale_factor,
        "batch_input_shape": tuple(frame.image.shape[-2:]),
    }
