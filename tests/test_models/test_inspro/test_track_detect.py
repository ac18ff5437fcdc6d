# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from visbench.engine import load_config
from visbench.models import InsProTrackDetect
from visbench.models.inspro.stage import InsProStage
from visbench.models.inspro.targets import clip_targets
from visbench.models.inspro.track_queries import NOBODY
from visbench.registry import MODELS
from visbench.structures import Frame, VideoInfo, decode_mask
from visbench.testing.seeded_weights import seeded_input

from mmdet.structures import TrackDataSample  # isort: skip

SIZE = HEIGHT, WIDTH = 64, 96
DETECT = 6
VIDEO = VideoInfo(3, "video", *SIZE)
KEEP_ALL = {"min_iou": 0.0, "drop_probability": 0.0, "false_positive_probability": 0.0}
NAMES = ("loss_cls", "loss_l1", "loss_giou", "loss_dedup", "loss_dice", "loss_mask")
CONFIGS = Path(__file__).parents[3] / "configs/inspro"

MakeSample = Callable[..., TrackDataSample]
Clips = tuple[Tensor, list[TrackDataSample]]
Make = Callable[..., InsProTrackDetect]


@pytest.fixture
def make(build: Callable[..., Any]) -> Make:
    """Return a function that builds the tiny model; every object keeps its track by default."""

    def tiny(
        selection: dict | None = None, life: dict | None = None, **fields: Any
    ) -> InsProTrackDetect:
        model = {
            "type": "visbench.InsProTrackDetect",
            "track_selection": {**KEEP_ALL, **(selection or {})},
            "track_life_cycle": life or {"open_score": 0.0, "keep_score": 0.0},
        }
        built: InsProTrackDetect = build(model=model, **{"bank_size": 1, **fields})
        return built

    return tiny


def run_clips(model: InsProTrackDetect, clips: Clips) -> tuple[Any, Tensor, Tensor, Any, list]:
    """Return what a batch gives: outputs, slots, padding, targets and each frame's owners."""
    inputs, samples = clips
    owners: list[list[list[int]]] = []
    original = model.match

    def spy(outputs: Any, targets: Any, given: Any) -> Tensor:
        owners.append([list(clip) for clip in given])
        return original(outputs, targets, given)

    model.match = spy
    features, _ = model.extract(inputs.transpose(0, 1).flatten(0, 1))
    targets = clip_targets(samples, 4, torch.device("cpu"))
    outputs, slots, padding = model.run_clips(features, targets)
    model.match = original
    return outputs, slots, padding, targets, owners


def slots_by_frame(slots: Tensor, targets: Any) -> list[dict[int, list[int]]]:
    """Return, for every frame, the slots of all stages by object id."""
    found: list[dict[int, list[int]]] = [{} for _ in range(len(targets.whwh))]
    for column, (frame, object_id) in enumerate(
        zip(targets.frame.tolist(), targets.ids, strict=True)
    ):
        found[frame][object_id] = slots[:, column].tolist()
    return found


def test_objects_keep_their_track_queries(make: Make, clips: Clips) -> None:
    _, slots, padding, targets, owners = run_clips(make(), clips)
    assert owners == [[[], []], [[7, 2], []], [[2], [1]]]
    frames = slots_by_frame(slots, targets)
    assert all(slot < DETECT for slot in [*frames[0][7], *frames[0][2], *frames[3][1]])
    # Object 7 is away in the second frame: its track ends, and it is detected anew in the third.
    assert frames[2] == {2: [DETECT + 1] * 2}
    assert frames[4][2] == frames[5][1] == [DETECT] * 2
    assert all(slot < DETECT for slot in [*frames[4][7], *frames[4][5]])
    expected = torch.zeros(6, DETECT + 2, dtype=torch.bool)
    expected[[0, 1, 3], DETECT:] = True
    expected[[4, 5], DETECT + 1 :] = True
    assert torch.equal(padding, expected)


def test_who_is_background(make: Make, clips: Clips) -> None:
    model = make()
    outputs, slots, padding, targets, _ = run_clips(model, clips)
    losses = model.criterion.box_losses(outputs, targets, slots, padding)
    (gradient,) = torch.autograd.grad(losses["loss_cls"], outputs.logits)
    # The track of the absent object 7, in the second frame of the first clip: all classes fall.
    assert (gradient[:, 2, DETECT] > 0).all()
    # The track of object 2 beside it: its class rises.
    assert (gradient[:, 2, DETECT + 1, 2] < 0).all()
    assert not gradient[:, padding].any()


def test_false_positives_are_never_matched(make: Make, clips: Clips) -> None:
    model = make({"false_positive_probability": 1.0})
    outputs, slots, padding, targets, owners = run_clips(model, clips)
    assert owners[1] == [[7, 2, NOBODY, NOBODY], []]
    assert [len(clip) for clip in owners[2]] == [2, 2]
    frames = slots_by_frame(slots, targets)
    for time, clip_owners in enumerate(owners):
        for clip, tracks in enumerate(clip_owners):
            used = {slot for stages in frames[2 * time + clip].values() for slot in stages}
            for index, owner in enumerate(tracks):
                assert owner != NOBODY or DETECT + index not in used
    losses = model.criterion.box_losses(outputs, targets, slots, padding)
    (gradient,) = torch.autograd.grad(losses["loss_cls"], outputs.logits)
    assert (gradient[:, 2, DETECT + 2 : DETECT + 4] > 0).all()


@pytest.mark.parametrize("selection", [{"drop_probability": 1.0}, {"min_iou": 1.0}])
def test_dropped_tracks_are_detected_anew(
    make: Make, clips: Clips, selection: dict[str, float]
) -> None:
    _, slots, padding, _, owners = run_clips(make(selection), clips)
    assert owners == [[[], []]] * 3
    assert (slots < DETECT).all()
    assert padding.shape == (6, DETECT)
    assert not padding.any()


def test_selection_is_random_by_the_seed(make: Make, clips: Clips) -> None:
    model = make({"drop_probability": 0.5, "false_positive_probability": 0.5})
    owners = []
    for seed in (0, 0, 1, 2, 3):
        torch.manual_seed(seed)
        owners.append(run_clips(model, clips)[-1])
    assert owners[0] == owners[1]
    assert any(other != owners[0] for other in owners[2:])


@pytest.mark.parametrize(("dropped", "flows"), [(0.0, True), (1.0, False)])
def test_gradient_flows_through_object_features_of_tracks(
    make: Make, clips: Clips, dropped: float, flows: bool
) -> None:
    inputs, samples = clips
    inputs.requires_grad_()
    outputs, *_ = run_clips(make({"drop_probability": dropped}), (inputs, samples))
    (gradient,) = torch.autograd.grad(outputs.logits[:, 2].sum(), inputs)
    assert gradient[0, 1].any()
    assert bool(gradient[0, 0].any()) is flows
    assert not gradient[0, 2].any()
    assert not gradient[1].any()


@pytest.mark.parametrize("false_positives", [0.0, 1.0])
def test_clips_of_a_batch_do_not_see_each_other(
    make: Make, clips: Clips, false_positives: float
) -> None:
    inputs, samples = clips
    model = make({"false_positive_probability": false_positives})
    both = run_clips(model, clips)
    swapped = run_clips(model, (inputs.flip(0), samples[::-1]))
    for clip in (0, 1):
        alone = run_clips(model, (inputs[clip : clip + 1], samples[clip : clip + 1]))
        assert [frame[clip] for frame in both[-1]] == [frame[0] for frame in alone[-1]]
        for other, first in ((alone, 0), (swapped, 1 - clip)):
            step = len(other[2]) // 3
            for time in range(3):
                row, other_row = 2 * time + clip, step * time + first
                used = int((~both[2][row]).sum())
                assert int((~other[2][other_row]).sum()) == used
                for ours, theirs in zip(both[0], other[0], strict=True):
                    torch.testing.assert_close(
                        ours[:, row, :used], theirs[:, other_row, :used], atol=2e-3, rtol=1e-3
                    )


@pytest.mark.parametrize("criterion", [{}, {"dedup_beta": 0.5, "still_weight": 1.0}])
def test_losses_of_a_batch_are_the_mean_of_its_clips(
    make: Make, clips: Clips, criterion: dict[str, float]
) -> None:
    inputs, samples = clips
    model = make({"false_positive_probability": 1.0}, criterion=criterion)
    both = model.loss(*clips)
    swapped = model.loss(inputs.flip(0), samples[::-1])
    alone = [model.loss(inputs[i : i + 1], samples[i : i + 1]) for i in (0, 1)]
    for name, loss in both.items():
        torch.testing.assert_close(swapped[name], loss, atol=1e-3, rtol=1e-3)
        mean = (alone[0][name] + alone[1][name]) / 2
        torch.testing.assert_close(mean, loss, atol=1e-3, rtol=1e-3)


def test_padding_is_not_seen_by_a_stage() -> None:
    torch.manual_seed(0)
    stage = InsProStage(3, 16, num_heads=2, feedforward_channels=16, roi_size=3)
    stage.init_weights()
    rois = torch.randn(2, 5, 16, 3, 3)
    queries, boxes = torch.randn(2, 5, 16), torch.rand(2, 5, 4).sort(dim=-1).values * 50
    padding = torch.zeros(2, 5, dtype=torch.bool)
    padding[:, 3:] = True
    padded = stage(rois.flatten(0, 1), queries, boxes, padding)
    short = stage(rois[:, :3].flatten(0, 1), queries[:, :3], boxes[:, :3])
    seen = stage(rois.flatten(0, 1), queries, boxes)
    for ours, expected in zip(padded, short, strict=True):
        torch.testing.assert_close(ours[:, :3], expected, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(seen.features[:, :3], short.features, atol=1e-3)


@pytest.mark.parametrize(
    "boxes",
    [
        [{}, {}, {}],
        [{}, {4: (0, 0, 20, 20)}, {}],
        [{1: (10, 10, 40, 40)}],
        [{index: (index * 8, 5, index * 8 + 12, 30) for index in range(9)}] * 3,
    ],
    ids=["no objects", "one frame with an object", "still image", "more objects than queries"],
)
def test_unusual_clips_have_finite_losses(
    make: Make, clips: Clips, make_sample: MakeSample, boxes: list[dict]
) -> None:
    model = make({"false_positive_probability": 1.0})
    losses = model.loss(clips[0][:1, : len(boxes)], [make_sample(boxes)])
    assert tuple(losses) == NAMES
    assert all(torch.isfinite(loss) for loss in losses.values())
    sum(losses.values()).backward()
    for name, parameter in model.named_parameters():
        if "epsilon" in name:
            assert parameter.grad is None
        else:
            assert parameter.grad is not None and torch.isfinite(parameter.grad).all()


def test_an_object_that_finds_no_slot_is_matched_later(
    make: Make, clips: Clips, make_sample: MakeSample
) -> None:
    crowd = {index: (index * 8, 5, index * 8 + 12, 30) for index in range(9)}
    batch = clips[0][:1, :2], [make_sample([crowd] * 2)]
    _, slots, _, targets, owners = run_clips(make(), batch)
    first, second = slots_by_frame(slots, targets)
    unmatched = [object_id for object_id, stages in first.items() if stages[-1] < 0]
    assert len(unmatched) == 3
    assert all(0 <= slot < DETECT for object_id in unmatched for slot in second[object_id])
    assert len(owners[1][0]) + 3 <= 9


def frames(number: int) -> list[Frame]:
    return [
        Frame(index, seeded_input(f"frame.{index}", (3, *SIZE), -2, 2), SIZE, SIZE)
        for index in range(number)
    ]


def test_open_tracks_are_bounded_and_keep_their_ids(make: Make) -> None:
    model = make(life={"open_score": 0.0, "keep_score": 0.0, "max_tracks": 4}).eval()
    state = model.start(VIDEO)
    for frame in frames(4):
        assert model.step(frame, state).ids.tolist() == [0, 1, 2, 3]
        assert state.queries.shape == (1, 4, 16)
    assert state.opened == 4


def test_no_track_for_many_frames(make: Make) -> None:
    model = make(life={"open_score": 2.0, "keep_score": 0.0}).eval()
    state = model.start(VIDEO)
    images = frames(14)
    for frame in images[:12]:
        assert len(model.step(frame, state)) == 0
    assert (state.opened, state.ids, state.queries.shape) == (0, [], (1, 0, 16))
    assert model.finish(state).predictions == []
    able = make().eval()
    assert able.step(images[12], state).ids.tolist() == list(range(DETECT))
    assert able.finish(state).predictions


def test_scores_of_a_track_are_the_mean_of_its_frames(make: Make) -> None:
    model = make(
        life={"open_score": 0.55, "keep_score": 0.5, "patience": 1, "max_tracks": 3}, num_classes=1
    ).eval()
    # With one class, what is emitted is the score itself.
    state = model.start(VIDEO)
    for stage in model.head.stages:
        torch.nn.init.zeros_(stage.interaction.fc_cls.bias)
    scores: dict[int, list[float]] = {}
    for frame in frames(8):
        instances = model.step(frame, state)
        for track_id, score in zip(instances.ids.tolist(), instances.scores.tolist(), strict=True):
            scores.setdefault(track_id, []).append(score)
    result = model.finish(state)
    closed = set(scores) - set(state.ids)
    assert closed
    assert {len(values) for values in scores.values()} != {8}
    means = {track_id: float(np.mean(values)) for track_id, values in scores.items()}
    best = sorted(means, key=lambda track_id: -means[track_id])[:4]
    assert [result.tracks[p.track_index].id for p in result.predictions] == best
    expected = [means[track_id] for track_id in best]
    assert [p.score for p in result.predictions] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("open_score", "depends"), [(0.0, True), (2.0, False)])
def test_a_frame_depends_on_earlier_ones_through_tracks_only(
    make: Make, open_score: float, depends: bool
) -> None:
    first, second = frames(2)
    model = make(life={"open_score": open_score, "keep_score": 0.0}).eval()
    state = model.start(VIDEO)
    model.step(first, state)
    able = make().eval()
    after = able.step(second, state)
    alone = able.step(Frame(0, second.image, SIZE, SIZE), able.start(VIDEO))
    new = after.select(after.ids >= len(state.ids) - DETECT)
    assert np.array_equal(new.boxes, alone.boxes) is not depends


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"bank_size": 3}, "head.bank_size=3"),
        ({"propagate_query": False}, "head.propagate_query=False"),
        ({"propagate_proposal": False}, "head.propagate_proposal=False"),
        ({"criterion": {"tcm": False}}, "criterion.tcm=False"),
    ],
)
def test_settings_of_united_queries_are_refused(
    make: Make, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make(**fields)


@pytest.mark.parametrize("name", ["demo_movingshapes", "r50_8xb1-32k_youtubevis2019"])
def test_configs_change_the_method_only(name: str) -> None:
    config = load_config(CONFIGS / f"ablations/inspro_2e-track-detect_{name}.py")
    base = load_config(CONFIGS / f"inspro_{name}.py")
    assert config.train_dataloader == base.train_dataloader
    assert config.optim_wrapper == base.optim_wrapper
    config.model.backbone.init_cfg = None
    model = MODELS.build(config.model)
    united = MODELS.build({**base.model, "backbone": config.model.backbone})
    assert isinstance(model, InsProTrackDetect)
    assert model.criterion.dedup_beta == 0
    ours, theirs = ({k: v.shape for k, v in m.state_dict().items()} for m in (model, united))
    assert ours == theirs


def moving_square(number: int) -> tuple[Tensor, list[tuple[int, int, int, int]]]:
    """Return normalised frames ``(number, 3, H, W)`` of a square on noise, and its boxes."""
    generator = torch.Generator().manual_seed(0)
    images = 0.3 * torch.randn(number, 3, *SIZE, generator=generator)
    boxes = [(10 + 8 * index, 16, 38 + 8 * index, 44) for index in range(number)]
    for image, (left, top, right, bottom) in zip(images, boxes, strict=True):
        image[:, top:bottom, left:right] = torch.tensor([2.0, -2.0, 1.0])[:, None, None]
    return images, boxes


def test_a_tracked_object_keeps_its_id_after_training(make: Make, make_sample: MakeSample) -> None:
    images, boxes = moving_square(3)
    model = make(
        {"min_iou": 0.5, "drop_probability": 0.1, "false_positive_probability": 0.3},
        {"open_score": 0.3, "keep_score": 0.2},
        stage={
            "num_heads": 2,
            "feedforward_channels": 32,
            "dynamic_channels": 4,
            "roi_size": 3,
            "zero_init_regression": True,
        },
        start_boxes="grid",
    )
    model.init_weights()
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
    sample = make_sample([{1: box} for box in boxes])
    torch.manual_seed(0)
    for _ in range(90):
        optimizer.zero_grad()
        loss = sum(model.loss(images[None], [sample]).values())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    source = [Frame(index, image, SIZE, SIZE) for index, image in enumerate(images)]
    result = model.eval().segment(VIDEO, source)
    best = result.predictions[0]
    assert best.label == 1
    masks = result.tracks[best.track_index].masks
    for mask, (left, top, right, bottom) in zip(masks, boxes, strict=True):
        assert mask is not None
        truth = np.zeros(SIZE, dtype=bool)
        truth[top:bottom, left:right] = True
        found = decode_mask(mask)
        assert (found & truth).sum() / (found | truth).sum() > 0.5
