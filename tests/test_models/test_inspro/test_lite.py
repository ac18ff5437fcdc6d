# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.optim import build_optim_wrapper

from visbench.engine.runner import VISRunner
from visbench.models import InsPro, InsProLite
from visbench.models.inspro.association import TemporallyConsistentMatching
from visbench.models.inspro.losses import match_cost
from visbench.models.inspro.stage import decode_boxes
from visbench.models.inspro.targets import clip_targets
from visbench.models.layers import box_centres, clip_boxes, masks_at_original_size
from visbench.models.layers.dynamic_masks import upsample_logits
from visbench.registry import MODELS
from visbench.structures import Frame, FrameInstances, VideoInfo, encode_masks
from visbench.testing.seeded_weights import seeded_input

from mmdet.structures import TrackDataSample  # isort: skip

HEIGHT, WIDTH = 64, 96
VALID, ORIGINAL = (60, 90), (120, 180)
VIDEO = VideoInfo(3, "video", *ORIGINAL)
NAMES = ("loss_cls", "loss_l1", "loss_giou", "loss_dedup", "loss_dice", "loss_mask")
BATCH_NORM = {"type": "BN"}
_NUMBERS = itertools.count()

Build = Callable[..., InsProLite]
MakeSample = Callable[..., TrackDataSample]


@pytest.fixture
def build_lite(build: Callable[..., InsPro], config: Callable[..., dict[str, Any]]) -> Build:
    """Return a function that builds a lite model whose first phase is the tiny InsPro."""

    def make(noise: float = 0.0, lite: dict[str, Any] | None = None, **fields: Any) -> InsProLite:
        settings = {**config(**fields), "type": "visbench.InsProLite", **(lite or {})}
        model: InsProLite = MODELS.build(settings)
        model.init_weights()
        model.load_state_dict(build(**fields).state_dict(), strict=False)
        generator = torch.Generator().manual_seed(5)
        for parameter in model.lite_head.parameters():
            parameter.data += noise * torch.randn(parameter.shape, generator=generator)
        return model

    return make


def frames(number: int, sizes: tuple[tuple[int, int], ...] = (VALID,)) -> list[Frame]:
    images = [seeded_input(f"frame.{index}", (3, HEIGHT, WIDTH), -2, 2) for index in range(number)]
    return [
        Frame(index, image, sizes[index % len(sizes)], ORIGINAL)
        for index, image in enumerate(images)
    ]


def run(model: InsPro, source: list[Frame]) -> list[FrameInstances]:
    model.eval()
    state = model.start(VIDEO)
    return [model.step(frame, state) for frame in source]


def same(ours: FrameInstances, others: FrameInstances) -> bool:
    names = ("ids", "labels", "scores", "boxes")
    equal = all(np.array_equal(getattr(ours, name), getattr(others, name)) for name in names)
    return equal and ours.masks == others.masks


@torch.no_grad()
def slow_head(
    model: InsProLite, images: torch.Tensor, whwh: torch.Tensor, keys: list[bool]
) -> Iterator[tuple[torch.Tensor, ...]]:
    """Yield logits, boxes (not clipped), features and mask features of a clip, frame by frame."""
    head = model.head
    query = head.init_queries.weight[None]
    centre, size = head.init_proposals.weight[None].split(2, dim=2)
    proposal = torch.cat([centre - size / 2, centre + size / 2], dim=2)
    bank: list[torch.Tensor] = []
    for image, frame_size, key in zip(images, whwh, keys, strict=True):
        maps, mask_features = model.extract(image[None])
        boxes, feature = proposal * frame_size, query
        for stage in list(head.stages) if key else [model.lite_head.stages[0]]:
            rois = torch.cat([torch.zeros(boxes.shape[1], 1), boxes[0]], dim=1)
            regions = head.roi_extractor(maps, rois)
            logits, deltas, feature, _ = stage.interaction(regions, feature)
            boxes = decode_boxes(boxes, deltas)
        yield logits[0], boxes[0], feature[0], mask_features
        proposal = clip_boxes(boxes, frame_size[None], 1.0) / frame_size
        if key:
            bank = [*bank, feature][-head.bank_size :]
            entries = torch.stack(bank)
            weights = (entries * head.intra_query.epsilon.weight[0]).sum(-1, keepdim=True)
            query = (weights.softmax(0) * entries).sum(0) + feature


def slow_masks(
    model: InsProLite, boxes: torch.Tensor, feature: torch.Tensor, maps: torch.Tensor, key: bool
) -> list:
    head = model.head
    generator = (head.stages[-1] if key else model.lite_head.stages[0]).controller
    with torch.no_grad():
        logits = head.mask_head(
            maps,
            generator(feature),
            box_centres(boxes),
            head.divisors(boxes),
            torch.zeros(len(boxes), dtype=torch.long),
        )
    return encode_masks(masks_at_original_size(upsample_logits(logits), 4, VALID, ORIGINAL))


@pytest.mark.parametrize("interval", [1, 2, 3, 10])
def test_frames_are_those_of_a_slow_loop(build_lite: Build, interval: int) -> None:
    model = build_lite(noise=0.1, lite={"key_frame_interval": interval}, bank_size=2).eval()
    source = frames(7)
    keys = [index % interval == 0 for index in range(7)]
    whwh = torch.tensor([[90.0, 60, 90, 60]] * 7)
    expected = slow_head(model, torch.stack([f.image for f in source]), whwh, keys)
    total = torch.zeros(6, 3)
    state = model.start(VIDEO)
    for frame, key, (logits, boxes, feature, maps) in zip(source, keys, expected, strict=True):
        ours = model.step(frame, state)
        total += logits.sigmoid()
        labels = total.argmax(1)
        assert ours.ids.tolist() == list(range(6))
        assert ours.labels.tolist() == labels.tolist()
        scores = logits.sigmoid()[torch.arange(6), labels]
        np.testing.assert_allclose(ours.scores, scores, atol=1e-5)
        reported = clip_boxes(boxes, whwh[0], 1.0) * 2
        np.testing.assert_allclose(ours.boxes, reported, atol=1e-2)
        assert ours.masks == slow_masks(model, boxes, feature, maps, key)


def test_interval_of_one_is_inspro(build_lite: Build, build: Callable[..., InsPro]) -> None:
    ours = run(build_lite(noise=0.1, lite={"key_frame_interval": 1}), frames(5))
    assert all(itertools.starmap(same, zip(ours, run(build(), frames(5)), strict=True)))


def test_every_interval_is_another_result(build_lite: Build) -> None:
    boxes = [
        run(build_lite(noise=0.1, lite={"key_frame_interval": interval}), frames(4))[-1].boxes
        for interval in (1, 2, 3, 4)
    ]
    for first, second in itertools.combinations(boxes, 2):
        assert not np.allclose(first, second)


def test_only_proposals_change_between_key_frames(build_lite: Build) -> None:
    model = build_lite(noise=0.1, lite={"key_frame_interval": 3}).eval()
    state = model.start(VIDEO)
    for index, frame in enumerate(frames(6)):
        before = state.state_dict()
        model.step(frame, state)
        assert not torch.equal(state.proposals, before["proposals"])
        key = index % 3 == 0
        assert torch.equal(state.queries, before["queries"]) is not key
        assert len(state.bank) == index // 3 + 1


def test_a_state_saved_within_an_interval_continues(build_lite: Build) -> None:
    model = build_lite(noise=0.1, lite={"key_frame_interval": 3}).eval()
    whole = run(model, frames(7))
    for stop in (1, 2, 3, 5):
        state = model.start(VIDEO)
        for frame in frames(stop):
            model.step(frame, state)
        stored = io.BytesIO()
        torch.save(state.state_dict(), stored)
        stored.seek(0)
        restored = model.start(VIDEO)
        restored.load_state_dict(torch.load(stored, weights_only=True))
        late = [model.step(frame, restored) for frame in frames(7)[stop:]]
        assert all(itertools.starmap(same, zip(late, whole[stop:], strict=True)))


def test_frames_of_a_video_may_change_their_size(build_lite: Build) -> None:
    model = build_lite(noise=0.1, lite={"key_frame_interval": 2}).eval()
    for ours in run(model, frames(5, (VALID, (40, 96), (64, 50)))):
        assert np.isfinite(ours.boxes).all()
        assert all(mask["size"] == list(ORIGINAL) for mask in ours.masks)


CLIP = [
    {7: (5, 5, 30, 30), 2: (50, 20, 80, 60)},
    {2: (52, 20, 82, 60)},
    {},
    {7: (9, 5, 34, 30), 2: (54, 20, 84, 60), 5: (0, 40, 20, 64)},
    {5: (2, 40, 22, 64), 8: (60, 0, 90, 20)},
]


def clip_images(number: int = 5) -> torch.Tensor:
    return torch.randn(1, number, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("pattern", ["KKKNN", "KNKNK", "KNNNN"])
def test_losses_are_those_of_a_slow_loop(
    build_lite: Build, make_sample: MakeSample, pattern: str
) -> None:
    model = build_lite(noise=0.1, lite={"clip_pattern": pattern}).train()
    sample = make_sample(CLIP)
    losses = model.loss(clip_images(), [sample])
    targets = clip_targets([sample], 4, torch.device("cpu"))
    keys = [kind == "K" for kind in pattern]
    whwh = torch.tensor([[WIDTH, HEIGHT, WIDTH, HEIGHT]] * 5, dtype=torch.float32)
    outputs = list(slow_head(model, clip_images()[0], whwh, keys))
    matching = TemporallyConsistentMatching(6)
    trained = pattern.count("N")
    l1, cls = 0.0, 0.0
    for index, (logits, boxes, _, _) in enumerate(outputs):
        here = targets.frame == index
        labels, truth = targets.labels[here], targets.boxes[here]
        everyone = (len(labels), -1, -1)
        costs = match_cost(
            logits.expand(everyone), boxes.expand(everyone), labels, truth, whwh[: len(labels)]
        )
        ids = [value for value, there in zip(targets.ids, here.tolist(), strict=True) if there]
        (slots,) = matching.match(ids, costs.numpy().T[None])
        if keys[index]:
            continue
        share = 1 / (max(1, len(ids)) * trained)
        wanted = torch.zeros(6, 3)
        for slot, label, box in zip(slots, labels, truth, strict=True):
            wanted[slot, label] = 1
            l1 += 5 * share * float(((boxes[slot] - box) / whwh[0]).abs().sum())
        p = logits.sigmoid()
        positive = -0.25 * (1 - p) ** 2 * p.log() * wanted
        negative = -0.75 * p**2 * (1 - p).log() * (1 - wanted)
        cls += 2 * share * float((positive + negative).sum())
    assert float(losses["loss_l1"]) == pytest.approx(l1, rel=1e-4)
    assert float(losses["loss_cls"]) == pytest.approx(cls, rel=1e-4)
    assert tuple(losses) == NAMES


def test_only_the_extra_stage_gets_gradients(build_lite: Build, make_sample: MakeSample) -> None:
    model = build_lite(noise=0.1).train()
    samples = [make_sample(CLIP), make_sample([{}] * 4 + [{1: (10, 10, 40, 40)}])]
    sum(model.loss(clip_images().repeat(2, 1, 1, 1, 1), samples).values()).backward()
    reached = {
        name
        for name, value in model.named_parameters()
        if value.grad is not None and value.grad.any()
    }
    assert reached == {n for n, _ in model.named_parameters() if n.startswith("lite_head.")}
    assert InsProLite.parameters_without_gradient({}) == {}


@pytest.mark.parametrize("paramwise", [None, {"norm_decay_mult": 0.0}])
def test_a_training_step_changes_the_extra_stage_only(
    build_lite: Build,
    config: Callable[..., dict[str, Any]],
    make_sample: MakeSample,
    paramwise: dict | None,
) -> None:
    settings = config()
    batch_norm = {
        "backbone": {**settings["backbone"], "norm_cfg": BATCH_NORM},
        "mask_branch": {**settings["mask_branch"], "norm_cfg": BATCH_NORM},
    }
    model: InsProLite = MODELS.build(
        {
            **settings,
            **batch_norm,
            "type": "visbench.InsProLite",
        }
    )
    model.init_weights()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    wrapper = build_optim_wrapper(
        model,
        {
            "type": "OptimWrapper",
            "optimizer": {"type": "AdamW", "lr": 0.1, "weight_decay": 0.5},
            "clip_grad": {"max_norm": 1.0},
            **({"paramwise_cfg": paramwise} if paramwise else {}),
        },
    )
    model.train()
    assert any(name.endswith("running_mean") for name in before)
    wrapper.update_params(sum(model.loss(clip_images(), [make_sample(CLIP)]).values()))
    changed = {n for n, value in model.state_dict().items() if not torch.equal(value, before[n])}
    assert changed == {name for name in before if name.startswith("lite_head.")}


def test_training_mode_is_reported_for_the_model_and_the_extra_stage(build_lite: Build) -> None:
    model = build_lite().train()
    assert model.training and model.lite_head.training
    assert not model.backbone.training and not model.mask_branch.training
    assert not model.eval().lite_head.training


@pytest.mark.parametrize(
    "boxes",
    [
        [{}] * 5,
        [{1: (10, 10, 40, 40)}, {}, {}, {}, {}],
        [{}, {}, {}, {}, {1: (10, 10, 40, 40)}],
        [{index: (index * 8, 5, index * 8 + 12, 30) for index in range(9)}] * 5,
    ],
    ids=["none", "on key frames", "on non-key frames", "more than slots"],
)
def test_clips_with_few_and_many_objects(
    build_lite: Build, make_sample: MakeSample, boxes: list[dict]
) -> None:
    model = build_lite().train()
    losses = model.loss(clip_images(), [make_sample(boxes)])
    assert all(torch.isfinite(loss) for loss in losses.values())
    sum(losses.values()).backward()
    for parameter in model.lite_head.parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all()
    if not any(boxes[3:]):
        assert losses["loss_cls"] > 0
        assert all(losses[name] == 0 for name in NAMES[1:])


@pytest.mark.parametrize(
    "boxes", [[{}] * 5, [{1: (10, 10, 40, 40)}, {}, {}, {}, {}], CLIP], ids=["none", "key", "all"]
)
def test_processes_ask_for_the_same_averages(
    build_lite: Build,
    make_sample: MakeSample,
    monkeypatch: pytest.MonkeyPatch,
    boxes: list[dict],
) -> None:
    """A process without objects must not leave the others waiting for its counts."""
    asked: list[tuple[int, ...]] = []

    def average(counts: torch.Tensor) -> torch.Tensor:
        asked.append(tuple(counts.shape))
        return counts

    monkeypatch.setattr("visbench.models.inspro.losses.reduce_mean", average)
    build_lite().train().loss(clip_images(), [make_sample(boxes)])
    assert asked == [(2,), (2,)]


def weights_of(model: InsProLite, part: str) -> dict[str, torch.Tensor]:
    return {
        name.removeprefix(part): value
        for name, value in model.state_dict().items()
        if name.startswith(part)
    }


def equal_stages(model: InsProLite, stage: int) -> bool:
    ours = weights_of(model, "lite_head.stages.0.")
    others = weights_of(model, f"head.stages.{stage}.")
    return all(torch.equal(value, ours[name]) for name, value in others.items())


@pytest.mark.parametrize(("lite_init", "source"), [("stage1", 0), ("stage2", 1), ("random", None)])
def test_the_extra_stage_starts_as_configured(
    build_lite: Build,
    build: Callable[..., InsPro],
    config: Callable[..., dict[str, Any]],
    tmp_path: Path,
    lite_init: str,
    source: int | None,
) -> None:
    settings = {**config(), "type": "visbench.InsProLite", "lite_init": lite_init}
    fresh: InsProLite = MODELS.build(settings)
    fresh.init_weights()
    phase_one = build()
    torch.save({"state_dict": phase_one.state_dict(), "meta": {}}, tmp_path / "phase1.pth")
    runner = VISRunner(
        settings,
        work_dir=str(tmp_path),
        load_from=str(tmp_path / "phase1.pth"),
        default_scope="visbench",
        experiment_name=f"test_lite_{next(_NUMBERS)}",
    )
    runner.load_or_resume()
    for model in (fresh, runner.model, build_lite(lite=settings)):
        assert [equal_stages(model, stage) for stage in (0, 1)] == [source == 0, source == 1]
    for name, value in phase_one.state_dict().items():
        assert torch.equal(runner.model.state_dict()[name], value)


def test_a_copied_stage_shares_no_memory(build_lite: Build) -> None:
    model = build_lite()
    next(model.lite_head.parameters()).data += 1
    assert not equal_stages(model, 0)


def test_a_trained_extra_stage_is_not_overwritten(build_lite: Build) -> None:
    trained = build_lite(noise=0.1)
    weights = {name: value.clone() for name, value in trained.state_dict().items()}
    other = build_lite()
    other.load_state_dict(weights)
    assert not equal_stages(other, 0)
    for name, value in other.state_dict().items():
        assert torch.equal(value, weights[name])


def test_masks_of_the_last_stage_only(build_lite: Build, make_sample: MakeSample) -> None:
    model = build_lite(mask_loss_stages="last").train()
    losses = model.loss(clip_images(), [make_sample(CLIP)])
    assert losses["loss_dice"] > 0
    losses["loss_dice"].backward()
    assert model.lite_head.stages[0].controller[0].weight.grad.any()
    assert all(instances.masks for instances in run(model, frames(3)))


def test_boxes_only(build_lite: Build, make_sample: MakeSample) -> None:
    model = build_lite(masks=False).train()
    losses = model.loss(clip_images(), [make_sample(CLIP)])
    assert tuple(losses) == NAMES[:4]
    sum(losses.values()).backward()
    assert all(parameter.grad is not None for parameter in model.lite_head.parameters())
    assert all(instances.masks is None for instances in run(model, frames(3)))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"lite": {"key_frame_interval": 0}}, "key_frame_interval=0"),
        ({"lite": {"key_frame_interval": -3}}, "key_frame_interval=-3"),
        ({"lite": {"key_frame_interval": 2.5}}, "key_frame_interval=2.5"),
        ({"lite": {"clip_pattern": "NKKNK"}}, "clip_pattern='NKKNK'"),
        ({"lite": {"clip_pattern": "KKK"}}, "clip_pattern='KKK'"),
        ({"lite": {"clip_pattern": "KKXN"}}, "clip_pattern='KKXN'"),
        ({"lite": {"clip_pattern": ""}}, "clip_pattern=''"),
        ({"lite": {"lite_init": "stage3"}}, "lite_init='stage3'.*'stage2'"),
        ({"lite": {"lite_init": "first"}}, "lite_init='first'"),
        ({"bank_size": 0}, "bank_size=0"),
        ({"propagate_query": False}, "propagate_query"),
        ({"propagate_proposal": False}, "propagate_proposal"),
    ],
    ids=str,
)
def test_unknown_settings_are_refused(
    build_lite: Build, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        build_lite(**fields)


@pytest.mark.parametrize("number", [3, 6])
def test_clips_of_another_length_are_refused(
    build_lite: Build, make_sample: MakeSample, number: int
) -> None:
    with pytest.raises(ValueError, match=f"clips have {number} frames.*num_frames=5"):
        build_lite().loss(clip_images(number), [make_sample([{}] * number)])
