# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from mmdet.models.vis import Mask2FormerVideo
from mmdet.structures.mask import BitmapMasks
from mmengine.config import ConfigDict

from visbench.models import Mask2FormerVIS
from visbench.models.baselines.mask2former_vis import top_predictions
from visbench.structures import decode_mask
from visbench.testing.conformance.case import prepared, seed_all, video_of
from visbench.testing.conformance.cases.mask2former_vis import CASE, MODEL
from visbench.testing.conformance.scene import Scene

NUM_FRAMES = 5


@pytest.fixture
def model() -> Mask2FormerVIS:
    return CASE.build()  # type: ignore[return-value]


def upstream(model: Mask2FormerVIS) -> Mask2FormerVideo:
    """Return MMDetection's model with the same weights; the checkpoint's names are the same."""
    parts = {name: ConfigDict(MODEL[name]) for name in ("backbone", "track_head")}
    theirs = Mask2FormerVideo(**copy.deepcopy(parts))
    theirs.load_state_dict(model.state_dict(), strict=True)
    return theirs.eval()


@pytest.mark.parametrize("seed", range(3))
@torch.no_grad()
def test_result_is_that_of_mmdetection(model: Mask2FormerVIS, seed: int) -> None:
    scene = Scene(seed, NUM_FRAMES)
    frames = prepared(model, scene)
    sample = scene.sample(range(NUM_FRAMES))
    for frame in sample:
        frame.set_metainfo({"batch_input_shape": tuple(frames[0].image.shape[-2:])})
    inputs = torch.stack([frame.image for frame in frames])[None]
    (theirs,) = upstream(model).predict(inputs, [sample])
    ours = model.segment(video_of(frames), frames)
    first = theirs[0].pred_track_instances
    order = first.scores.argsort(descending=True)
    assert len(ours.predictions) == len(order) == 10
    pixels = 0
    for row, prediction in zip(order.tolist(), ours.predictions, strict=True):
        assert prediction.label == first.labels[row]
        assert prediction.score == pytest.approx(float(first.scores[row]), abs=1e-6)
        track = ours.tracks[prediction.track_index]
        for index, mask in enumerate(track.masks):
            expected = theirs[index].pred_track_instances.masks[row]
            assert (mask is None) == (not expected.any())
            if mask is not None:
                different = torch.from_numpy(decode_mask(mask)) ^ expected
                assert different.sum() <= 2  # the backbone sees one frame at a time
                pixels += int(expected.sum())
    assert pixels > 0


def test_loss_is_that_of_mmdetection_and_leaves_the_samples(model: Mask2FormerVIS) -> None:
    theirs = upstream(model).train()
    model.train()
    inputs, samples = CASE.clips(model)
    seed_all(0)
    ours = model.loss(inputs, samples)
    assert isinstance(samples[0][0].gt_instances.masks, BitmapMasks)
    seed_all(0)
    expected = theirs.loss(inputs, samples)
    assert set(ours) == set(expected)
    for name, value in expected.items():
        assert torch.equal(ours[name], value), name


def test_frames_per_step_changes_no_more_than_single_pixels(model: Mask2FormerVIS) -> None:
    frames = prepared(model, Scene(0, NUM_FRAMES))
    one = model.segment(video_of(frames), frames)
    model.frames_per_step = 3
    three = model.segment(video_of(frames), frames)
    assert [p[:2] for p in one.predictions] == [p[:2] for p in three.predictions]
    for track, other in zip(one.tracks, three.tracks, strict=True):
        for mask, other_mask in zip(track.masks, other.masks, strict=True):
            assert (mask is None) == (other_mask is None)
            if mask is not None:
                assert (decode_mask(mask) ^ decode_mask(other_mask)).sum() <= 2


def test_image_checkpoint_of_mmdetection_loads(model: Mask2FormerVIS) -> None:
    image_checkpoint = {
        name.replace("track_head.", "panoptic_head."): value + 1
        for name, value in model.state_dict().items()
    }
    model.load_state_dict(image_checkpoint)
    assert torch.equal(
        model.state_dict()["track_head.query_feat.weight"],
        image_checkpoint["panoptic_head.query_feat.weight"],
    )


def test_clip_of_another_length_is_refused(model: Mask2FormerVIS) -> None:
    inputs, samples = CASE.clips(model)
    with pytest.raises(ValueError, match=r"clips of 1 frames.*num_frames is 2"):
        model.loss(inputs[:, :1], samples)


def test_frames_of_different_size_are_refused(model: Mask2FormerVIS) -> None:
    frames = prepared(model, Scene(0, 3))
    frames[2] = replace(frames[2], image=frames[2].image[:, :32])
    with pytest.raises(ValueError, match=r"video 1 \(clip1\): frame 2 has another size"):
        model.segment(video_of(frames), frames)


def test_top_predictions_may_share_a_query() -> None:
    logits = torch.tensor([[0.0, 0.0, 9.0], [4.9, 5.0, 0.0], [3.0, 0.0, 0.0]])
    queries, predictions = top_predictions(logits, 3)
    assert queries == [2, 1]
    assert [prediction[:2] for prediction in predictions] == [(0, 0), (1, 1), (1, 0)]
    scores = logits.softmax(dim=1)
    assert predictions[0].score == pytest.approx(float(scores[2, 0]))
    assert len(top_predictions(logits, 100)[1]) == 6
