# SPDX-License-Identifier: Apache-2.0
"""Two tiny methods without association: what is bright is an object."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn

from visbench.models import OnlineVISModel, VideoState, VISModel
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


class _Network(VISModel):
    def __init__(self, width: int = 4, data_preprocessor: Any = None, init_cfg: Any = None) -> None:
        super().__init__(data_preprocessor, init_cfg)
        self.body = nn.Conv2d(3, width, 3, padding=1)

    def loss(self, inputs: torch.Tensor, data_samples: list) -> dict:
        return {"loss": self.body(inputs.flatten(0, 1)).mean()}

    def forward_frames(self, images: torch.Tensor) -> torch.Tensor:
        return self.body(images)

    def bright(self, frame: Frame) -> Any:
        height, width = frame.valid_size
        self.forward_frames(frame.image[None])
        mask = (frame.image[:, :height, :width].mean(0) > 0.5).numpy().astype(np.uint8)
        size = (frame.original_size[1], frame.original_size[0])
        return encode_masks(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)[None])[0]


@MODELS.register_module()
class BrightOnline(OnlineVISModel, _Network):
    """Emits what is brighter than the mean, frame by frame."""

    def start(self, video: VideoInfo) -> VideoState:
        return VideoState(video)

    def step(self, frame: Frame, state: VideoState) -> FrameInstances:
        instances = FrameInstances([4], [1], [0.8], None, [self.bright(frame)])
        state.recorder.add(frame.index, instances)
        return instances

    def finish(self, state: VideoState) -> VideoTracks:
        video = VideoInfo(**{**vars(state.video), "length": state.recorder.num_frames})
        return VideoTracks(video, state.recorder.tracks(), [Prediction(0, 1, 0.8)])


@MODELS.register_module()
class BrightOffline(_Network):
    """The same, once the whole video is there."""

    def segment(self, video: VideoInfo, frames: Iterable[Frame]) -> VideoTracks:
        masks = [self.bright(frame) for frame in frames]
        track = Track(4, list(masks), None, np.full(len(masks), 0.8, np.float32))
        info = VideoInfo(**{**vars(video), "length": len(masks)})
        return VideoTracks(info, [track], [Prediction(0, 1, 0.8)])


def image(index: int, height: int = 48, width: int = 64) -> np.ndarray:
    """Return a dark BGR frame with a bright square that moves."""
    frame = np.full((height, width, 3), 30, np.uint8)
    frame[10:30, 4 + 2 * index : 24 + 2 * index] = 230
    return frame


def write_folder(folder: Path, count: int = 5) -> Path:
    """Write frames ``1.png`` ... whose order by name is not the natural order from 10 on."""
    folder.mkdir(parents=True)
    for index in range(count):
        cv2.imwrite(str(folder / f"{index + 1}.png"), image(index))
    return folder


def write_video(path: Path, count: int = 5, fps: float = 12.0) -> Path:
    """Write the same frames as an mp4."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, (64, 48))
    for index in range(count):
        writer.write(image(index))
    writer.release()
    return path


def write_config(path: Path, model: str = "BrightOnline", width: int = 4) -> Path:
    """Write a config whose test pipeline halves the frames."""
    path.write_text(
        f"model = dict(type='visbench.{model}', width={width})\n"
        "pipeline = [\n"
        "    dict(type='visbench.ClipBroadcaster', transforms=[\n"
        "        dict(type='visbench.LoadFrame'),\n"
        "        dict(type='mmdet.Resize', scale=(32, 24), keep_ratio=True)]),\n"
        "    dict(type='visbench.PackClip')]\n"
        "test_dataloader = dict(dataset=dict(pipeline=pipeline))\n"
    )
    return path


def write_checkpoint(path: Path, width: int = 4, **content: Any) -> Path:
    """Write weights of that model and the classes it was trained on."""
    meta = {"dataset_meta": {"classes": ("cat", "dog"), "category_ids": (10, 20)}}
    weights = BrightOnline(width).state_dict()
    torch.save({"state_dict": weights, "meta": meta, **content}, path)
    return path
