# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample, TrackDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.dataset import pseudo_collate
from mmengine.structures import InstanceData

from visbench.models import ClipPreprocessor
from visbench.structures import Frame

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def sample(sizes: list[tuple[int, int]], seed: int) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    images = [
        torch.randint(0, 256, (3, *size), dtype=torch.uint8, generator=generator) for size in sizes
    ]
    frames = []
    for size in sizes:
        frame = DetDataSample()
        masks = BitmapMasks(np.ones((1, *size), np.uint8), *size)
        frame.gt_instances = InstanceData(masks=masks, labels=torch.tensor([0]))
        frames.append(frame)
    track = TrackDataSample()
    track.video_data_samples = frames
    return {"inputs": images, "data_samples": track}


def test_frames_of_any_size_become_one_padded_batch() -> None:
    sizes = [[(40, 60), (33, 64)], [(64, 20), (10, 70)]]
    items = [sample(clip, seed) for seed, clip in enumerate(sizes)]
    outputs = ClipPreprocessor()(pseudo_collate(items), training=True)
    inputs = outputs["inputs"]
    assert inputs.shape == (2, 2, 3, 64, 96)
    for b, clip in enumerate(sizes):
        for t, (height, width) in enumerate(clip):
            raw = items[b]["inputs"][t].flip(0).float()
            expected = (raw - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
            torch.testing.assert_close(inputs[b, t, :, :height, :width], expected)
            assert inputs[b, t, :, height:].eq(0).all()
            assert inputs[b, t, :, :, width:].eq(0).all()
            frame = outputs["data_samples"][b][t]
            assert frame.img_shape == (height, width)
            assert frame.batch_input_shape == frame.pad_shape == (64, 96)
            masks = frame.gt_instances.masks.masks
            assert masks.shape == (1, 64, 96)
            assert masks.sum() == height * width


@pytest.mark.parametrize("size", [(48, 72), (64, 96), (1, 1)])
def test_a_frame_is_prepared_as_in_a_batch(size: tuple[int, int]) -> None:
    item = sample([size], 0)
    batch = ClipPreprocessor()(pseudo_collate([item]))
    raw = Frame(0, item["inputs"][0], size, (64, 96))
    prepared = ClipPreprocessor().prepare_frame(raw)
    assert torch.equal(prepared.image, batch["inputs"][0, 0])
    assert (prepared.valid_size, prepared.original_size) == (size, (64, 96))


def test_masks_stay_as_they_are_outside_training() -> None:
    outputs = ClipPreprocessor()(pseudo_collate([sample([(40, 60)], 0)]))
    assert outputs["data_samples"][0][0].gt_instances.masks.masks.shape == (1, 40, 60)


def test_settings() -> None:
    item = sample([(40, 60)], 0)
    plain = ClipPreprocessor(mean=(0, 0, 0), std=(1, 1, 1), bgr_to_rgb=False, pad_size_divisor=20)
    inputs = plain(pseudo_collate([item]))["inputs"]
    assert torch.equal(inputs[0, 0], item["inputs"][0].float())
