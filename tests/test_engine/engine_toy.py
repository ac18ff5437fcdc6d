# SPDX-License-Identifier: Apache-2.0
"""A tiny method and a tiny data set: squares of one of two colours that move to the right."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from torch import nn

from visbench.datasets import Draw, FrameSource, VideoItem
from visbench.models import ClipPreprocessor, OnlineVISModel, VideoState
from visbench.registry import DATASETS, HOOKS, MODELS
from visbench.structures import (
    Frame,
    FrameInstances,
    Prediction,
    VideoInfo,
    VideoTracks,
    encode_masks,
)

HEIGHT, WIDTH, LENGTH = 24, 32, 3


def square(video_id: int, index: int) -> np.ndarray:
    """Return the mask of the square of a video in a frame."""
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    left = 2 + 3 * index + video_id % 4
    mask[4:16, left : left + 10] = True
    return mask


def image(video_id: int, index: int) -> np.ndarray:
    """Return a BGR frame: the square's colour is its class."""
    frame = np.full((HEIGHT, WIDTH, 3), 20, dtype=np.uint8)
    frame[square(video_id, index), video_id % 2] = 220
    return frame


def write_annotations(path: Path, video_ids: range, annotated: bool = True) -> Path:
    """Write the annotation file of some videos."""
    videos = [
        {
            "id": i,
            "height": HEIGHT,
            "width": WIDTH,
            "length": LENGTH,
            "file_names": [f"v{i}/{t}.jpg" for t in range(LENGTH)],
        }
        for i in video_ids
    ]
    annotations: list[dict[str, Any]] = []
    for i in video_ids:
        masks = encode_masks(np.stack([square(i, t) for t in range(LENGTH)]))
        annotations.append(
            {
                "id": i,
                "video_id": i,
                "category_id": 10 * (i % 2 + 1),
                "iscrowd": 0,
                "segmentations": masks,
                "areas": [int(square(i, t).sum()) for t in range(LENGTH)],
                "bboxes": [[0, 0, 10, 12]] * LENGTH,
            }
        )
    content = {
        "videos": videos,
        "categories": [{"id": 10, "name": "blue"}, {"id": 20, "name": "green"}],
        "annotations": annotations if annotated else None,
    }
    path.write_text(json.dumps(content))
    return path


@DATASETS.register_module()
class ToyVideos:
    """Videos in memory, with the interface of :class:`visbench.datasets.VISDataset`."""

    category_ids = (10, 20)
    metainfo = {"classes": ("blue", "green")}
    data_prefix = {"img_path": "in_memory"}

    def __init__(self, ann_file: str, broken: int | None = None) -> None:
        self.ann_file = ann_file
        self.broken = broken
        self.videos = json.loads(Path(ann_file).read_text())["videos"]
        self.read: list[int] = []

    def __len__(self) -> int:
        return len(self.videos)

    def iter_records(self) -> Iterator[dict[str, Any]]:
        """Yield what is compared to find videos that two data sets share."""
        for video in self.videos:
            yield {"video_name": f"v{video['id']}", "file_names": video["file_names"]}

    def get_video(self, index: int) -> VideoItem:
        """Return a video; the one with the id ``broken`` has a frame that cannot be read."""
        record = self.videos[index]

        def reader(position: int) -> np.ndarray:
            if record["id"] == self.broken:
                raise OSError(f"cannot read v{record['id']}/{position}.jpg")
            self.read.append(record["id"])
            return image(record["id"], position)

        name = f"v{record['id']}"
        video = VideoInfo(record["id"], name, HEIGHT, WIDTH, LENGTH)
        return VideoItem(video, FrameSource(reader, LENGTH, look_ahead=0, name=name))

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        """Return a training sample that depends on the draw."""
        assert isinstance(index, Draw)
        generator = np.random.default_rng((index.seed, index.number))
        video_id = self.videos[int(index)]["id"]
        frame = int(generator.integers(LENGTH))
        noise = generator.integers(0, 20, (3, HEIGHT, WIDTH))
        inputs = torch.from_numpy(image(video_id, frame).transpose(2, 0, 1) // 2 + noise)
        return {"inputs": inputs.float(), "mask": torch.from_numpy(square(video_id, frame))}


@MODELS.register_module()
class ToyPreprocessor(ClipPreprocessor):
    """Stacks the samples of :class:`ToyVideos` in training."""

    def forward(self, data: dict, training: bool = False) -> dict:
        """Stack the images."""
        data = self.cast_data(data)
        inputs = torch.stack(list(data["inputs"])) / 255
        return {"inputs": inputs, "data_samples": list(data["mask"])}


@MODELS.register_module()
class ToyMethod(OnlineVISModel):
    """Segments the only object with two convolutions; the brighter channel is its class."""

    def __init__(self, width: int = 4, init_cfg: Any = None) -> None:
        preprocessor = {"type": "visbench.ToyPreprocessor", "bgr_to_rgb": False}
        super().__init__(data_preprocessor=preprocessor, init_cfg=init_cfg)
        self.body = nn.Conv2d(3, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.drop = nn.Dropout(0.3)
        self.head = nn.Conv2d(width, 1, 1)

    def forward_frames(self, images: torch.Tensor) -> torch.Tensor:
        """Return mask logits ``(N, 1, H, W)``."""
        return self.head(self.drop(self.norm(self.body(images)).relu()))

    def loss(self, inputs: torch.Tensor, data_samples: Any) -> dict:
        """Return the mask loss."""
        logits = self.forward_frames(inputs)[:, 0]
        return {
            "loss_mask": nn.functional.binary_cross_entropy_with_logits(
                logits, torch.stack(data_samples).float()
            )
        }

    def start(self, video: VideoInfo) -> VideoState:
        """Return an empty state."""
        return VideoState(video)

    def step(self, frame: Frame, state: VideoState) -> FrameInstances:
        """Return the pixels brighter than the background."""
        self.forward_frames(frame.image[None])
        height, width = frame.original_size
        bright = frame.image[:, :height, :width].amax(0) > 1
        label = int(frame.image[:, :height, :width].amax((1, 2)).argmax())
        instances = FrameInstances([0], [label], [0.9], None, encode_masks(bright[None]))
        state.recorder.add(frame.index, instances)
        return instances

    def finish(self, state: VideoState) -> VideoTracks:
        """Return the only track."""
        recorder = state.recorder
        video = VideoInfo(**{**vars(state.video), "length": recorder.num_frames})
        prediction = Prediction(0, recorder.majority_label(0), recorder.mean_score(0))
        return VideoTracks(video, recorder.tracks(), [prediction])


@HOOKS.register_module()
class KillHook(Hook):
    """Kills the process without warning after an iteration, as a power cut would."""

    priority = "LOWEST"

    def __init__(self, iteration: int) -> None:
        self.iteration = iteration

    def after_train_iter(self, runner: Any, *args: Any, **kwargs: Any) -> None:
        """Kill the process."""
        if runner.iter + 1 == self.iteration:
            os.kill(os.getpid(), signal.SIGKILL)


def toy_config(folder: Path, **changes: Any) -> str:
    """Write annotation files and the text of a config that trains and tests the toy.

    Args:
        folder: Folder of the files.
        changes: Values appended to the config as ``name = value``.
    """
    train = write_annotations(folder / "train.json", range(101, 107))
    val = write_annotations(folder / "val.json", range(1, 5))
    base = Path(__file__).parents[2] / "configs" / "_base_" / "default_runtime.py"
    lines = [
        f"_base_ = {str(base)!r}",
        "custom_imports = dict(imports=['engine_toy'])",
        "model = dict(type='ToyMethod')",
        "train_dataloader = dict(batch_size=2, num_workers=0, "
        "sampler=dict(type='SeededClipSampler'), "
        f"dataset=dict(type='ToyVideos', ann_file={str(train)!r}))",
        "val_dataloader = dict(batch_size=1, num_workers=0, "
        "sampler=dict(type='DefaultSampler', shuffle=False, round_up=False), "
        f"dataset=dict(type='ToyVideos', ann_file={str(val)!r}))",
        "test_dataloader = val_dataloader",
        "val_evaluator = dict(type='VISMetric')",
        "test_evaluator = val_evaluator",
        "optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=0.01))",
        "param_scheduler = [dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=6)]",
        "train_cfg = dict(max_iters=8, val_interval=4)",
        "default_hooks = dict(checkpoint=dict(interval=2, max_keep_ckpts=2),"
        " logger=dict(interval=2))",
        *[f"{name} = {value!r}" for name, value in changes.items()],
    ]
    path = folder / "toy_config.py"
    path.write_text("\n".join(lines) + "\n")
    return str(path)
