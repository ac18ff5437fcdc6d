# SPDX-License-Identifier: Apache-2.0
"""InsPro: the registered model and its state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from mmdet.structures import TrackDataSample
from torch import Tensor

from visbench.models.base import OnlineVISModel
from visbench.models.inspro.association import (
    SCORE_REDUCERS,
    accumulate_scores,
    best_slots,
    predict_video,
    video_scores,
)
from visbench.models.inspro.head import InsProHead
from visbench.models.inspro.masks import build_mask_branch
from visbench.models.inspro.stage import StageOutput
from visbench.models.inspro.stage_series import Carry, StageSeries
from visbench.models.inspro.targets import ClipTargets, clip_targets
from visbench.models.layers import boxes_to_original
from visbench.models.state import VideoState
from visbench.registry import MODELS
from visbench.structures import Frame, FrameInstances, VideoInfo, VideoTracks

DECODED_PER_PREDICTION = 3
"""So many slots are emitted, and their masks decoded, per reported prediction."""


@dataclass
class InsProState(VideoState):
    """What InsPro remembers of a video: the pairs, the bank and running class scores per slot.

    Args:
        queries: ``(1, N, C)`` handed to the next frame.
        proposals: ``(1, N, 4)`` xyxy, divided by the frame's size.
        bank: Object features ``(1, N, C)`` of the last frames, at most ``bank_size``.
        totals: ``(N, K)`` class probabilities, summed over frames.
        counts: ``(N, K)`` frames behind each sum.
    """

    queries: Tensor = field(default_factory=lambda: torch.empty(0))
    proposals: Tensor = field(default_factory=lambda: torch.empty(0))
    bank: list[Tensor] = field(default_factory=list)
    totals: Tensor = field(default_factory=lambda: torch.empty(0))
    counts: Tensor = field(default_factory=lambda: torch.empty(0))


class Emitted(NamedTuple):
    """What is emitted of a frame.

    Attributes:
        ids: ``(n,)`` track ids, each once.
        slots: ``(n,)`` slots that box and mask are taken from.
        labels: ``(n,)`` classes.
        scores: ``(n,)`` scores of this frame.
    """

    ids: Tensor
    slots: Tensor
    labels: Tensor
    scores: Tensor


@MODELS.register_module()
class InsPro(OnlineVISModel):
    """Online video instance segmentation by propagating queries and proposals.

    The identity of an object is the index of its slot; there is neither a score filter nor
    non-maximum suppression nor a tracker.

    Args:
        backbone: Backbone config.
        neck: Config of a feature pyramid with the strides of ``head.strides``.
        head: Config of an :class:`InsProHead`.
        mask_branch: Arguments of MMDetection's ``MaskFeatModule``; ``norm_cfg`` chooses the
            normalisation, its ``mask_stride`` and ``out_channels`` size the dynamic mask network.
            None for a model that reports boxes only (InsPro-VID).
        criterion: Config of an :class:`InsProCriterion`.
        test_cfg: ``top_k`` (reported (slot, class) pairs, 10), ``score_reduce`` (``mean_all``,
            ``mean_present`` or ``max``), ``frame_score_thr`` (no mask in frames in which the
            slot's class is less probable, 0), ``mask_thr`` (0.5).
        data_preprocessor: Config of a ClipPreprocessor.
        init_cfg: Initialisation config of MMEngine.

    Raises:
        ValueError: If ``test_cfg`` has an unknown field or value.
    """

    def __init__(
        self,
        backbone: dict,
        neck: dict,
        head: dict,
        mask_branch: dict | None,
        criterion: dict | None = None,
        test_cfg: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        self.backbone = MODELS.build(backbone)
        self.neck = MODELS.build(neck)
        self.mask_branch = build_mask_branch(mask_branch)
        self.head: InsProHead = MODELS.build(self.mask_branch.head_config(head))
        self.criterion = MODELS.build(criterion or {"type": "visbench.InsProCriterion"})
        self.test_cfg = _check_test_cfg(test_cfg or {})

    @classmethod
    def parameters_without_gradient(cls, config: dict) -> dict[str, str]:
        """Return parameters that need no gradient; see :class:`~visbench.models.VISModel`."""
        head = config["head"]
        reasons = {
            "intra-query attention is off (bank_size=1)": head.get("bank_size", 18) == 1,
            "queries are not handed on": not head.get("propagate_query", True),
            "queries are detached between frames": head.get("detach_query_between_frames", False),
        }
        reason = ", ".join(text for text, applies in reasons.items() if applies)
        return {"head.intra_query.epsilon.weight": reason} if reason else {}

    def extract(self, images: Tensor) -> tuple[Sequence[Tensor], Any]:
        """Return the pyramid of frames ``(F, 3, H, W)`` and what the mask branch makes of it."""
        features = self.neck(self.backbone(images))
        return features, self.mask_branch(features)

    def loss(self, inputs: Tensor, data_samples: list[TrackDataSample]) -> dict:
        """Return the losses of a batch of clips, frames in temporal order.

        Args:
            inputs: ``(B, T, 3, H, W)`` normalised frames, zero-padded.
            data_samples: B samples of T frames with ``gt_instances``.

        Returns:
            ``loss_cls``, ``loss_l1``, ``loss_giou``, ``loss_dedup``; with a mask branch also
            ``loss_dice`` and ``loss_mask``.
        """
        features, mask_features = self.extract(inputs.transpose(0, 1).flatten(0, 1))
        targets = clip_targets(data_samples, self.mask_branch.target_stride, inputs.device)
        outputs, slots, padding = self.run_clips(features, targets)
        return {
            **self.criterion.box_losses(outputs, targets, slots, padding),
            **self.identity_losses(features, outputs, targets, slots),
            **self.mask_branch.losses(
                mask_features, outputs, targets, slots, self.head, self.criterion
            ),
        }

    def run_clips(
        self, features: Sequence[Tensor], targets: ClipTargets
    ) -> tuple[StageOutput, Tensor, Tensor | None]:
        """Run B clips of T frames and match their objects.

        Args:
            features: Maps ``(T * B, C, h, w)``, the clips of the first frame first.
            targets: The objects.

        Returns:
            Outputs ``(M, T * B, N, ...)``; the slot ``(M, O)`` of every object in every stage, -1
            for none; ``(T * B, N)`` booleans, true for slots without a meaning, or None.
        """
        outputs = self.head(features, targets.whwh, targets.num_clips)
        return outputs, self.criterion.match(outputs, targets), None

    def start(self, video: VideoInfo) -> InsProState:
        """Return the learned pairs, an empty bank and no scores."""
        carry = self.head.start(1)
        scores = carry.queries.new_zeros((self.head.num_queries, self.head.num_classes))
        return InsProState(
            video,
            queries=carry.queries.detach(),
            proposals=carry.proposals.detach(),
            totals=scores,
            counts=scores.clone(),
        )

    @torch.no_grad()
    def step(self, frame: Frame, state: InsProState) -> FrameInstances:
        """Process the next prepared frame; :meth:`identify` decides what is emitted."""
        features, mask_features = self.extract(frame.image[None])
        height, width = frame.valid_size
        whwh = frame.image.new_tensor([[width, height, width, height]])
        head = self.head_of(state)
        (*_, output), carry = head.advance(features, self.pairs_of(state), whwh)
        state.queries, state.proposals, state.bank = carry
        emitted = self.identify(features, output, whwh, state)
        masks = self.mask_branch.encode(
            mask_features, output, emitted.slots, head, frame, self.test_cfg["mask_thr"]
        )
        reported = head.reported_boxes(output.boxes, whwh)[0, emitted.slots].float()
        instances = FrameInstances(
            emitted.ids,
            emitted.labels,
            emitted.scores,
            boxes_to_original(reported, frame.scale_factor),
            masks,
        )
        state.recorder.add(frame.index, instances)
        return instances

    def identity_losses(
        self,
        features: Sequence[Tensor],
        outputs: StageOutput,
        targets: ClipTargets,
        slots: Tensor,
    ) -> dict[str, Tensor]:
        """Return the losses of whatever gives objects their identity; slots need none.

        Args:
            features: Maps ``(F, C, h, w)`` of all frames.
            outputs: ``(M, F, N, ...)``.
            targets: The objects.
            slots: ``(M, O)`` slot of every object in every stage, -1 for none.
        """
        return {}

    def identify(
        self, features: Sequence[Tensor], output: StageOutput, whwh: Tensor, state: InsProState
    ) -> Emitted:
        """Update the class scores of the video and choose what is emitted; ids are slots.

        Chosen are the slots whose running score is among the best ``3 * top_k``; a slot that
        joins them later has neither mask nor box before.

        Args:
            features: Maps ``(1, C, h, w)`` of the frame.
            output: Output of the last stage, ``(1, N, ...)``.
            whwh: ``(1, 4)`` size of the unpadded frame.
            state: Changed in place.
        """
        probabilities = output.logits[0].float().sigmoid()
        state.totals, state.counts = self._accumulate(state.totals, state.counts, probabilities)
        running = video_scores(state.totals, state.counts)
        slots = best_slots(running, DECODED_PER_PREDICTION * self.test_cfg["top_k"])
        labels = running[slots].argmax(dim=1)
        scores = probabilities[slots, labels]
        present = scores >= self.test_cfg["frame_score_thr"]
        return Emitted(slots[present], slots[present], labels[present], scores[present])

    def _accumulate(
        self, totals: Tensor, counts: Tensor, probabilities: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Add the class probabilities ``(n, K)`` of a frame as ``test_cfg`` says."""
        threshold, reduce = self.test_cfg["frame_score_thr"], self.test_cfg["score_reduce"]
        return accumulate_scores(totals, counts, probabilities, threshold, reduce)

    def pairs_of(self, state: InsProState) -> Carry:
        """Return the pairs that the next frame of a video starts from."""
        return Carry(state.queries, state.proposals, state.bank)

    def head_of(self, state: InsProState) -> StageSeries:
        """Return what runs the next frame of a video."""
        return self.head

    def finish(self, state: InsProState) -> VideoTracks:
        """Report the best ``top_k`` (slot, class) pairs of the whole video."""
        scores = video_scores(state.totals, state.counts)
        slots, predictions = predict_video(scores, state.recorder.ids, self.test_cfg["top_k"])
        video = VideoInfo(**{**vars(state.video), "length": state.recorder.num_frames})
        return VideoTracks(video, state.recorder.tracks(slots), predictions)

    def forward_frames(self, images: Tensor) -> dict[str, Tensor]:
        """Run the network on frames, each as the first of a video.

        Args:
            images: ``(F, 3, H, W)`` normalised frames.

        Returns:
            ``logits (F, N, K)``, ``boxes (F, N, 4)`` and, with a mask branch, ``masks
            (F * n, h, w)``: logits of the ``n = min(N, 3 * top_k)`` best slots of each frame.
        """
        features, mask_features = self.extract(images)
        height, width = images.shape[-2:]
        whwh = images.new_tensor([[width, height, width, height]]).expand(len(images), -1)
        carry = self.head.start(len(images))
        boxes = carry.proposals * whwh[:, None]
        output = self.head.forward_frame(features, carry.queries, boxes, whwh)[-1]
        number = min(self.head.num_queries, DECODED_PER_PREDICTION * self.test_cfg["top_k"])
        slots = torch.stack([best_slots(logits, number) for logits in output.logits])
        masks = self.mask_branch.raw(mask_features, output, slots, self.head)
        identity = self.identity_outputs(features, output.boxes, slots)
        return {"logits": output.logits, "boxes": output.boxes, **masks, **identity}

    def identity_outputs(
        self, features: Sequence[Tensor], boxes: Tensor, slots: Tensor
    ) -> dict[str, Tensor]:
        """Return what the network computes for the identity of objects; nothing for slots.

        Args:
            features: Maps ``(F, C, h, w)``.
            boxes: ``(F, N, 4)`` predicted boxes in pixels.
            slots: ``(F, n)`` best slots of each frame.
        """
        return {}


def _check_test_cfg(given: dict) -> dict[str, Any]:
    defaults = {"top_k": 10, "score_reduce": "mean_all", "frame_score_thr": 0.0, "mask_thr": 0.5}
    unknown = sorted(set(given) - set(defaults))
    if unknown:
        raise ValueError(f"test_cfg has unknown fields {unknown}; it knows {sorted(defaults)}")
    values = {**defaults, **given}
    if values["score_reduce"] not in SCORE_REDUCERS:
        raise ValueError(
            f"score_reduce={values['score_reduce']!r} is not one of {sorted(SCORE_REDUCERS)}"
        )
    if values["top_k"] < 1:
        raise ValueError(f"top_k={values['top_k']} must be at least 1")
    return values
