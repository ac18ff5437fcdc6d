# SPDX-License-Identifier: Apache-2.0
"""A method in one file: classes per pixel, and the class is the identity."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

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


@MODELS.register_module()
class ClassIsIdentity(OnlineVISModel[VideoState]):
    """Classifies pixels by their colours; all pixels of a class are one object, in all frames.

    Args:
        num_classes: Number of classes.
        channels: Width of the network.
    """

    def __init__(self, num_classes: int, channels: int = 32, **settings: dict) -> None:
        super().__init__(**settings)
        self.network = nn.Sequential(
            nn.Conv2d(3, channels, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv2d(channels, num_classes + 1, 1),
        )

    def forward_frames(self, images: Tensor) -> Tensor:
        """Return logits ``(N, 1 + K, H, W)`` of background and classes."""
        logits = self.network(images)
        return F.interpolate(logits, images.shape[-2:], mode="bilinear", align_corners=False)

    def loss(self, inputs: Tensor, data_samples: list) -> dict:
        """Return the cross entropy of all pixels."""
        targets = inputs.new_zeros(inputs.shape[:2] + inputs.shape[-2:], dtype=torch.long)
        for clip, sample in zip(targets, data_samples, strict=True):
            for target, frame in zip(clip, sample, strict=True):
                objects = frame.gt_instances
                masks = objects.masks.to_tensor(torch.bool, target.device)
                for label, mask in zip(objects.labels.tolist(), masks, strict=True):
                    target[mask] = label + 1
        logits = self.forward_frames(inputs.flatten(0, 1))
        return {"loss_pixels": F.cross_entropy(logits, targets.flatten(0, 1))}

    def start(self, video: VideoInfo) -> VideoState:
        """Return the state before the first frame; a method that remembers more subclasses it."""
        return VideoState(video)

    @torch.no_grad()
    def step(self, frame: Frame, state: VideoState) -> FrameInstances:
        """Segment the next frame."""
        height, width = frame.valid_size
        logits = self.forward_frames(frame.image[None])[:, :, :height, :width]
        logits = F.interpolate(logits, frame.original_size, mode="bilinear", align_corners=False)
        scores, winners = logits[0].softmax(dim=0).max(dim=0)
        masks = torch.stack([winners == label for label in range(1, len(logits[0]))])
        means = (masks * scores).sum(dim=(1, 2)) / masks.sum(dim=(1, 2)).clamp(min=1)
        rles, labels = encode_masks(masks), list(range(len(masks)))
        instances = FrameInstances(labels, labels, means, [rle_to_box(m) for m in rles], rles)
        instances = instances.select([rle_area(mask) > 0 for mask in rles])
        state.recorder.add(frame.index, instances)
        return instances

    def finish(self, state: VideoState) -> VideoTracks:
        """Report every class that was seen, with its mean score."""
        recorder = state.recorder
        found = [Prediction(i, id, recorder.mean_score(id)) for i, id in enumerate(recorder.ids)]
        return VideoTracks(
            replace(state.video, length=recorder.num_frames), recorder.tracks(), found
        )
