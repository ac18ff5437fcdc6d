# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from mmdet.models.vis import MaskTrackRCNN as MMDetMaskTrackRCNN
from mmdet.structures import TrackDataSample
from mmengine.config import ConfigDict

from visbench.models import MaskTrackRCNN
from visbench.structures import FrameInstances, VideoInfo, encode_masks
from visbench.testing.conformance.case import prepared, seed_all, video_of
from visbench.testing.conformance.cases.masktrack_rcnn import CASE, MODEL
from visbench.testing.conformance.scene import Scene

NUM_FRAMES = 8


@pytest.fixture
def model() -> MaskTrackRCNN:
    return CASE.build()  # type: ignore[return-value]


def upstream(model: MaskTrackRCNN) -> MMDetMaskTrackRCNN:
    """Return MMDetection's model with the same weights; the checkpoint's names are the same."""
    parts = {name: ConfigDict(MODEL[name]) for name in ("detector", "track_head", "tracker")}
    theirs = MMDetMaskTrackRCNN(**copy.deepcopy(parts))
    theirs.load_state_dict(model.state_dict(), strict=True)
    return theirs.eval()


def clip_of(model: MaskTrackRCNN, seed: int) -> tuple[torch.Tensor, TrackDataSample]:
    """Return a test clip with the fields that MMDetection's pipeline sets."""
    scene = Scene(seed, NUM_FRAMES)
    frames = prepared(model, scene)
    sample = scene.sample(range(NUM_FRAMES))
    for frame in sample:
        frame.set_metainfo({"batch_input_shape": tuple(frames[0].image.shape[-2:])})
    return torch.stack([frame.image for frame in frames])[None], sample


def last_of_each(ids: list[int]) -> list[int]:
    return [row for row, value in enumerate(ids) if value not in ids[row + 1 :]]


@pytest.mark.parametrize("seed", range(4))
@torch.no_grad()
def test_frames_are_those_of_mmdetection(model: MaskTrackRCNN, seed: int) -> None:
    inputs, sample = clip_of(model, seed)
    (theirs,) = upstream(model).predict(inputs, [sample])
    frames = prepared(model, Scene(seed, NUM_FRAMES))
    state = model.start(video_of(frames))
    linked, known = 0, set[int]()
    for frame, expected in zip(frames, theirs, strict=True):
        ours = model.step(frame, state)
        instances = expected.pred_track_instances
        instances = instances[last_of_each(instances.instances_id.tolist())]
        assert ours.ids.tolist() == instances.instances_id.tolist()
        assert ours.labels.tolist() == instances.labels.tolist()
        assert torch.equal(torch.from_numpy(ours.scores), instances.scores)
        assert torch.equal(torch.from_numpy(ours.boxes), instances.bboxes)
        assert ours.masks == encode_masks(instances.masks)
        linked += sum(track_id in known for track_id in ours.ids.tolist())
        known |= set(ours.ids.tolist())
    assert linked >= NUM_FRAMES  # identities went on, so the memory was in use


def samples_with_labels(model: MaskTrackRCNN, label: int | None) -> tuple[Any, list[Any]]:
    inputs, samples = CASE.clips(model)
    for sample in samples:
        for frame in sample:
            if label is not None:
                frame.gt_instances.labels = torch.full_like(frame.gt_instances.labels, label)
    return inputs, samples


def test_loss_is_that_of_mmdetection_for_the_first_class(model: MaskTrackRCNN) -> None:
    theirs = upstream(model)
    inputs, samples = samples_with_labels(model, 0)
    seed_all(0)
    ours = model.loss(inputs, samples)
    seed_all(0)
    expected = theirs.loss(inputs, samples)
    assert set(ours) == set(expected)
    for name, value in expected.items():
        torch.testing.assert_close(_total(ours[name]), _total(value), rtol=1e-4, atol=1e-5)


def test_proposals_are_trained_without_classes(model: MaskTrackRCNN) -> None:
    losses = []
    for label in (0, 2):
        inputs, samples = samples_with_labels(model, label)
        seed_all(0)
        losses.append(model.loss(inputs, samples))
        assert (samples[0][0].gt_instances.labels == label).all()  # left as they were
    for name in ("loss_rpn_cls", "loss_rpn_bbox"):
        assert torch.equal(_total(losses[0][name]), _total(losses[1][name]))
    assert not torch.equal(losses[0]["loss_cls"], losses[1]["loss_cls"])


def _total(value: Any) -> torch.Tensor:
    return sum(value) if isinstance(value, list) else value


def test_reference_frames_train_the_detector_on_demand(model: MaskTrackRCNN) -> None:
    gradients = []
    for reference_losses in (False, True):
        model.reference_losses = reference_losses
        inputs, samples = CASE.clips(model)
        inputs.requires_grad_()
        seed_all(0)
        losses = model.loss(inputs, samples)
        detection = [value for name, value in losses.items() if "loss_match" not in name]
        total = sum(_total(value).sum() for value in detection)
        gradients.append(torch.autograd.grad(total, inputs)[0])
    reference = 1  # CASE.key_frames is (0,)
    assert not gradients[0][:, reference].any()
    assert gradients[1][:, reference].any()


def test_order_of_key_and_reference_frame_is_read_from_the_sample(model: MaskTrackRCNN) -> None:
    inputs, samples = CASE.clips(model)
    seed_all(0)
    expected = model.loss(inputs, samples)
    for sample in samples:
        sample.video_data_samples = [sample[1], sample[0]]
        sample.set_metainfo({"key_frames_inds": [1], "ref_frames_inds": [0]})
    seed_all(0)
    swapped = model.loss(inputs.flip(1), samples)
    for name, value in expected.items():
        torch.testing.assert_close(_total(swapped[name]), _total(value))


@pytest.mark.parametrize(
    ("key", "reference"), [([0, 1], []), ([], [0, 1]), ([0], [0]), ([0], []), ([2], [0])]
)
def test_clip_without_a_pair_is_refused(
    model: MaskTrackRCNN, key: list[int], reference: list[int]
) -> None:
    inputs, samples = CASE.clips(model)
    samples[1].set_metainfo({"key_frames_inds": key, "ref_frames_inds": reference})
    with pytest.raises(ValueError, match=r"pairs of a key and a reference frame.*num_references=1"):
        model.loss(inputs, samples)


def test_detector_without_masks_is_refused() -> None:
    config = ConfigDict(copy.deepcopy(MODEL))
    config.pop("type")
    config.detector.type = "FasterRCNN"
    config.detector.roi_head.mask_head = None
    config.detector.roi_head.mask_roi_extractor = None
    with pytest.raises(ValueError, match=r"FasterRCNN without a mask head.*MaskRCNN"):
        MaskTrackRCNN(**config)


def test_prediction_is_mean_score_and_majority_label(model: MaskTrackRCNN) -> None:
    state = model.start(VideoInfo(1, "clip", 4, 6))
    box = [0, 0, 2, 2]
    mask = encode_masks(torch.ones(1, 4, 6))
    for index, (score, label) in enumerate([(0.5, 2), (0.75, 1), (1.0, 1)]):
        frame = FrameInstances([4], [label], [score], [box], mask)
        state.recorder.add(index, frame)
    state.recorder.add(3, FrameInstances([9], [0], [0.875], [box], mask))
    tracks = model.finish(state)
    assert tracks.video.length == 4
    assert [track.id for track in tracks.tracks] == [4, 9]
    assert tracks.predictions == [(1, 0, 0.875), (0, 1, 0.75)]
    model.max_predictions = 1
    assert model.finish(state).predictions == [(1, 0, 0.875)]
