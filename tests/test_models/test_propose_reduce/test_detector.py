# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from mmdet.structures import TrackDataSample
from mmengine.config import ConfigDict

from visbench.models import SeqMaskRCNN
from visbench.models.propose_reduce.feature_store import FEATURE_STORES
from visbench.registry import MODELS
from visbench.structures import Frame, VideoInfo, VideoTracks
from visbench.testing.conformance.case import prepared, seed_all, video_of
from visbench.testing.conformance.cases.propose_reduce import CASE, MODEL
from visbench.testing.conformance.result_checks import assert_same
from visbench.testing.conformance.scene import Scene, batch

LENGTH = 6


def build(**fields: Any) -> SeqMaskRCNN:
    """Return the case's model with other fields; its weights are always the same."""
    seed_all(CASE.seed)
    model = MODELS.build(ConfigDict(copy.deepcopy({**MODEL, **fields})))
    model.init_weights()
    CASE.adjust(model)
    return model.eval()


def propose(**fields: Any) -> dict[str, Any]:
    return {"propose": {**MODEL["propose"], **fields}}


def segment(model: SeqMaskRCNN, length: int = LENGTH) -> VideoTracks:
    frames = prepared(model, Scene(0, length))
    return model.segment(video_of(frames), iter(frames))


def clip_of(model: SeqMaskRCNN, frames: int) -> tuple[torch.Tensor, list[TrackDataSample]]:
    """Return one training clip; all its frames are key frames."""
    data = model.data_preprocessor(batch([Scene(0, frames, True)], range(frames)), training=True)
    return data["inputs"], data["data_samples"]


def with_key_frame(samples: list[TrackDataSample], key: int) -> list[TrackDataSample]:
    """Return pairs of which that frame is the query."""
    (sample,) = copy.deepcopy(samples)
    sample.set_metainfo({"key_frames_inds": [key], "ref_frames_inds": [1 - key]})
    return [sample]


@pytest.fixture(scope="module")
def found() -> VideoTracks:
    tracks = segment(build())
    assert tracks.predictions
    return tracks


@pytest.mark.parametrize("kind", list(FEATURE_STORES))
def test_where_features_stay_changes_nothing(kind: str, found: VideoTracks) -> None:
    assert_same(found, segment(build(**propose(feature_store=kind))), kind)


def test_more_key_frames_propose_more_sequences() -> None:
    model = build(reduce=[])
    counts = []
    for number in (1, 3, 10):
        model.key_frames.num_key_frames = number
        counts.append(len(segment(model).tracks))
    assert counts[0] < counts[1] < counts[2]
    # With more key frames than frames, every frame is one, once.
    model.key_frames.num_key_frames = LENGTH
    assert len(segment(model).tracks) == counts[2]


def test_without_reduction_every_proposal_is_a_track() -> None:
    nms = {"type": "SequenceNMS", "iou_threshold": 0.9, "score_threshold": 0.3}
    reduced = segment(build(reduce=[nms]))
    model = build(reduce=[])
    frames = prepared(model, Scene(0, LENGTH))
    with torch.no_grad():
        store, layout = model.read(video_of(frames), frames)
        assert layout is not None
        proposals = model.propose(store, layout.valid)
    assert reduced.tracks
    assert len(segment(model).tracks) == len(proposals.sequences) > len(reduced.tracks)
    assert {len(sequence) for sequence in proposals.sequences} == {LENGTH}
    np.testing.assert_allclose(np.sum(proposals.scores, axis=1), 1, atol=1e-5)


def test_a_cap_on_the_memory_bounds_it() -> None:
    most = {}
    for cap in (None, 2):
        model = build(**propose(memory_interval=1, max_memory_frames=cap))
        seen: list[int] = []
        observe = model.observe

        def watched(step: Any, recorder: Any, seen: Any = seen, observe: Any = observe) -> None:
            seen.append(step.memory_frames)
            observe(step, recorder)

        model.observe = watched  # type: ignore[method-assign]
        segment(model)
        most[cap] = max(seen)
    assert most == {None: LENGTH - 1, 2: 2}


def test_a_video_of_one_frame() -> None:
    tracks = segment(build(), length=1)
    assert tracks.tracks
    assert tracks.video.length == 1


def test_no_detection_on_any_key_frame_gives_no_track() -> None:
    model = build()
    CASE.silence(model)
    tracks = segment(model)
    assert tracks.tracks == [] == tracks.predictions
    assert tracks.video.length == LENGTH


def test_masks_that_vanish_during_propagation() -> None:
    model = build(reduce=[], score_threshold=0.0)
    torch.nn.init.zeros_(model.prop_head.predictor.weight)
    model.prop_head.predictor.bias.data = torch.tensor([5.0, -5.0])
    tracks = segment(model)
    assert tracks.tracks
    assert all(mask is None for track in tracks.tracks for mask in track.masks or [])
    # Nothing was ever seen of them: the background has all the probability.
    assert all(prediction.score == 0 for prediction in tracks.predictions)


def test_a_mask_that_vanishes_for_some_frames_is_scored_where_it_is_visible() -> None:
    model = build(reduce=[])
    observe = model.observe
    classified: list[int] = []
    classify = model.classify

    def vanishing(step: Any, recorder: Any) -> None:
        masks = step.masks * (step.frame % 2 == 0)
        observe(step._replace(masks=masks), recorder)

    def counting(pyramid: Any, boxes: Any) -> Any:
        classified.append(len(boxes))
        return classify(pyramid, boxes)

    model.observe = vanishing  # type: ignore[method-assign]
    model.classify = counting  # type: ignore[method-assign]
    tracks = segment(model)
    assert classified
    assert all(np.isfinite(prediction.score) for prediction in tracks.predictions)
    for track in tracks.tracks:
        assert all(mask is None for mask in (track.masks or [])[1::2])
    assert any(mask is not None for track in tracks.tracks for mask in track.masks or [])


@pytest.mark.parametrize("field", ["image", "valid_size", "original_size"])
def test_a_frame_of_another_size_is_named(field: str) -> None:
    model = build()
    frames = prepared(model, Scene(0, 3))
    other = {"image": torch.zeros(3, 96, 96), "valid_size": (32, 32), "original_size": (10, 10)}
    frames[2] = replace(frames[2], **{field: other[field]})
    with pytest.raises(ValueError, match=r"video 7 \(street\): frame 2 has the sizes"):
        model.segment(VideoInfo(7, "street", 120, 180, 3), iter(frames))


def test_frames_are_read_once_and_lazily() -> None:
    model = build()
    frames = prepared(model, Scene(0, 3))
    asked: list[int] = []

    def source() -> Iterator[Frame]:
        for frame in frames:
            asked.append(frame.index)
            yield frame

    model.segment(video_of(frames, known=False), source())
    assert asked == [0, 1, 2]


def losses_of(model: SeqMaskRCNN, objects: tuple[bool, bool] = (True, True)) -> dict[str, Any]:
    inputs, samples = CASE.clips(model, objects)
    seed_all(0)
    return model.loss(inputs, samples)


def test_propagation_loss_is_zero_but_connected_without_common_objects() -> None:
    model = build().train()
    losses = losses_of(model, (False, False))
    assert losses["loss_prop"] == 0
    losses["loss_prop"].backward()
    assert all(p.grad is not None and not p.grad.any() for p in model.prop_head.parameters())


def test_mask_head_learns_nothing_from_the_propagation() -> None:
    model = build().train()
    losses_of(model)["loss_prop"].backward()
    assert all(p.grad is None for p in model.detector.roi_head.parameters())
    assert model.detector.backbone.conv1.weight.grad.any()
    assert model.prop_head.mask_embedding.weight.grad.any()


def test_all_pairs_are_the_mean_over_both_directions_and_train_the_detector_on_all_frames() -> None:
    # One clip, so that no other clip's objects weigh in.
    model = build(all_pairs=True).train()
    inputs, samples = clip_of(model, frames=2)
    both = model.loss(inputs, samples)
    model.all_pairs = False
    there = model.loss(inputs, with_key_frame(samples, 0))
    back = model.loss(inputs, with_key_frame(samples, 1))
    assert both["loss_mask"] != there["loss_mask"]
    torch.testing.assert_close(both["loss_prop"], (there["loss_prop"] + back["loss_prop"]) / 2)


@pytest.mark.parametrize(("frames", "pairs"), [(1, 1), (2, 2), (3, 6)])
def test_all_pairs_of_a_clip_of_any_length(frames: int, pairs: int) -> None:
    model = build(all_pairs=True).train()
    inputs, samples = clip_of(model, frames)
    seen: list[int] = []
    memorize = model.prop_head.memorize

    def counted(p2: torch.Tensor, masks: torch.Tensor) -> Any:
        seen.append(len(masks))
        return memorize(p2, masks)

    model.prop_head.memorize = counted
    assert model.loss(inputs, samples)["loss_prop"] > 0
    assert len(seen) == pairs


def test_a_second_propagation_loss() -> None:
    losses = losses_of(build(loss_prop_pixel={"type": "PixelCrossEntropy"}).train())
    assert losses["loss_prop_pixel"] > 0
    assert "loss_prop_pixel" not in losses_of(build().train())


def test_at_most_so_many_objects_are_propagated() -> None:
    model = build(max_objects=1).train()
    seen: list[int] = []
    model.propagation_losses["loss_prop"].register_forward_pre_hook(
        lambda _, arguments: seen.extend(len(target) for target in arguments[1])
    )
    losses_of(model)
    assert seen == [1, 1]


def test_guidance_masks_are_soft_and_at_the_valid_size() -> None:
    model = build()
    inputs, samples = CASE.clips(model)
    seen: list[torch.Tensor] = []
    memorize = model.prop_head.memorize

    def watched(p2: torch.Tensor, masks: torch.Tensor) -> Any:
        seen.append(masks)
        return memorize(p2, masks)

    model.prop_head.memorize = watched
    model.train().loss(inputs, samples)
    for masks, sample in zip(seen, samples, strict=True):
        assert masks.shape[-2:] == sample[1].img_shape
        assert ((masks > 0) & (masks < 1)).any()
        for mask, (x1, y1, x2, y2) in zip(
            masks, sample[1].gt_instances.bboxes.round().int().tolist(), strict=True
        ):
            outside = mask.clone()
            outside[max(y1 - 1, 0) : y2 + 1, max(x1 - 1, 0) : x2 + 1] = 0
            assert not outside.any()


def test_clips_that_are_no_pairs_are_refused() -> None:
    model = build()
    inputs, samples = CASE.clips(model)
    with pytest.raises(ValueError, match="SeqMaskRCNN trains on pairs"):
        model.loss(inputs[:, :1], samples)


def test_a_detector_without_masks_is_refused() -> None:
    detector = copy.deepcopy(MODEL["detector"])
    for name in ("mask_head", "mask_roi_extractor"):
        detector["roi_head"].pop(name)
    detector["type"] = "FasterRCNN"
    with pytest.raises(ValueError, match="FasterRCNN without a mask head; SeqMaskRCNN needs"):
        build(detector=detector)


def test_a_finer_memory_needs_less_padding_and_is_larger() -> None:
    head = {**MODEL["prop_head"], "encoder_strides": (1, 2)}
    fine = build(prop_head=head)
    assert fine.prop_head.padding_divisor == 8
    features = fine.extract(torch.zeros(1, 3, 64, 64))
    assert features.encoding.key.shape[-2:] == (8, 8)
    assert build().extract(torch.zeros(1, 3, 64, 64)).encoding.key.shape[-2:] == (4, 4)
    assert segment(fine).video.length == LENGTH


def test_frames_must_be_padded_to_whole_memory_cells() -> None:
    with pytest.raises(ValueError, match=r"pad_size_divisor is 8; .* multiple of 16"):
        build(data_preprocessor={"type": "visbench.ClipPreprocessor", "pad_size_divisor": 8})
