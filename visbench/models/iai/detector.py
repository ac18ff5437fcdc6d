# SPDX-License-Identifier: Apache-2.0
"""IAI: the registered model and its state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from mmdet.structures import TrackDataSample
from torch import Tensor

from visbench.models.base import OnlineVISModel
from visbench.models.iai.association import (
    NO_ID,
    Flags,
    FrameIdentities,
    class_vectors,
    identify,
    overflow_rule,
    overlap_scores,
    paint,
    video_predictions,
)
from visbench.models.iai.association_module import AssociationModule
from visbench.models.iai.hybrid_association import FrameTokens
from visbench.models.iai.memory import AssociationMemory
from visbench.models.iai.segmenter import Detections, build_segmenter
from visbench.models.iai.settings import check_channels, check_limits
from visbench.models.iai.targets import TimeStep, clip_targets
from visbench.models.layers import boxes_to_original
from visbench.models.state import VideoState
from visbench.registry import MODELS
from visbench.structures import (
    Frame,
    FrameInstances,
    Prediction,
    Track,
    VideoInfo,
    VideoTracks,
    encode_masks,
)

FEWEST_IDS = 3
"""One id for a track, one that tracks beyond the last may share, and one for "new"."""


@dataclass
class IAIState(VideoState):
    """What IAI remembers of a video.

    Args:
        memory: Keys and values of frames, with the ids of their objects in them.
        num_known: Ids handed out to tracks so far.
        class_totals: ``(N, C)`` class scores of every id, summed over frames.
        label_map: ``(H, W)`` id of every pixel of the last frame; empty unless ids follow the
            overlap of masks.
    """

    memory: AssociationMemory = field(default_factory=AssociationMemory)
    num_known: int = 0
    class_totals: Tensor = field(default_factory=lambda: torch.empty(0))
    label_map: Tensor = field(default_factory=lambda: torch.empty(0, 0, dtype=torch.long))


@MODELS.register_module()
class IAI(OnlineVISModel[IAIState]):
    """Instance As Identity: a segmentation model that predicts the id of every object.

    The model knows the detector only as an
    :class:`~visbench.models.iai.segmenter.IdentitySegmenter`. The association module replaces the
    last level of the backbone; ids that the segmenter predicts are made unique and are embedded
    in the memory from which the next frame reads.

    Where the paper and the reference implementation differ or the latter has a defect, the
    defaults are the paper or the clean behaviour; ``overflow="share"``, ``padding_id=0``,
    ``new_objects_in_training=False`` and ``association.xavier_everywhere=True`` are the reference.

    Args:
        backbone: Backbone config.
        neck: Config of a pyramid; the last of its inputs has as many channels as the association
            module puts out.
        segmenter: Config of a registered ``IdentitySegmenter``; it is given ``num_ids``.
        association: Arguments of an :class:`AssociationModule`; it is given ``num_ids``. None for
            a model without (Table 4), which passes nothing on between frames.
        num_ids: Number of ids N, the one for "not seen before" included. The paper has 20.
        overflow: What becomes of new objects when ids are used up: ``discard`` or ``share``; see
            :data:`~visbench.models.iai.association.OVERFLOW_RULES`.
        padding_id: Id, in the id masks of training, of the padding between images of different
            size; None for background.
        new_objects_in_training: Whether frames of a training clip in which objects appear enter
            the global memory, as they do at test time. In the reference they don't, since it
            looks for the target N, which only an object beyond all ids has when it is seen again.
        visible_fraction: Detections of which less is visible are dropped.
        max_per_video: Pairs of track and class reported of a video.
        video_score_thr: Mean class score that they must exceed.
        data_preprocessor: Config of a ClipPreprocessor.
        init_cfg: Initialisation config of MMEngine.

    Raises:
        ValueError: If a value is out of range or unknown, or parts don't fit together.
    """

    def __init__(
        self,
        backbone: dict,
        neck: dict,
        segmenter: dict,
        association: dict | None,
        num_ids: int = 20,
        overflow: str = "discard",
        padding_id: int | None = None,
        new_objects_in_training: bool = True,
        visible_fraction: float = 0.1,
        max_per_video: int = 10,
        video_score_thr: float = 0.05,
        data_preprocessor: dict | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        if num_ids < FEWEST_IDS:
            raise ValueError(f"num_ids={num_ids} must be at least {FEWEST_IDS}")
        if padding_id is not None and not 0 <= padding_id <= num_ids:
            raise ValueError(
                f"padding_id={padding_id} must be from 0 to num_ids={num_ids}, or None"
            )
        overflow_rule(overflow)
        limited = {"max_per_video": max_per_video, "video_score_thr": video_score_thr}
        check_limits({**limited, "visible_fraction": visible_fraction})
        self.backbone = MODELS.build(backbone)
        self.neck = MODELS.build(neck)
        self.segmenter = build_segmenter(segmenter, num_ids=num_ids)
        self.association = None
        if association is not None:
            self.association = AssociationModule(**association, num_ids=num_ids)
            check_channels(neck, self.association.out_channels)
        self.num_ids = num_ids
        self.overflow = overflow
        self.padding_id = padding_id
        self.new_objects_in_training = new_objects_in_training
        self.visible_fraction = visible_fraction
        self.max_per_video = max_per_video
        self.video_score_thr = video_score_thr

    def new_memory(self) -> AssociationMemory:
        """Return the memory before the first frame."""
        return AssociationMemory() if self.association is None else self.association.new_memory()

    def pyramid(
        self, levels: Sequence[Tensor], memory: AssociationMemory
    ) -> tuple[tuple[Tensor, ...], FrameTokens | None]:
        """Associate a frame of each of B videos with the frames before and run the neck.

        Args:
            levels: Outputs ``(B, C, h, w)`` of the backbone, coarsest last.
            memory: Of the B videos; empty in their first frame. Not changed.

        Returns:
            Levels of the neck, and what :meth:`remember` needs; None without association.
        """
        *finer, coarsest = levels
        tokens = None
        if self.association is not None:
            coarsest, tokens = self.association.read(coarsest, memory)
        return tuple(self.neck((*finer, coarsest))), tokens

    def remember(
        self,
        tokens: FrameTokens | None,
        label_map: Tensor,
        memory: AssociationMemory,
        new: bool,
    ) -> None:
        """Write a frame whose objects are known to the memory; without association do nothing.

        Args:
            tokens: From :meth:`pyramid`.
            label_map: ``(B, H, W)`` id of every pixel of the padded frames, N for background.
            memory: Changed in place.
            new: Whether objects have appeared.
        """
        if self.association is not None and tokens is not None:
            self.association.write(tokens, label_map, memory, new)

    def loss(self, inputs: Tensor, data_samples: list[TrackDataSample]) -> dict:
        """Return the losses of a batch of clips, frames in temporal order.

        Each frame reads a memory of the earlier ones with their annotated objects; gradients flow
        through it to all of them.

        Args:
            inputs: ``(B, T, 3, H, W)`` normalised frames, zero-padded; the paper has T = 5.
            data_samples: B samples of T frames with ``gt_instances``.

        Returns:
            The segmenter's losses, averaged over the T frames.
        """
        targets = clip_targets(
            data_samples,
            self.num_ids,
            inputs.device,
            self.overflow,
            self.padding_id,
            self.data_preprocessor.pad_size_divisor,
        )
        steps = self.step_losses(inputs, targets)
        return {name: sum(step[name] for step in steps) / len(steps) for name in steps[0]}

    def step_losses(self, inputs: Tensor, targets: Sequence[TimeStep]) -> list[dict[str, Tensor]]:
        """Return the losses of every frame; see :meth:`loss`.

        Args:
            inputs: ``(B, T, 3, H, W)``.
            targets: Of the T frames.
        """
        levels = self.backbone(inputs.transpose(0, 1).flatten(0, 1))
        frames = zip(*(level.split(len(inputs)) for level in levels), strict=True)
        memory = self.new_memory()
        losses: list[dict[str, Tensor]] = []
        for frame, target in zip(frames, targets, strict=True):
            features, tokens = self.pyramid(frame, memory)
            losses.append(self.segmenter.loss(features, target.instances, target.metas))
            if len(losses) < len(targets):  # nothing reads the last frame
                new = target.new if self.new_objects_in_training else target.past_ids
                self.remember(tokens, target.label_maps, memory, new)
        return losses

    def forward_frames(self, images: Tensor) -> Any:
        """Run the network on frames, each as the first of a video.

        Args:
            images: ``(F, 3, H, W)`` normalised frames.

        Returns:
            The raw outputs of the segmenter.
        """
        features, _ = self.pyramid(self.backbone(images), self.new_memory())
        return self.segmenter(features)

    def start(self, video: VideoInfo) -> IAIState:
        """Return an empty memory and no ids."""
        totals = torch.zeros(self.num_ids, self.segmenter.num_classes)
        return IAIState(video, memory=self.new_memory(), class_totals=totals)

    @torch.no_grad()
    def step(self, frame: Frame, state: IAIState) -> FrameInstances:
        """Detect in the next prepared frame, decide the ids and remember them."""
        features, tokens = self.pyramid(self.backbone(frame.image[None]), state.memory)
        detections = self.segmenter.detect(features, _meta(frame), state.recorder.num_frames == 0)
        identities = self.identify(detections, state)
        label_map = torch.from_numpy(identities.label_map).to(frame.image.device)
        self.remember(tokens, label_map[None], state.memory, identities.new)
        instances = self.emit(detections, identities, frame)
        state.recorder.add(frame.index, instances)
        return instances

    def identify(self, detections: Detections, state: IAIState) -> FrameIdentities:
        """Decide the ids of the detections of a frame.

        Args:
            detections: Of the frame.
            state: Its count of ids and class scores are changed, the memory is not.
        """
        masks = detections.masks.cpu().numpy()
        if detections.id_scores is not None:
            scores = detections.id_scores.float().cpu().numpy()
        elif state.recorder.num_frames:
            scores = overlap_scores(masks, state.label_map.numpy(), self.num_ids)
        else:
            scores = np.zeros((len(masks), self.num_ids), dtype=np.float32)
        found = identify(masks, scores, state.num_known, self.overflow, self.visible_fraction)
        state.num_known = found.num_known
        if detections.id_scores is None:
            state.label_map = torch.from_numpy(found.label_map)
        classes = detections.class_scores.float().cpu().numpy()
        state.class_totals += torch.from_numpy(class_vectors(found.ids, classes, self.num_ids))
        return found

    def emit(
        self, detections: Detections, identities: FrameIdentities, frame: Frame
    ) -> FrameInstances:
        """Return what is emitted of a frame: the objects whose ids are those of tracks.

        Args:
            detections: Of the frame.
            identities: Their ids.
            frame: The prepared frame.
        """
        visible, masks = self.painted(detections, identities, frame)
        ids = identities.ids[identities.visible]
        rows = np.flatnonzero((ids != NO_ID) & (ids < identities.num_known))
        scores, labels = visible.class_scores.float().max(dim=1)
        boxes = boxes_to_original(visible.boxes.float(), frame.scale_factor)
        chosen = torch.from_numpy(rows).to(boxes.device)
        return FrameInstances(
            ids=ids[rows],
            labels=labels[chosen],
            scores=scores[chosen],
            boxes=boxes[chosen],
            masks=encode_masks(masks[rows]),
        )

    def painted(
        self, detections: Detections, identities: FrameIdentities, frame: Frame
    ) -> tuple[Detections, Flags]:
        """Return the visible detections and their masks at original size, painted anew.

        Args:
            detections: Of the frame.
            identities: Their ids.
            frame: The prepared frame.

        Returns:
            m detections and masks ``(m, *original_size)`` without a pixel in common.
        """
        keep = torch.from_numpy(identities.visible).to(detections.boxes.device)
        visible = detections.select(keep)
        masks = visible.masks_at_original_size(frame.valid_size, frame.original_size)
        owners, _ = paint(masks.cpu().numpy())
        return visible, owners == np.arange(len(visible))[:, None, None]

    def finish(self, state: IAIState) -> VideoTracks:
        """Report the best pairs of track and class by the mean over all frames of the video.

        With ``overflow="share"``, the shared id competes as in the reference implementation; it
        has no masks.
        """
        recorder = state.recorder
        chosen = video_predictions(
            state.class_totals.numpy(),
            recorder.num_frames,
            self.max_per_video,
            self.video_score_thr,
        )
        ids = list(dict.fromkeys(object_id for object_id, _, _ in chosen))
        tracks = [
            recorder.tracks([object_id])[0]
            if object_id in recorder.ids
            else Track(
                object_id,
                [None] * recorder.num_frames,
                None,
                np.full(recorder.num_frames, np.nan, dtype=np.float32),
            )
            for object_id in ids
        ]
        predictions = [Prediction(ids.index(track), label, score) for track, label, score in chosen]
        return VideoTracks(replace(state.video, length=recorder.num_frames), tracks, predictions)


def _meta(frame: Frame) -> dict[str, Any]:
    size = tuple(frame.image.shape[-2:])
    return {
        "img_shape": frame.valid_size,
        "ori_shape": frame.original_size,
        "scale_factor": frame.scale_factor,
        "batch_input_shape": size,
        "pad_shape": size,
    }
