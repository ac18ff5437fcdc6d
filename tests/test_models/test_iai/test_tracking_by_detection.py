# SPDX-License-Identifier: Apache-2.0
"""IAI's baseline: what it learns of identities and what it reports."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from visbench.models.iai.tracking_by_detection import IAITrackingByDetection
from visbench.registry import MODELS
from visbench.testing.conformance.case import prepared, seed_all, video_of
from visbench.testing.conformance.cases.iai_tracking_by_detection import CASE
from visbench.testing.conformance.scene import Scene


@pytest.fixture
def model() -> IAITrackingByDetection:
    built = CASE.build()
    assert isinstance(built, IAITrackingByDetection)
    return built


def track_loss(model: IAITrackingByDetection, inputs: Tensor, samples: list[Any]) -> Tensor:
    seed_all(0)
    loss: Tensor = model(inputs, samples, mode="loss")["loss_track"]
    return loss


def test_the_track_loss_wants_every_object_found_again(model: IAITrackingByDetection) -> None:
    """With embeddings that name the object there is nothing to learn; with equal ones there is."""
    inputs, samples = CASE.clips(model)
    frames = [sample[index] for index in range(inputs.size(1)) for sample in samples]
    ids = torch.cat([torch.as_tensor(f.gt_instances.instances_ids) for f in frames])

    def by_name(features: Any, boxes: list[Tensor]) -> Tensor:
        assert sum(len(each) for each in boxes) == len(ids)
        # Large and equal for one object, opposite for two: another object is worse than "new".
        return 20 * (2 * torch.nn.functional.one_hot(ids, int(ids.max()) + 1) - 1).float()

    def alike(features: Any, boxes: list[Tensor]) -> Tensor:
        return torch.zeros(len(ids), 4)

    model.embed = by_name  # type: ignore[method-assign]
    known = track_loss(model, inputs, samples)
    model.embed = alike  # type: ignore[method-assign]
    assert known < 0.01 < track_loss(model, inputs, samples)


def test_box_noise_moves_the_boxes_that_are_embedded(model: IAITrackingByDetection) -> None:
    inputs, samples = CASE.clips(model)
    losses = []
    for noise in (0.0, 0.0, 0.3):
        model.box_noise = noise
        losses.append(float(track_loss(model, inputs, samples)))
    assert losses[0] == losses[1] != losses[2]


@torch.no_grad()
def test_scores_are_means_over_all_frames(model: IAITrackingByDetection) -> None:
    frames = prepared(model, Scene(2, 4))
    video = video_of(frames)
    state = model.start(video)
    emitted = [model.step(frame, state) for frame in frames]
    model.video_score_thr, model.max_per_video = 0.0, 1000
    tracks = model.finish(state)
    assert tracks.tracks
    sums: dict[int, np.ndarray] = {}
    for instances in emitted:
        for track_id, label, score in zip(
            instances.ids.tolist(), instances.labels, instances.scores, strict=True
        ):
            row = sums.setdefault(track_id, np.zeros(model.segmenter.num_classes))
            row[label] += score
    for prediction in tracks.predictions:
        track_id = tracks.tracks[prediction.track_index].id
        # The best class of every frame is emitted; others add to their own entry only.
        assert prediction.score >= sums[track_id][prediction.label] / len(frames) - 1e-6
    best = max(row.max() for row in sums.values()) / len(frames)
    assert tracks.predictions[0].score >= best - 1e-6


@torch.no_grad()
def test_settings_that_make_no_sense_are_refused() -> None:
    config = {**copy.deepcopy(CASE.model), "box_noise": 0.7}
    with pytest.raises(ValueError, match=r"box_noise=0\.7 must be a number from 0"):
        MODELS.build(config)


def test_there_are_no_ids_in_its_segmenter(model: IAITrackingByDetection) -> None:
    assert not any("id_branch" in name for name in model.state_dict())
    assert not model.segmenter.identification


@torch.no_grad()
def test_frames_are_independent_but_for_their_ids(model: IAITrackingByDetection) -> None:
    """The same image finds the same objects whatever was before, under ids of its own video."""
    frames = prepared(model, Scene(2, 3))
    state = model.start(video_of(frames))
    *_, late = [model.step(frame, state) for frame in frames]
    first = model.step(replace(frames[-1], index=0), model.start(video_of(frames[-1:])))
    kept = [int(np.argmin(np.abs(first.scores - score))) for score in late.scores]
    assert len(late) > 0
    np.testing.assert_allclose(late.boxes, first.boxes[kept], atol=1e-4)
