# SPDX-License-Identifier: Apache-2.0
"""MinVIS (Huang et al., NeurIPS 2022), written from the idea: an image model, matched queries."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from mmdet.structures import TrackDataSample
from mmengine.config import ConfigDict
from torch import Tensor

from visbench.models import OnlineVISModel, VideoState
from visbench.registry import MODELS
from visbench.structures import (
    Frame,
    FrameInstances,
    Prediction,
    VideoInfo,
    VideoTracks,
    encode_masks,
    rle_area,
    rle_to_box,
)
from visbench_minvis.association import match_queries
from visbench_minvis.head import FrameQueries


@dataclass
class MinVISState(VideoState):
    """State of one video. Its size is fixed: every query of the network is a track.

    Args:
        embeddings: ``(N, C)`` of the latest frame in the order of the tracks; None before it.
        probabilities: ``(N, K)`` sum over the frames so far, in the order of the tracks.
    """

    embeddings: Tensor | None = None
    probabilities: Tensor | None = None


@MODELS.register_module()
class MinVIS(OnlineVISModel[MinVISState]):
    """Mask2Former on single frames; a query continues the most similar one of the frame before.

    Args:
        backbone: Config of a backbone.
        panoptic_head: Config of a :class:`~visbench_minvis.MinVISHead`. The name is MMDetection's,
            so that weights of its Mask2Former load unchanged.
        max_instances: Masks are written in a frame for this many tracks: those with the highest
            mean probability of a class so far.
        max_predictions: How many (track, class) pairs are reported.
        data_preprocessor: Config of a :class:`~visbench.models.ClipPreprocessor`.
        init_cfg: Initialisation config of MMEngine.
    """

    def __init__(
        self,
        backbone: dict,
        panoptic_head: dict,
        max_instances: int = 20,
        max_predictions: int = 20,
        data_preprocessor: dict | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        self.backbone = MODELS.build(ConfigDict(backbone))
        self.panoptic_head = MODELS.build(ConfigDict(panoptic_head))
        self.max_instances = max_instances
        self.max_predictions = max_predictions

    def loss(self, inputs: Tensor, data_samples: list[TrackDataSample]) -> dict:
        """Return Mask2Former's losses on all frames as single images: no loss spans frames."""
        frames = [frame for clip in data_samples for frame in clip]
        return self.panoptic_head.loss(self.backbone(inputs.flatten(0, 1)), frames)

    def forward_frames(self, images: Tensor) -> FrameQueries:
        """Run the network on frames; see :meth:`visbench.models.VISModel.forward_frames`."""
        return self.panoptic_head.decode(self.backbone(images))

    def start(self, video: VideoInfo) -> MinVISState:
        """Return the state before the first frame."""
        return MinVISState(video)

    @torch.no_grad()
    def step(self, frame: Frame, state: MinVISState) -> FrameInstances:
        """Segment the next frame and match its queries with the tracks."""
        logits, masks, embeddings = (value[0] for value in self.forward_frames(frame.image[None]))
        if state.embeddings is not None:
            order = match_queries(state.embeddings, embeddings)
            logits, masks, embeddings = logits[order], masks[order], embeddings[order]
        probabilities = logits.float().softmax(dim=1)[:, :-1]
        known = state.probabilities
        state.probabilities = probabilities if known is None else known + probabilities
        state.embeddings = embeddings
        instances = self._instances(frame, masks, probabilities, state.probabilities)
        state.recorder.add(frame.index, instances)
        return instances

    def finish(self, state: MinVISState) -> VideoTracks:
        """Report the pairs of track and class with the highest mean probability."""
        video = replace(state.video, length=state.recorder.num_frames)
        if state.probabilities is None or not state.recorder.ids:
            return VideoTracks(video)
        ids = state.recorder.ids
        means = state.probabilities[ids] / state.recorder.num_frames
        best, pairs = means.flatten().topk(min(self.max_predictions, means.numel()))
        rows, labels = (pairs // means.shape[1]).tolist(), (pairs % means.shape[1]).tolist()
        reported = list(dict.fromkeys(rows))
        predictions = [
            Prediction(reported.index(row), label, score)
            for row, label, score in zip(rows, labels, best.tolist(), strict=True)
        ]
        tracks = state.recorder.tracks([ids[row] for row in reported])
        return VideoTracks(video, tracks, predictions)

    def _instances(
        self, frame: Frame, masks: Tensor, probabilities: Tensor, sums: Tensor
    ) -> FrameInstances:
        """Return the best tracks so far that have a mask; scores are this frame's."""
        number = min(self.max_instances, len(sums))
        tracks = sums.amax(dim=1).topk(number).indices.sort().values
        labels = sums[tracks].argmax(dim=1)
        rles = encode_masks(masks_as_filmed(masks[tracks], frame))
        instances = FrameInstances(
            tracks,
            labels,
            probabilities[tracks, labels],
            [rle_to_box(mask) for mask in rles],
            rles,
        )
        return instances.select([rle_area(mask) > 0 for mask in rles])


def masks_as_filmed(logits: Tensor, frame: Frame) -> Tensor:
    """Return the masks of a frame at its original size.

    Args:
        logits: ``(n, h, w)`` of the padded frame, smaller than it.
        frame: The prepared frame.

    Returns:
        ``(n, H, W)`` booleans.
    """
    height, width = frame.valid_size
    padded = _resize(logits[None].float(), tuple(frame.image.shape[-2:]))
    return _resize(padded[:, :, :height, :width], frame.original_size)[0] > 0


def _resize(logits: Tensor, size: tuple[int, ...]) -> Tensor:
    return F.interpolate(logits, size=size, mode="bilinear", align_corners=False)
