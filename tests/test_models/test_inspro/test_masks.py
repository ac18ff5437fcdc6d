# SPDX-License-Identifier: Apache-2.0
"""InsPro with boxes only; masks are covered by the tests of the detector."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from visbench.models import InsPro
from visbench.structures import Frame, VideoInfo
from visbench.testing.seeded_weights import seeded_input

from mmdet.structures import TrackDataSample  # isort: skip

BOX_LOSSES = ("loss_cls", "loss_l1", "loss_giou", "loss_dedup")
Clips = tuple[torch.Tensor, list[TrackDataSample]]


def without_masks(samples: list[TrackDataSample]) -> list[TrackDataSample]:
    for sample in samples:
        for frame in sample:
            del frame.gt_instances.masks
    return samples


def test_boxes_only_has_no_part_for_masks(build: Callable[..., InsPro]) -> None:
    names = {name for name, _ in build(masks=False).named_parameters()}
    with_masks = {name for name, _ in build().named_parameters()}
    assert names < with_masks
    extra = {name.split(".")[0] for name in with_masks - names if ".controller." not in name}
    assert extra == {"mask_branch"}


def test_boxes_only_has_the_box_losses(build: Callable[..., InsPro], clips: Clips) -> None:
    expected = build().loss(*clips)
    model = build(masks=False)
    model.load_state_dict(build().state_dict(), strict=False)
    inputs, samples = clips
    losses = model.loss(inputs, without_masks(samples))
    assert tuple(losses) == BOX_LOSSES
    for name in BOX_LOSSES:
        torch.testing.assert_close(losses[name], expected[name])
    sum(losses.values()).backward()
    assert [name for name, value in model.named_parameters() if value.grad is None] == []


def test_missing_masks_are_named(build: Callable[..., InsPro], clips: Clips) -> None:
    inputs, samples = clips
    with pytest.raises(ValueError, match=r"'masks' is missing.*with_mask=True.*mask_branch=None"):
        build().loss(inputs, without_masks(samples))


def test_boxes_only_reports_the_same_boxes(build: Callable[..., InsPro]) -> None:
    full, boxes_only = build(), build(masks=False)
    boxes_only.load_state_dict(full.state_dict(), strict=False)
    video = VideoInfo(3, "video", 120, 180)
    source = [
        Frame(index, seeded_input(f"vid.{index}", (3, 64, 96), -2, 2), (60, 90), (120, 180))
        for index in range(3)
    ]
    expected, result = full.segment(video, source), boxes_only.segment(video, source)
    assert result.predictions == expected.predictions
    for track, other in zip(result.tracks, expected.tracks, strict=True):
        assert track.masks is None
        np.testing.assert_array_equal(track.boxes, other.boxes)
    for record, track in zip(result.to_results([5, 6, 7]), result.predictions, strict=True):
        assert "segmentations" not in record
        x1, y1, x2, y2 = result.tracks[track.track_index].boxes[0].tolist()
        np.testing.assert_allclose(record["bboxes"][0], [x1, y1, x2 - x1, y2 - y1])
    outputs = boxes_only.forward_frames(torch.randn(2, 3, 64, 96))
    assert set(outputs) == {"logits", "boxes"}
