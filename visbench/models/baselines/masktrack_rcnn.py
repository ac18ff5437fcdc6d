# SPDX-License-Identifier: Apache-2.0
"""MaskTrack R-CNN (Yang et al., ICCV 2019) from MMDetection's parts."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import torch
from mmdet.structures import DetDataSample, TrackDataSample
from mmengine.config import ConfigDict
from torch import Tensor

from visbench.models.base import OnlineVISModel
from visbench.models.baselines.association import MaskTrackState, associate
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
        self.detector = MODELS.build(ConfigDict(detector))
        if not getattr(getattr(self.detector, "roi_head", None), "with_mask", False):
            raise ValueError(
                f"model.detector is a {type(self.detector).__name__} without a mask head; "
                "MaskTrackRCNN needs a two-stage detector with masks, such as MaskRCNN"
            )
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
        frames = inputs[_frame_indices(inputs, data_samples)]
        feats = self.detector.extract_feat(frames)
        pairs = len(data_samples)
        samples = [sample.get_key_frames()[0] for sample in data_samples]
        if self.reference_losses:
            samples += [sample.get_ref_frames()[0] for sample in data_samples]
        detected = [level[: len(samples)] for level in feats]
        losses, proposals = self.detector.rpn_head.loss_and_predict(
            detected, _without_classes(samples), proposal_cfg=self._proposal_cfg()
        )
        losses = {name if "rpn" in name else f"rpn_{name}": loss for name, loss in losses.items()}
        losses.update(self.detector.roi_head.loss(detected, proposals, samples))
        key = [level[:pairs] for level in feats]
        reference = [level[pairs:] for level in feats]
        losses.update(self.track_head.loss(key, reference, proposals[:pairs], data_samples))
        return losses

    def _proposal_cfg(self) -> ConfigDict:
        return self.detector.train_cfg.get("rpn_proposal", self.detector.test_cfg.rpn)

    def forward_frames(self, images: Tensor) -> tuple:
        """Run backbone, RPN, RoI heads and the track head's embedding.

        Args:
            images: ``(N, 3, H, W)`` normalised frames.

        Returns:
            Class scores, box deltas and mask logits of all proposals, and the feature levels.
        """
        size = tuple(images.shape[-2:])
        meta = {"img_shape": size, "batch_input_shape": size, "scale_factor": (1.0, 1.0)}
        samples = [DetDataSample(metainfo={**meta, "ori_shape": size}) for _ in images]
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


def _frame_indices(
    inputs: Tensor, data_samples: list[TrackDataSample]
) -> tuple[list[int], list[int]]:
    """Return clip and position of all key frames, then of all reference frames."""
    pairs = []
    for sample in data_samples:
        key = list(sample.metainfo.get("key_frames_inds", ()))
        reference = list(sample.metainfo.get("ref_frames_inds", ()))
        if inputs.size(1) != 2 or len(key) != 1 or sorted(key + reference) != [0, 1]:
            raise ValueError(
                f"MaskTrackRCNN trains on pairs of a key and a reference frame, got "
                f"{inputs.size(1)} frames, key_frames_inds {key} and ref_frames_inds "
                f"{reference}; sample clips with SampleKeyReference and num_references=1"
            )
        pairs.append((key[0], reference[0]))
    keys, references = zip(*pairs, strict=True)
    return [*range(len(pairs))] * 2, [*keys, *references]


def _without_classes(samples: list[DetDataSample]) -> list[DetDataSample]:
    agnostic = copy.copy(samples)
    for index, sample in enumerate(samples):
        instances = sample.gt_instances.new()
        instances.labels = torch.zeros_like(instances.labels)
        agnostic[index] = sample.new()
        agnostic[index].gt_instances = instances
    return agnostic
