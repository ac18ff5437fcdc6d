# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from mmdet.structures import TrackDataSample

from visbench.models.layers.two_stage import (
    bare_samples,
    build_mask_detector,
    detection_losses,
    pair_indices,
)
from visbench.testing.conformance.case import seed_all
from visbench.testing.conformance.cases.masktrack_rcnn import CASE, DETECTOR


def pair(key: list[int], reference: list[int]) -> TrackDataSample:
    return TrackDataSample(metainfo={"key_frames_inds": key, "ref_frames_inds": reference})


def test_key_frames_come_first_wherever_they_are_in_their_clips() -> None:
    inputs = torch.arange(6).view(3, 2, 1, 1, 1)
    samples = [pair([0], [1]), pair([1], [0]), pair([0], [1])]
    frames = inputs[pair_indices(inputs, samples, "Method")]
    assert frames.flatten().tolist() == [0, 3, 4, 1, 2, 5]


@pytest.mark.parametrize(
    ("length", "key", "reference"),
    [(1, [0], []), (3, [0], [1, 2]), (2, [0, 1], []), (2, [0], [0]), (2, [], [0, 1])],
)
def test_other_clips_are_refused(length: int, key: list[int], reference: list[int]) -> None:
    inputs = torch.zeros(1, length, 3, 4, 4)
    with pytest.raises(ValueError, match=r"Method trains on pairs .* SampleKeyReference"):
        pair_indices(inputs, [pair(key, reference)], "Method")


def test_a_detector_without_masks_is_refused() -> None:
    detector = {**DETECTOR, "type": "FasterRCNN", "roi_head": dict(DETECTOR["roi_head"])}
    for part in ("mask_head", "mask_roi_extractor"):
        detector["roi_head"].pop(part)
    with pytest.raises(ValueError, match="FasterRCNN without a mask head; Method needs"):
        build_mask_detector(detector, "Method")


def test_losses_are_those_of_the_detector_itself() -> None:
    model = CASE.build().train()
    inputs, clips = CASE.clips(model)
    samples = [clip[0] for clip in clips]
    labels = [sample.gt_instances.labels.tolist() for sample in samples]
    seed_all(0)
    expected = model.detector.loss(inputs[:, 0], samples)
    seed_all(0)
    losses, proposals = detection_losses(
        model.detector, model.detector.extract_feat(inputs[:, 0]), samples
    )
    assert losses.keys() == expected.keys()
    for name, value in losses.items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=0)
    assert len(proposals) == len(samples)
    assert [sample.gt_instances.labels.tolist() for sample in samples] == labels


def test_bare_samples_fill_their_images() -> None:
    samples = bare_samples(torch.zeros(2, 3, 32, 64))
    assert [sample.img_shape for sample in samples] == [(32, 64)] * 2
