# SPDX-License-Identifier: Apache-2.0
"""Seq Mask R-CNN under the Propose-Reduce paradigm (Lin et al., ICCV 2021)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from mmdet.structures import DetDataSample, TrackDataSample
from mmdet.structures.bbox import bbox2roi
from mmengine.config import ConfigDict
from torch import Tensor, nn

from visbench.models.base import VISModel
from visbench.models.layers.two_stage import (
    bare_samples,
    build_mask_detector,
    detection_losses,
    pair_indices,
)
from visbench.models.propose_reduce.association import (
    SequenceOverlaps,
    deduplicate_masks,
    grown_boxes,
    pack_masks,
    predictions_of,
    reduce_sequences,
)
from visbench.models.propose_reduce.feature_store import (
    FEATURE_STORES,
    FeatureStore,
    FrameFeatures,
)
from visbench.models.propose_reduce.head import FrameEncoding, soft_aggregate
from visbench.models.propose_reduce.outputs import to_tracks
from visbench.models.propose_reduce.propagation import (
    PropagationStep,
    ProposeSettings,
    propagate,
)
from visbench.models.propose_reduce.proposals import KeyFrameRecorder, SequenceProposals
from visbench.models.propose_reduce.targets import PropagationTargets, propagation_targets
from visbench.registry import MODELS, TASK_UTILS
from visbench.structures import Frame, VideoInfo, VideoTracks


class FrameLayout(NamedTuple):
    """Sizes ``(height, width)`` that all frames of a video share.

    Attributes:
        padded: Of the network's input.
        valid: Of its part that is not padding.
        original: Of the frame as filmed.
    """

    padded: tuple[int, int]
    valid: tuple[int, int]
    original: tuple[int, int]


@MODELS.register_module()
class SeqMaskRCNN(VISModel):
    """Mask R-CNN with a propagation head; sequences from several key frames are reduced to objects.

    The class, box, mask and RPN heads are MMDetection's; which box and RoI conventions they follow
    is a matter of the detector's config.

    Memory grows with the video. The features of all T frames stay where ``propose.feature_store``
    says, and the memory of the key frame at work holds, for each of its objects, a key and a value
    for every ``memory_interval``-th frame (``4 * (H / 16) * (W / 16) * (64 + 256)`` bytes each with
    the published sizes, 1.2 MB at 384x640) unless ``max_memory_frames`` caps it. Masks are kept as
    packed bits.

    Args:
        detector: Config of MMDetection's ``MaskRCNN`` with at least two backbone levels, strides 4
            and 8 first, and a pyramid that starts at stride 4.
        prop_head: Config of a :class:`~visbench.models.propose_reduce.SeqPropHead`.
        key_frames: Component that chooses the key frames, such as ``EvenKeyFrames``.
        propose: Arguments of
            :class:`~visbench.models.propose_reduce.propagation.ProposeSettings`.
        score: Component that scores sequences, ``MeanOverMask`` or ``MeanOverVideo``.
        reduce: Components that remove and re-score redundant sequences, applied in order; without
            any, every proposal is a result.
        score_threshold: A sequence is reported under every class with at least this score.
        max_predictions: How many (sequence, class) pairs are reported at most; all if None.
        loss_prop: Config of the propagation loss.
        loss_prop_pixel: Config of a second one, for training from scratch; none if None.
        max_objects: How many objects of a training clip are propagated at most.
        all_pairs: Ours, for short trainings from scratch: every frame of a clip of any length
            trains the detector and is propagated to every other. The paper and the reference
            train on pairs, the detector on query frames and the propagation from guidance frames.
        data_preprocessor: Config of a :class:`~visbench.models.ClipPreprocessor`; its
            ``pad_size_divisor`` must be a multiple of the memory's cells, 16 as published.
        init_cfg: Initialisation config of MMEngine.

    Raises:
        ValueError: If the detector has no RoI head with masks, an argument of ``propose`` is out
            of range or frames are not padded to whole cells of the memory.
    """

    def __init__(
        self,
        detector: dict,
        prop_head: dict,
        key_frames: dict,
        propose: dict,
        score: dict,
        reduce: Sequence[dict] = (),
        score_threshold: float = 0.05,
        max_predictions: int | None = None,
        loss_prop: dict | None = None,
        loss_prop_pixel: dict | None = None,
        max_objects: int = 5,
        all_pairs: bool = False,
        data_preprocessor: dict | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        self.detector = build_mask_detector(detector, type(self).__name__)
        self.prop_head = MODELS.build(ConfigDict(prop_head))
        divisor, stride = self.data_preprocessor.pad_size_divisor, self.prop_head.padding_divisor
        if divisor % stride:
            raise ValueError(
                f"model.data_preprocessor.pad_size_divisor is {divisor}; the Seq-Prop head needs "
                f"frames padded to multiples of {stride}, so make it a multiple of {stride}"
            )
        self.key_frames = TASK_UTILS.build(key_frames)
        self.propose_settings = ProposeSettings(**propose)
        self.score = TASK_UTILS.build(score)
        self.reducers = [TASK_UTILS.build(reducer) for reducer in reduce]
        self.score_threshold = score_threshold
        self.max_predictions = max_predictions
        losses = {"loss_prop": loss_prop or {"type": "visbench.SoftIoULoss"}}
        if loss_prop_pixel is not None:
            losses["loss_prop_pixel"] = loss_prop_pixel
        self.propagation_losses = nn.ModuleDict(
            {name: MODELS.build(config) for name, config in losses.items()}
        )
        self.max_objects = max_objects
        self.all_pairs = all_pairs

    def loss(self, inputs: Tensor, data_samples: list[TrackDataSample]) -> dict:
        """Return detection losses of the query frames and the propagation loss of the pairs.

        Args:
            inputs: ``(B, 2, 3, H, W)``: a query frame, which is the key frame of the clip, and a
                guidance frame, in any order. With ``all_pairs`` ``(B, T, 3, H, W)``: each of the
                frames is both; a single one is propagated to itself.
            data_samples: B samples with ``key_frames_inds`` and ``ref_frames_inds``.

        Returns:
            Losses of RPN, box, class and mask head and ``loss_prop``, which is 0 where no object
            is in both frames of any pair; ``loss_prop_pixel`` if configured.

        Raises:
            ValueError: If a clip is not a pair of one key and one reference frame, without
                ``all_pairs``.
        """
        frames, samples, pairs = self._training_frames(inputs, data_samples)
        shallow = self.detector.backbone(frames)
        pyramid = self.detector.neck(shallow)
        detected = len(samples) if self.all_pairs else len(pairs)
        losses, _ = detection_losses(
            self.detector, [level[:detected] for level in pyramid], samples[:detected]
        )
        losses.update(self._propagation_losses(shallow, pyramid, samples, pairs))
        return losses

    def _training_frames(
        self, inputs: Tensor, data_samples: list[TrackDataSample]
    ) -> tuple[Tensor, list[DetDataSample], list[tuple[int, int]]]:
        """Return frames, their samples and pairs (query, guidance) of positions among them."""
        clips = len(data_samples)
        if not self.all_pairs:
            indices = pair_indices(inputs, data_samples, type(self).__name__)
            samples = [data_samples[clip][frame] for clip, frame in zip(*indices, strict=True)]
            return inputs[indices], samples, [(clip, clips + clip) for clip in range(clips)]
        length = inputs.size(1)
        # Of a still image at least the frame itself can be propagated to.
        within = list(permutations(range(length), 2)) or [(0, 0)]
        pairs = [
            (clip * length + query, clip * length + guidance)
            for clip in range(clips)
            for query, guidance in within
        ]
        return inputs.flatten(0, 1), [frame for clip in data_samples for frame in clip], pairs

    def _propagation_losses(
        self,
        shallow: Sequence[Tensor],
        pyramid: Sequence[Tensor],
        samples: list[DetDataSample],
        pairs: list[tuple[int, int]],
    ) -> dict[str, Tensor]:
        log_odds, wanted = [], []
        encodings: dict[int, FrameEncoding] = {}
        for query, guidance in pairs:
            guide = samples[guidance]
            targets = propagation_targets(
                guide.gt_instances, samples[query].gt_instances, self.max_objects
            )
            if not len(targets.masks):
                continue
            own, other = slice(query, query + 1), slice(guidance, guidance + 1)
            masks = self.guidance_masks([level[other] for level in pyramid], guide, targets)
            memory = self.prop_head.memorize(pyramid[0][other], masks)
            if query not in encodings:
                encodings[query] = self.prop_head.encode(
                    pyramid[0][own], shallow[0][own], shallow[1][own]
                )
            log_odds.append(soft_aggregate(self.prop_head.decode(*memory, encodings[query])))
            wanted.append(targets.masks)
        if not wanted:
            # Distributed training waits for a gradient of every parameter.
            nothing = sum(parameter.sum() for parameter in self.prop_head.parameters()) * 0
            return dict.fromkeys(self.propagation_losses, nothing)
        return {name: loss(log_odds, wanted) for name, loss in self.propagation_losses.items()}

    @torch.no_grad()
    def guidance_masks(
        self, pyramid: Sequence[Tensor], guidance: DetDataSample, targets: PropagationTargets
    ) -> Tensor:
        """Estimate the masks of known objects, which training propagates in place of the truth.

        Args:
            pyramid: ``(1, C, h, w)`` levels of the guidance frame.
            guidance: The frame's sample.
            targets: The objects, by their boxes and labels.

        Returns:
            ``(O, h, w)`` probabilities at the valid size of the frame, without gradient.
        """
        roi_head = self.detector.roi_head
        extractor = roi_head.mask_roi_extractor
        rois = bbox2roi([targets.boxes])
        logits = roi_head.mask_head(extractor(pyramid[: extractor.num_inputs], rois))
        return roi_head.mask_head.paste_soft(
            logits.sigmoid(), targets.boxes, targets.labels, guidance.img_shape
        )

    def extract(self, images: Tensor) -> FrameFeatures:
        """Return the features of prepared frames ``(N, 3, H, W)``."""
        shallow = self.detector.backbone(images)
        pyramid = self.detector.neck(shallow)
        return FrameFeatures(
            tuple(pyramid), self.prop_head.encode(pyramid[0], shallow[0], shallow[1])
        )

    def forward_frames(self, images: Tensor) -> tuple:
        """Run backbone, RPN, RoI heads and the part of the Seq-Prop head that needs no memory.

        Args:
            images: ``(N, 3, H, W)`` normalised frames.

        Returns:
            Class scores, box deltas and mask logits of all proposals, and the features.
        """
        samples = bare_samples(images)
        features = self.extract(images)
        proposals = self.detector.rpn_head.predict(features.pyramid, samples, rescale=False)
        return (*self.detector.roi_head.forward(features.pyramid, proposals, samples), features)

    @torch.no_grad()
    def segment(self, video: VideoInfo, frames: Iterable[Frame]) -> VideoTracks:
        """Segment a whole video; see :meth:`VISModel.segment`.

        A video in which no key frame shows a detection has no tracks. Track ids are positions
        among the sequences that the reduction keeps. A track is absent (None) where its mask is
        empty.

        Raises:
            ValueError: If the frames of the video differ in size.
        """
        store, layout = self.read(video, frames)
        video = replace(video, length=len(store))
        if layout is None:
            return VideoTracks(video)
        proposals = self.propose(store, layout.valid)
        if not proposals.sequences:
            return VideoTracks(video)
        overlaps = SequenceOverlaps(proposals.sequences)
        kept, scores = reduce_sequences(self.reducers, overlaps, np.stack(proposals.scores))
        return to_tracks(
            video,
            [proposals.sequences[index] for index in kept],
            layout.valid,
            layout.original,
            predictions_of(scores, self.score_threshold, self.max_predictions),
        )

    def read(
        self, video: VideoInfo, frames: Iterable[Frame]
    ) -> tuple[FeatureStore, FrameLayout | None]:
        """Take in all frames of a video.

        Args:
            video: The video, for the message.
            frames: Prepared frames in order.

        Returns:
            The frames' features, and their sizes; None without a frame.

        Raises:
            ValueError: If the frames differ in size.
        """
        store = FEATURE_STORES[self.propose_settings.feature_store](self.extract)
        layout = None
        for frame in frames:
            height, width = frame.image.shape[-2:]
            current = FrameLayout((height, width), frame.valid_size, frame.original_size)
            layout = layout or current
            if current != layout:
                raise ValueError(
                    f"video {video.video_id} ({video.name}): frame {frame.index} has the sizes "
                    f"{current._asdict()}, the frames before have {layout._asdict()}; "
                    "Propose-Reduce needs frames of one size, so resize them alike or split the "
                    "video where its size changes"
                )
            store.add(frame.image)
        return store, layout

    def propose(self, store: FeatureStore, valid_size: tuple[int, int]) -> SequenceProposals:
        """Propose sequences: detect in every key frame and propagate what is found.

        Args:
            store: Features of a video with at least one frame.
            valid_size: ``(height, width)`` of the frames without padding.

        Returns:
            The sequences at the padded size; none if no key frame shows a detection.
        """
        proposals = SequenceProposals()
        num_classes = self.detector.roi_head.bbox_head.num_classes
        for key_frame in self.key_frames(len(store)):
            masks = self.detect(store[key_frame], valid_size)
            masks = masks[deduplicate_masks(masks, self.propose_settings.mask_iou_threshold)]
            if not len(masks):
                continue
            recorder = KeyFrameRecorder(len(store), len(masks), num_classes)
            for step in propagate(self.prop_head, store, key_frame, masks, self.propose_settings):
                self.observe(step, recorder)
            recorder.finish(self.score, proposals)
        return proposals

    def detect(self, features: FrameFeatures, valid_size: tuple[int, int]) -> Tensor:
        """Return the masks ``(n, *valid_size)`` that the detector finds, in the detector's order.

        Args:
            features: The frame's features.
            valid_size: ``(height, width)`` of the frame without padding.
        """
        meta = {"img_shape": valid_size, "ori_shape": valid_size, "scale_factor": (1.0, 1.0)}
        sample = DetDataSample(metainfo=meta)
        detector, pyramid = self.detector, features.pyramid
        proposals = detector.rpn_head.predict(pyramid, [sample], rescale=False)
        (found,) = detector.roi_head.predict(pyramid, proposals, [sample], rescale=False)
        return found.masks

    def classify(self, pyramid: Sequence[Tensor], boxes: Any) -> Tensor:
        """Return the class probabilities ``(n, C + 1)`` of boxes in a frame, background last.

        Args:
            pyramid: ``(1, C, h, w)`` levels of the frame.
            boxes: ``(n, 4)`` xyxy in pixels of the padded frame.
        """
        roi_head = self.detector.roi_head
        extractor = roi_head.bbox_roi_extractor
        rois = bbox2roi([torch.as_tensor(boxes, dtype=torch.float32, device=pyramid[0].device)])
        scores, _ = roi_head.bbox_head(extractor(pyramid[: extractor.num_inputs], rois))
        return scores.float().softmax(dim=-1)

    def observe(self, step: PropagationStep, recorder: KeyFrameRecorder) -> None:
        """Binarise the masks of a propagation step and classify those that have any pixel.

        Args:
            step: The objects of a key frame in one frame.
            recorder: Takes up masks and classes.
        """
        masks: npt.NDArray[np.bool_] = (step.masks >= 0.5).cpu().numpy()
        visible = np.asarray(masks.any(axis=(1, 2)))
        recorder.add(step.frame, pack_masks(masks), visible)
        if visible.any():
            probabilities = self.classify(step.pyramid, grown_boxes(masks[visible]))
            recorder.add_probabilities(step.frame, probabilities)
