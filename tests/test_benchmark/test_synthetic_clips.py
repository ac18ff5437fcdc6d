# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
from mmengine.config import Config

from visbench.benchmark.synthetic_clips import largest_batch
from visbench.engine import ConfigError


def part(*scales: tuple[int, int], num_frames: int = 2) -> dict[str, Any]:
    load = [
        {"type": "visbench.LoadFrame"},
        {"type": "mmdet.LoadTrackAnnotations", "with_mask": True},
    ]
    resize = {
        "type": "mmdet.RandomChoiceResize",
        "resize_type": "mmdet.Resize",
        "scales": list(scales),
        "keep_ratio": True,
    }
    broadcast = {
        "type": "visbench.ClipBroadcaster",
        "share_random_params": True,
        "transforms": [*load, resize],
    }
    return {
        "type": "visbench.YouTubeVIS2019",
        "data_root": "nowhere",
        "split": "train",
        "clip": {"type": "visbench.SampleClip", "num_frames": num_frames, "order": "sorted"},
        "pipeline": [broadcast, {"type": "visbench.PackClip", "require": "any"}],
    }


def config(dataset: dict[str, Any], batch_size: int = 2) -> Config:
    loader = {"batch_size": batch_size, "dataset": dataset}
    return Config({"train_dataloader": loader})


def test_the_largest_samples_are_taken() -> None:
    batch = largest_batch(config(part((96, 32), (96, 48))), (64, 128), objects=3, draws=12)
    assert [len(frame) for frame in batch["inputs"]] == [2, 2]
    assert {tuple(image.shape) for frame in batch["inputs"] for image in frame} == {(3, 48, 96)}
    for sample in batch["data_samples"]:
        for frame in sample:
            assert len(frame.gt_instances) == 3
            assert set(frame.gt_instances.labels.tolist()) == {0}
            assert frame.gt_instances.masks.masks.any((1, 2)).all()
            boxes = frame.gt_instances.bboxes
            assert (boxes[:, 2:] - boxes[:, :2]).min() > 8


def test_a_mixture_gives_the_larger_of_its_parts() -> None:
    mixture = {"type": "visbench.MixedDataset", "datasets": [part((96, 32)), part((96, 48))]}
    batch = largest_batch(config(mixture, batch_size=1), (64, 128), draws=1)
    assert batch["inputs"][0][0].shape == (3, 48, 96)


def test_clips_that_grow_have_their_full_length() -> None:
    growing = {"type": "visbench.SampleGrowingClip", "lengths": [(0, 1), (500, 3)]}
    batch = largest_batch(config({**part((96, 48)), "clip": growing}, 1), (64, 128), draws=1)
    assert len(batch["inputs"]) == 3


def test_a_config_that_trains_nothing_is_told() -> None:
    with pytest.raises(ConfigError, match="no field 'train_dataloader'"):
        largest_batch(Config({"model": {}}), (64, 128))
