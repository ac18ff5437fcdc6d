# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from visbench.models import InsPro
from visbench.structures import Frame, FrameInstances, VideoInfo, VideoTracks
from visbench.testing.seeded_weights import seeded_input

from mmdet.structures import TrackDataSample  # isort: skip

HEIGHT, WIDTH = 64, 96
MakeSample = Callable[..., TrackDataSample]
Clips = tuple[torch.Tensor, list[TrackDataSample]]
VALID, ORIGINAL = (60, 90), (120, 180)
VIDEO = VideoInfo(3, "video", *ORIGINAL)
NAMES = ("loss_cls", "loss_l1", "loss_giou", "loss_dedup", "loss_dice", "loss_mask")


def frames(number: int = 5, name: str = "frame") -> list[Frame]:
    return [
        Frame(index, seeded_input(f"{name}.{index}", (3, HEIGHT, WIDTH), -2, 2), VALID, ORIGINAL)
        for index in range(number)
    ]


def same(ours: FrameInstances, others: FrameInstances) -> bool:
    return (
        np.array_equal(ours.ids, others.ids)
        and np.array_equal(ours.labels, others.labels)
        and np.array_equal(ours.scores, others.scores)
        and np.array_equal(ours.boxes, others.boxes)
        and ours.masks == others.masks
    )


def test_losses_are_finite_and_reach_every_parameter(
    build: Callable[..., InsPro], clips: Clips
) -> None:
    model = build()
    losses = model.loss(*clips)
    assert tuple(losses) == NAMES
    assert all(torch.isfinite(loss) and loss >= 0 for loss in losses.values())
    sum(losses.values()).backward()
    assert [name for name, value in model.named_parameters() if value.grad is None] == []


@pytest.mark.parametrize(
    ("frames_per_clip", "fields", "trained"),
    [
        (3, {}, True),
        (3, {"detach_bank_history": True}, True),
        (1, {}, False),
        (3, {"bank_size": 1}, False),
        (3, {"propagate_query": False}, False),
        (3, {"detach_query_between_frames": True}, False),
    ],
)
def test_gradient_of_epsilon(
    build: Callable[..., InsPro],
    clips: Clips,
    make_sample: MakeSample,
    config: Callable[..., dict[str, Any]],
    frames_per_clip: int,
    fields: dict[str, Any],
    trained: bool,
) -> None:
    model = build(**fields)
    boxes = [{1: (10, 10, 40, 40)}] * frames_per_clip
    losses = model.loss(clips[0][:1, :frames_per_clip], [make_sample(boxes)])
    sum(losses.values()).backward()
    gradient = model.head.intra_query.epsilon.weight.grad
    assert trained == (gradient is not None and bool(gradient.abs().sum() > 0))
    listed = InsPro.parameters_without_gradient(config(**fields))
    if frames_per_clip > 1:
        assert bool(listed) != trained


def test_two_frames_give_epsilon_a_gradient_of_zero(
    build: Callable[..., InsPro], clips: Clips, make_sample: MakeSample
) -> None:
    model = build()
    losses = model.loss(clips[0][:1, :2], [make_sample([{1: (10, 10, 40, 40)}] * 2)])
    sum(losses.values()).backward()
    gradient = model.head.intra_query.epsilon.weight.grad
    # The second frame sees a bank of one entry, whose softmax is constant.
    assert gradient is not None
    assert not gradient.any()


@pytest.mark.parametrize("boxes", [[{}, {}, {}], [{}, {4: (0, 0, 20, 20)}, {}]])
def test_frames_without_objects(
    build: Callable[..., InsPro], clips: Clips, make_sample: MakeSample, boxes: list[dict]
) -> None:
    model = build()
    losses = model.loss(clips[0][:1], [make_sample(boxes)])
    assert all(torch.isfinite(loss) for loss in losses.values())
    sum(losses.values()).backward()
    assert [name for name, value in model.named_parameters() if value.grad is None] == []
    if not any(boxes):
        assert losses["loss_cls"] > 0
        assert all(losses[name] == 0 for name in NAMES[1:])


def test_more_objects_than_slots(
    build: Callable[..., InsPro], clips: Clips, make_sample: MakeSample
) -> None:
    crowd = {index: (index * 8, 5, index * 8 + 12, 30) for index in range(9)}
    losses = build().loss(clips[0][:1], [make_sample([crowd] * 3)])
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_objects_without_pixels_are_ignored(
    build: Callable[..., InsPro], clips: Clips, make_sample: MakeSample
) -> None:
    model = build()
    seen = {1: (10, 10, 40, 40)}
    empty = make_sample([{**seen, 2: (20, 20, 20, 40)}] * 3)
    expected = model.loss(clips[0][:1], [make_sample([seen] * 3)])
    losses = model.loss(clips[0][:1], [empty])
    assert all(losses[name] == expected[name] for name in NAMES)


@pytest.mark.parametrize(
    "fields",
    [
        {"criterion": {"tcm": False}},
        {"criterion": {"tcm_stage_mode": "last"}},
        {"criterion": {"dedup_beta": 0.0}},
        {"criterion": {"dedup_negatives": 2}},
        {"criterion": {"still_weight": 1.0}},
        {"mask_loss_stages": "last"},
        {"rel_coord_norm": "fixed:8"},
        {"rel_coord_norm": "none"},
        {"propagate_query": False},
        {"propagate_proposal": False},
        {"clip_proposals": "all_stages"},
        {"clip_proposals": "none"},
        {"bank_size": 1},
    ],
    ids=str,
)
def test_each_alternative_changes_the_losses(
    build: Callable[..., InsPro], clips: Clips, fields: dict[str, Any]
) -> None:
    assert build(**fields).loss(*clips) != build().loss(*clips)


def run(model: InsPro, source: list[Frame]) -> tuple[list[FrameInstances], VideoTracks]:
    model.eval()
    state = model.start(VIDEO)
    emitted = [model.step(frame, state) for frame in source]
    return emitted, model.finish(state)


def test_streaming_whole_and_restored_are_the_same(build: Callable[..., InsPro]) -> None:
    model = build()
    emitted, expected = run(model, frames())
    whole = model.segment(VIDEO, iter(frames()))
    state = model.start(VIDEO)
    for frame in frames()[:2]:
        model.step(frame, state)
    stored = io.BytesIO()
    torch.save(state.state_dict(), stored)
    stored.seek(0)
    restored = model.start(VIDEO)
    restored.load_state_dict(torch.load(stored, weights_only=True))
    late = [model.step(frame, restored) for frame in frames()[2:]]
    assert all(same(*pair) for pair in zip(late, emitted[2:], strict=True))
    for other in (whole, model.finish(restored)):
        assert other.predictions == expected.predictions
        assert [track.masks for track in other.tracks] == [t.masks for t in expected.tracks]


def test_results_have_the_original_size(build: Callable[..., InsPro]) -> None:
    emitted, result = run(build(), frames())
    assert result.video.length == 5
    assert len(result.predictions) == 4
    scores = [prediction.score for prediction in result.predictions]
    assert scores == sorted(scores, reverse=True)
    for instances in emitted:
        assert instances.boxes is not None and instances.masks is not None
        assert all(mask["size"] == list(ORIGINAL) for mask in instances.masks)
        assert (instances.boxes >= 0).all()
        assert (instances.boxes <= [*ORIGINAL[::-1], *ORIGINAL[::-1]]).all()
        assert len(instances) == 6


def test_state_is_bounded(build: Callable[..., InsPro]) -> None:
    model = build().eval()
    state = model.start(VIDEO)
    for frame in frames(5):
        model.step(frame, state)
    assert len(state.bank) == 3
    assert state.queries.shape == (1, 6, 16)


@pytest.mark.parametrize("bank_size", [1, 3])
def test_bytes_of_the_state_stay_when_the_bank_is_full(
    build: Callable[..., InsPro], bank_size: int
) -> None:
    model = build(bank_size=bank_size).eval()
    state = model.start(VIDEO)
    sizes = []
    for frame in frames(8):
        model.step(frame, state)
        sizes.append(state.num_bytes())
    # Queries, a bank entry per frame, proposals, sums and counts; with T = 1 queries are the bank.
    features, boxes, scores = 6 * 16, 6 * 4, 2 * 6 * 3
    entries = [min(index + 1, bank_size) + (bank_size > 1) for index in range(8)]
    assert sizes == [4 * (features * number + boxes + scores) for number in entries]


def test_frames_of_a_video_may_change_their_size(build: Callable[..., InsPro]) -> None:
    model = build().eval()
    state = model.start(VIDEO)
    for frame, valid in zip(frames(4), (VALID, (64, 32), (20, 96), VALID), strict=True):
        whwh = torch.tensor([*valid[::-1], *valid[::-1]])
        resized = Frame(frame.index, frame.image, valid, ORIGINAL)
        instances = model.step(resized, state)
        assert np.isfinite(instances.boxes).all()
        assert (instances.boxes <= [*ORIGINAL[::-1], *ORIGINAL[::-1]]).all()
        assert all(mask["size"] == list(ORIGINAL) for mask in instances.masks)
        sides = (state.proposals[0, :, 2:] - state.proposals[0, :, :2]) * whwh[:2]
        assert (sides >= 1 - 1e-4).all() and (state.proposals <= 1 + 1e-6).all()


def test_frames_of_a_clip_may_differ_in_size(
    build: Callable[..., InsPro], clips: Clips, make_sample: MakeSample
) -> None:
    model = build()
    sample = make_sample([{1: (10, 10, 40, 30)}] * 3)
    expected = model.loss(clips[0][:1], [sample])
    for frame, size in zip(sample, ((HEIGHT, WIDTH), (32, 48), (50, 90)), strict=True):
        frame.set_metainfo({"img_shape": size})
    losses = model.loss(clips[0][:1], [sample])
    assert all(torch.isfinite(loss) for loss in losses.values())
    assert losses["loss_l1"] != expected["loss_l1"]
    sum(losses.values()).backward()
    assert all(torch.isfinite(value.grad).all() for value in model.parameters())


def test_slot_permutation_permutes_ids_only(build: Callable[..., InsPro]) -> None:
    model = build()
    emitted, _ = run(model, frames(3))
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    with torch.no_grad():
        for weight in (model.head.init_queries.weight, model.head.init_proposals.weight):
            weight.copy_(weight[order])
    permuted, _ = run(model, frames(3))
    for before, after in zip(emitted, permuted, strict=True):
        assert after.ids.tolist() == [0, 1, 2, 3, 4, 5]
        np.testing.assert_allclose(after.scores, before.scores[order], atol=1e-5)
        np.testing.assert_allclose(after.boxes, before.boxes[order], atol=2e-2)


def test_without_propagation_frames_are_independent(build: Callable[..., InsPro]) -> None:
    model = build(propagate_query=False, propagate_proposal=False, bank_size=1)
    emitted, _ = run(model, frames(3))
    for index, frame in enumerate(frames(3)):
        alone = Frame(0, frame.image, frame.valid_size, frame.original_size)
        (single,), _ = run(model, [alone])
        # Labels follow the running score, so only what is of the frame alone is compared.
        assert np.array_equal(single.boxes, emitted[index].boxes)
        assert single.masks == emitted[index].masks


def test_propagation_makes_frames_depend_on_earlier_ones(build: Callable[..., InsPro]) -> None:
    model = build()
    emitted, _ = run(model, frames(2))
    (single,), _ = run(model, [Frame(0, frames(2)[1].image, VALID, ORIGINAL)])
    assert not np.allclose(single.boxes, emitted[1].boxes)


def test_frame_score_threshold_leaves_frames_out(build: Callable[..., InsPro]) -> None:
    everything, _ = run(build(), frames(3))
    threshold = float(np.median(everything[1].scores))
    some, result = run(build(test_cfg={"frame_score_thr": threshold}), frames(3))
    for all_of_frame, kept in zip(everything, some, strict=True):
        expected = all_of_frame.select(all_of_frame.scores >= np.float32(threshold))
        assert kept.ids.tolist() == expected.ids.tolist()
    assert {track.id for track in result.tracks} <= {int(i) for f in some for i in f.ids}
    nothing, empty = run(build(test_cfg={"frame_score_thr": 1.1}), frames(2))
    assert [len(instances) for instances in nothing] == [0, 0]
    assert empty.predictions == []


def test_only_the_best_slots_are_decoded(build: Callable[..., InsPro]) -> None:
    emitted, result = run(build(test_cfg={"top_k": 1}), frames(3))
    assert [len(instances) for instances in emitted] == [3, 3, 3]
    assert len(result.predictions) == 1


def test_forward_frames_is_the_first_frame_of_a_video(build: Callable[..., InsPro]) -> None:
    model = build().eval()
    images = torch.stack([frame.image for frame in frames(2)])
    output = model.forward_frames(images)
    assert output["masks"].shape == (12, HEIGHT // 8, WIDTH // 8)
    alone = model.forward_frames(images[1:])
    torch.testing.assert_close(output["logits"][1:], alone["logits"], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"test_cfg": {"topk": 3}}, "topk"),
        ({"test_cfg": {"top_k": 0}}, "top_k=0"),
        ({"test_cfg": {"score_reduce": "sum"}}, "mean_present"),
        ({"bank_size": 0}, "bank_size=0"),
        ({"num_stages": 0}, "num_stages=0"),
        ({"eps_dim": 3}, "eps_dim=3"),
        ({"clip_proposals": "always"}, "handover"),
        ({"mask_loss_stages": "first"}, "last"),
        ({"rel_coord_norm": "size"}, "roi_level"),
        ({"rel_coord_norm": "fixed:0"}, "fixed:0"),
        ({"rel_coord_norm": "fixed:-8"}, "fixed:-8"),
        ({"rel_coord_norm": "fixed:wide"}, "fixed:wide"),
        ({"start_boxes": "random"}, "grid"),
        ({"start_queries": "zero"}, "shared"),
        ({"stage": {"controller_layers": 0}}, "controller_layers=0"),
        ({"criterion": {"tcm_stage_mode": "first"}}, "per_stage_new"),
        ({"criterion": {"dedup_negatives": 0}}, "dedup_negatives=0"),
    ],
)
def test_unknown_settings_are_refused(
    build: Callable[..., InsPro], fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        build(**fields)
