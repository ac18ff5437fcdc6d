# SPDX-License-Identifier: Apache-2.0
"""Mask2Former for video instance segmentation (Cheng et al., 2021) from MMDetection's parts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmdet.structures import TrackDataSample
from mmengine.config import ConfigDict
from torch import Tensor

from visbench.models.base import VISModel
from visbench.registry import MODELS
from visbench.structures import (
    RLE,
    Frame,
    Prediction,
    Track,
    VideoInfo,
    VideoTracks,
    encode_masks,
    rle_area,
    rle_to_box,
)


@MODELS.register_module()
class Mask2FormerVIS(VISModel):
    """MMDetection's ``Mask2FormerVideo`` as an offline method; its checkpoints load unchanged.

    Memory grows with the video: the backbone's feature levels of all T frames stay on the device
    until the last one is read (29 MB per frame of 384x640 with ResNet-50), and the transformer
    attends to all of them at once. MMDetection's head keeps the mask logits of every decoder
    layer: ``4 * num_queries * (H / 4) * (W / 4)`` bytes per frame and layer, 61 MB per frame of
    384x640 with 100 queries and 9 layers. Masks are taken to the original size one frame at a
    time.

    Args:
        backbone: Config of a backbone with four output levels.
        track_head: Config of a ``Mask2FormerTrackHead``; ``num_frames`` is the clip length of
            training, test videos have any length.
        max_predictions: How many (query, class) pairs are reported; 10 in MMDetection.
        frames_per_step: How many frames the backbone sees at once.
        data_preprocessor: Config of a :class:`~visbench.models.ClipPreprocessor`.
        init_cfg: Initialisation config of MMEngine.
    """

    def __init__(
        self,
        backbone: dict,
        track_head: dict,
        max_predictions: int = 10,
        frames_per_step: int = 1,
        data_preprocessor: dict | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        self.backbone = MODELS.build(ConfigDict(backbone))
        self.track_head = MODELS.build(ConfigDict(track_head))
        self.max_predictions = max_predictions
        self.frames_per_step = frames_per_step

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        # An image checkpoint of MMDetection calls the head "panoptic_head".
        for key in [key for key in state_dict if key.startswith(f"{prefix}panoptic_head.")]:
            name = key.removeprefix(f"{prefix}panoptic_head.")
            state_dict[f"{prefix}track_head.{name}"] = state_dict.pop(key)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def loss(self, inputs: Tensor, data_samples: list[TrackDataSample]) -> dict:
        """Return the losses of all decoder layers on clips of ``num_frames`` frames.

        Args:
            inputs: ``(B, T, 3, H, W)`` with T equal to the head's ``num_frames``.
            data_samples: B samples of T frames; left unchanged.

        Returns:
            ``loss_cls``, ``loss_mask`` and ``loss_dice``, with a ``d0.`` ... prefix for the
            intermediate layers.

        Raises:
            ValueError: If clips have another number of frames.
        """
        if inputs.size(1) != self.track_head.num_frames:
            raise ValueError(
                f"clips of {inputs.size(1)} frames, but model.track_head.num_frames is "
                f"{self.track_head.num_frames}; make the two equal"
            )
        features = self.backbone(inputs.flatten(0, 1))
        return self.track_head.loss(features, [_copy_for_head(clip) for clip in data_samples])

    def forward_frames(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Run the network on frames taken as one clip.

        Args:
            images: ``(N, 3, H, W)`` normalised frames.

        Returns:
            Class logits ``(1, queries, classes + 1)`` and mask logits
            ``(1, queries, N, H / 4, W / 4)`` of the last decoder layer.
        """
        return self._decode(self.backbone(images))

    def _decode(self, features: Any) -> tuple[Tensor, Tensor]:
        class_logits, mask_logits = self.track_head(features, None)
        return class_logits[-1], mask_logits[-1]

    @torch.no_grad()
    def segment(self, video: VideoInfo, frames: Iterable[Frame]) -> VideoTracks:
        """Segment a whole video at once; see :meth:`VISModel.segment`.

        Track ids are query indices. A track is absent (None) where its mask is empty.

        Raises:
            ValueError: If the prepared frames of the video differ in size.
        """
        features, shapes = self._read(video, frames)
        video = replace(video, length=len(shapes))
        if not shapes:
            return VideoTracks(video)
        class_logits, mask_logits = self._decode(features)
        queries, predictions = top_predictions(class_logits[0], self.max_predictions)
        scores = {prediction.track_index: prediction.score for prediction in predictions[::-1]}
        builders = [_TrackBuilder(query, scores[row]) for row, query in enumerate(queries)]
        for index, shape in enumerate(shapes):
            for builder, mask in zip(
                builders, _frame_masks(mask_logits[0, queries, index], shape), strict=True
            ):
                builder.add(mask)
        return VideoTracks(video, [builder.track() for builder in builders], predictions)

    def _read(
        self, video: VideoInfo, frames: Iterable[Frame]
    ) -> tuple[list[Tensor], list[_FrameShape]]:
        iterator = iter(frames)
        steps: list[tuple[Tensor, ...]] = []
        shapes: list[_FrameShape] = []
        while step := list(islice(iterator, self.frames_per_step)):
            shapes += [
                _FrameShape(tuple(frame.image.shape[-2:]), frame.valid_size, frame.original_size)
                for frame in step
            ]
            if len({shape.padded for shape in shapes}) > 1:
                raise ValueError(
                    f"video {video.video_id} ({video.name}): frame {step[-1].index} has another "
                    "size than the frames before; resize all frames of a video alike"
                )
            steps.append(self.backbone(torch.stack([frame.image for frame in step])))
        return [torch.cat(level) for level in zip(*steps, strict=True)], shapes


def top_predictions(class_logits: Tensor, maximum: int) -> tuple[list[int], list[Prediction]]:
    """Decide what is reported: the best (query, class) pairs, as MMDetection does.

    Args:
        class_logits: ``(queries, classes + 1)``, the last class is "no object".
        maximum: How many pairs; a query may occur under several classes.

    Returns:
        The queries that occur, best first, and the predictions by descending score;
        ``track_index`` points into these queries.
    """
    scores = class_logits.float().softmax(dim=-1)[:, :-1]
    best, indices = scores.flatten().topk(min(maximum, scores.numel()))
    labels = (indices % scores.size(1)).tolist()
    rows = (indices // scores.size(1)).tolist()
    queries = list(dict.fromkeys(rows))
    predictions = [
        Prediction(queries.index(row), label, score)
        for row, label, score in zip(rows, labels, best.tolist(), strict=True)
    ]
    return queries, predictions


@dataclass(frozen=True)
class _FrameShape:
    padded: tuple[int, ...]
    valid: tuple[int, int]
    original: tuple[int, int]


@dataclass
class _TrackBuilder:
    query: int
    score: float
    masks: list[RLE | None] = field(default_factory=list)

    def add(self, mask: RLE) -> None:
        self.masks.append(mask if rle_area(mask) else None)

    def track(self) -> Track:
        absent = np.full(4, np.nan, dtype=np.float32)
        boxes = [absent if mask is None else rle_to_box(mask) for mask in self.masks]
        scores = [np.nan if mask is None else self.score for mask in self.masks]
        return Track(self.query, self.masks, np.stack(boxes), np.array(scores, dtype=np.float32))


def _frame_masks(logits: Tensor, shape: _FrameShape) -> list[RLE]:
    """Take mask logits ``(n, h, w)`` of one frame to the original size and encode them."""
    logits = _resize(logits[None].float(), shape.padded)
    logits = _resize(logits[:, :, : shape.valid[0], : shape.valid[1]], shape.original)
    return encode_masks(logits[0] > 0)


def _resize(logits: Tensor, size: tuple[int, ...]) -> Tensor:
    return F.interpolate(logits, size=size, mode="bilinear", align_corners=False)


def _copy_for_head(clip: TrackDataSample) -> TrackDataSample:
    """Copy what MMDetection's head overwrites: it turns ground-truth masks into tensors."""
    frames = []
    for frame in clip:
        frame_copy = frame.new()
        frame_copy.gt_instances = frame.gt_instances.new()
        frames.append(frame_copy)
    result = clip.new()
    result.video_data_samples = frames
    return result
