# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config

from visbench.models.inspro import InsPro, InsProTrackingByDetection
from visbench.models.inspro.targets import clip_targets
from visbench.registry import MODELS
from visbench.structures import Frame, FrameInstances, VideoInfo, VideoTracks
from visbench.testing.seeded_weights import seeded_input

from mmdet.structures import TrackDataSample  # isort: skip

CONFIGS = Path(__file__).parents[3] / "configs" / "inspro"
FULL_SIZE = "inspro_2d-track-head_r50_8xb1-32k_youtubevis2019.py"
DEMO = "inspro_2d-track-head_demo_movingshapes.py"
HEIGHT, WIDTH, CHANNELS = 64, 96, 16
VALID, ORIGINAL = (60, 90), (120, 180)
VIDEO = VideoInfo(3, "video", *ORIGINAL)
MakeSample = Callable[..., TrackDataSample]
Build = Callable[..., InsProTrackingByDetection]
INDEPENDENT = {"propagate_query": False, "propagate_proposal": False, "bank_size": 1}
TWO = {1: (10, 10, 40, 40), 2: (50, 20, 80, 60)}


@pytest.fixture
def build(config: Callable[..., dict[str, Any]]) -> Build:
    """Return a function that builds a tiny model; every slot is a detection unless told."""

    def make(association: dict | None = None, **test_cfg: Any) -> InsProTrackingByDetection:
        torch.manual_seed(0)
        fields = config({"tcm": False, "dedup_beta": 0.0}, test_cfg, **INDEPENDENT)
        fields["type"] = "visbench.InsProTrackingByDetection"
        fields["association"] = association
        fields["track_head"] = {
            "type": "mmdet.RoITrackHead",
            "roi_extractor": {
                "type": "mmdet.SingleRoIExtractor",
                "roi_layer": {"type": "RoIAlign", "output_size": 7, "sampling_ratio": 2},
                "out_channels": CHANNELS,
                "featmap_strides": [4, 8, 16, 32],
            },
            "embed_head": {
                "type": "visbench.SignedRoIEmbedHead",
                "num_fcs": 2,
                "roi_feat_size": 7,
                "in_channels": CHANNELS,
                "fc_out_channels": 32,
            },
        }
        model: InsProTrackingByDetection = MODELS.build(fields)
        model.init_weights()
        for stage in model.head.stages:
            torch.nn.init.normal_(stage.interaction.fc_reg.weight, std=0.1)
            torch.nn.init.normal_(stage.interaction.fc_cls.weight, std=0.5)
            torch.nn.init.normal_(stage.controller[-1].weight, std=0.2)
        return model

    return make


def inputs(frames_per_clip: int, clips: int = 1) -> torch.Tensor:
    return seeded_input("inputs", (clips, frames_per_clip, 3, HEIGHT, WIDTH), -2, 2)


def frames(number: int) -> list[Frame]:
    images = [seeded_input(f"frame.{index}", (3, HEIGHT, WIDTH), -2, 2) for index in range(number)]
    return [Frame(index, image, VALID, ORIGINAL) for index, image in enumerate(images)]


def run(
    model: InsProTrackingByDetection, source: list[Frame]
) -> tuple[list[FrameInstances], VideoTracks]:
    model.eval()
    state = model.start(VIDEO)
    emitted = [model.step(frame, state) for frame in source]
    return emitted, model.finish(state)


def test_loss_reaches_the_track_head_and_the_features_only(
    build: Build, make_sample: MakeSample
) -> None:
    model = build()
    losses = model.loss(inputs(3), [make_sample([TWO] * 3)])
    assert losses["loss_track"] > 0
    losses["loss_track"].backward()
    reached = {name for name, value in model.named_parameters() if value.grad is not None}
    assert {name.split(".")[0] for name in reached} == {"backbone", "neck", "track_head"}
    track_head = dict(model.track_head.named_parameters())
    assert all(value.grad.any() for value in track_head.values())


@pytest.mark.parametrize(
    "boxes",
    [[{}, {}, {}], [TWO], [{}], [TWO, {}, {}], [{}, TWO, {}]],
    ids=["no objects", "one frame", "one empty frame", "first frame only", "middle frame only"],
)
def test_without_a_pair_the_loss_is_zero_and_attached(
    build: Build, make_sample: MakeSample, boxes: list[dict]
) -> None:
    model = build()
    losses = model.loss(inputs(len(boxes)), [make_sample(boxes)])
    assert all(torch.isfinite(loss) for loss in losses.values())
    assert losses["loss_track"] == 0
    sum(losses.values()).backward()
    parameters = dict(model.named_parameters())
    listed = InsPro.parameters_without_gradient({"head": INDEPENDENT})
    assert {name for name, value in parameters.items() if value.grad is None} == set(listed)
    assert not any(value.grad.any() for value in model.track_head.parameters())


def test_frames_without_a_common_object_teach_new(build: Build, make_sample: MakeSample) -> None:
    model = build()
    sample = make_sample([{1: TWO[1]}, {2: TWO[2]}])
    logits = torch.tensor([[3.0, 0.0], [1.0, 1.0]])
    model.embed = lambda features, boxes: logits  # type: ignore[method-assign]
    loss = model.loss(inputs(2), [sample])["loss_track"]
    # One candidate besides "new" for either object, with the product 3 and 3.
    torch.testing.assert_close(loss, torch.tensor(math.log(1 + math.exp(3.0))))


def slow_loss(embeddings: list[list[float]], frame: list[int], ids: list[int], clips: int) -> float:
    terms = []
    for key, (number, track_id) in enumerate(zip(frame, ids, strict=True)):
        for other in sorted(set(frame)):
            if other == number or other % clips != number % clips:
                continue
            logits, wanted = [0.0], 0
            for index in range(len(ids)):
                if frame[index] == other:
                    pairs = zip(embeddings[key], embeddings[index], strict=True)
                    logits.append(sum(one * two for one, two in pairs))
                    if ids[index] == track_id:
                        wanted = len(logits) - 1
            total = sum(math.exp(value) for value in logits)
            terms.append(math.log(total) - logits[wanted])
    return sum(terms) / len(terms)


def test_loss_is_the_mean_over_objects_and_other_frames(
    build: Build, make_sample: MakeSample
) -> None:
    model = build()
    # Ids of different clips coincide; an object is missing here and there, one frame is empty.
    first = make_sample([TWO, {2: TWO[2]}, {**TWO, 5: (0, 40, 20, 64)}])
    second = make_sample([{}, {1: TWO[1]}, {2: TWO[2], 1: TWO[1]}])
    samples = [first, second]
    targets = clip_targets(samples, 4, torch.device("cpu"))
    embeddings = seeded_input("embeddings", (len(targets.ids), 5), -1, 1)
    model.embed = lambda features, boxes: embeddings  # type: ignore[method-assign]
    loss = model.loss(inputs(3, 2), samples)["loss_track"]
    expected = slow_loss(embeddings.tolist(), targets.frame.tolist(), targets.ids, 2)
    torch.testing.assert_close(loss, torch.tensor(expected))
    model.track_head.embed_head.loss_match.loss_weight = 0.25
    weighted = model.loss(inputs(3, 2), samples)["loss_track"]
    torch.testing.assert_close(weighted, loss * 0.25)


def test_objects_are_embedded_at_good_predictions_or_at_their_true_boxes(
    build: Build, make_sample: MakeSample
) -> None:
    model = build()
    samples = [make_sample([TWO, TWO])]
    targets = clip_targets(samples, 4, torch.device("cpu"))
    outputs = model.head(model.extract(inputs(2)[0])[0], targets.whwh, num_clips=1)
    outputs.boxes.data[-1, 0, 3] = torch.tensor([12.0, 10.0, 42.0, 40.0])
    outputs.boxes.data[-1, 1, 5] = torch.tensor([-9.0, 0.0, 30.0, 30.0])
    outputs.boxes.data[-1, 0, -1] = targets.boxes[1] + 1
    slots = torch.tensor([3, -1, 5, 0])
    boxes = model._object_boxes(outputs, targets, slots)
    assert not boxes.requires_grad
    assert boxes[0].tolist() == [12.0, 10.0, 42.0, 40.0]
    assert boxes[1].tolist() == list(TWO[2])  # without a slot
    assert boxes[2].tolist() == list(TWO[1])  # IoU below one half
    far = torch.tensor([0.0, 0.0, 5.0, 5.0])
    outputs.boxes.data[-1, 1, 0] = far
    assert model._object_boxes(outputs, targets, slots)[3].tolist() == list(TWO[2])
    outputs.boxes.data[-1, 1, 0] = targets.boxes[3] + 2
    assert torch.equal(model._object_boxes(outputs, targets, slots)[3], targets.boxes[3] + 2)


def test_detections_are_those_of_the_frame_alone(build: Build) -> None:
    model = build()
    emitted, _ = run(model, frames(3))
    for index, frame in enumerate(frames(3)):
        (single,), _ = run(model, [Frame(0, frame.image, VALID, ORIGINAL)])
        rows = [single.scores.tolist().index(score) for score in emitted[index].scores.tolist()]
        assert emitted[index].labels.tolist() == single.labels[rows].tolist()
        np.testing.assert_array_equal(emitted[index].boxes, single.boxes[rows])
        assert emitted[index].masks == [single.masks[row] for row in rows]
    assert len(emitted[0]) == 6


def test_threshold_and_number_of_detections(build: Build) -> None:
    everything, _ = run(build(), frames(1))
    scores = np.sort(everything[0].scores)[::-1]
    for model, number in (
        (build(frame_score_thr=float(scores[2])), 3),
        (build({"max_detections": 2}), 2),
        (build(frame_score_thr=1.1), 0),
    ):
        (instances,), _ = run(model, frames(1))
        assert instances.scores.tolist() == scores[:number].tolist()


def test_same_frame_again_brings_nothing_new(build: Build) -> None:
    model = build()
    again = [Frame(index, frames(1)[0].image, VALID, ORIGINAL) for index in range(4)]
    emitted, result = run(model, again)
    # The product of an embedding with itself is positive, so "new" loses.
    assert emitted[0].ids.tolist() == list(range(6))
    assert all(set(instances.ids.tolist()) <= set(range(6)) for instances in emitted[1:])
    assert all(len(instances) >= 1 for instances in emitted)
    assert {len(track) for track in result.tracks} == {4}


@pytest.mark.parametrize("reduce", ["mean_all", "mean_present", "max"])
def test_class_scores_of_tracks(build: Build, reduce: str) -> None:
    usual, _ = run(build(), frames(1))
    threshold = float(np.median(usual[0].scores))
    options = {"score_reduce": reduce, "frame_score_thr": threshold, "top_k": 100}
    model = build({"iou_weight": 0.0}, **options)
    model.eval()
    appearance = [5.0, -5.0, 5.0, 5.0, -5.0]  # in the second frame everything is new
    model.embed = lambda features, boxes: torch.full(  # type: ignore[method-assign]
        (sum(map(len, boxes)), 1), appearance[state.recorder.num_frames % 5]
    )
    state, probabilities = model.start(VIDEO), []
    emitted = []
    for index, frame in enumerate(frames(5)):
        unpadded = Frame(index, frame.image, (HEIGHT, WIDTH), ORIGINAL)
        emitted.append(model.step(unpadded, state))
        logits = model.forward_frames(frame.image[None])["logits"].detach()
        probabilities.append(logits[0].sigmoid())
    result = model.finish(state)
    ids = [track.id for track in result.tracks]
    assert sorted(ids) == list(range(len(state.totals) - 1))
    assert len(ids) > len(emitted[0]), "no track begins late"
    for index, label, score in result.predictions:
        values = []
        for instances, table in zip(emitted, probabilities, strict=True):
            row = np.flatnonzero(instances.ids == ids[index])
            if len(row):
                best = table.amax(dim=1).numpy()
                slot = int(np.abs(best - instances.scores[row[0]]).argmin())
                assert best[slot] == pytest.approx(instances.scores[row[0]], abs=1e-5)
                values.append(float(table[slot, label]))
            else:
                values.append(0.0)
        present = [value for value in values if value >= threshold]
        expected = {
            "mean_all": sum(values) / len(values),
            "mean_present": sum(present) / max(len(present), 1),
            "max": max(values),
        }[reduce]
        assert score == pytest.approx(expected, abs=1e-4)


def test_long_video_with_long_gaps(build: Build) -> None:
    model = build({"max_detections": 2, "max_instances": 3}).eval()
    state = model.start(VIDEO)
    image = frames(3)
    for index in range(40):
        model.test_cfg["frame_score_thr"] = 2.0 if index % 20 > 5 else 0.0
        instances = model.step(Frame(index, image[index % 3].image, VALID, ORIGINAL), state)
        assert len(instances) == 0 or index % 20 <= 5
        assert len(state.memory.ids) <= 3
        assert state.memory.embeddings.shape == (len(state.memory.ids), 32)
        assert torch.isfinite(state.totals).all()
    result = model.finish(state)
    assert result.video.length == 40
    assert all(np.isfinite(prediction.score) for prediction in result.predictions)
    assert all(len(track) == 40 for track in result.tracks)


def test_frames_of_a_video_may_change_their_size(build: Build) -> None:
    model = build().eval()
    state = model.start(VIDEO)
    for frame, valid in zip(frames(3), (VALID, (64, 32), (20, 96)), strict=True):
        model.step(Frame(frame.index, frame.image, valid, ORIGINAL), state)
        # The boxes of frames of different size are compared in parts of their frames.
        boxes = state.memory.boxes
        assert (boxes >= 0).all() and (boxes <= 1 + 1e-6).all()


def test_video_in_which_nothing_is_ever_found(build: Build) -> None:
    emitted, result = run(build(frame_score_thr=1.5), frames(4))
    assert [len(instances) for instances in emitted] == [0] * 4
    assert result.predictions == []
    assert result.tracks == []


def test_forward_frames_embeds_the_best_slots(build: Build) -> None:
    model = build({"max_detections": 4}).eval()
    with torch.no_grad():
        outputs = model.forward_frames(torch.stack([frame.image for frame in frames(2)]))
    assert outputs["embeddings"].shape == (2 * 4, 32)
    assert set(outputs) == {"logits", "boxes", "masks", "embeddings"}


def test_association_is_checked_before_training(build: Build) -> None:
    with pytest.raises(ValueError, match=r"max_detections=30.*max_instances=10"):
        build({"max_detections": 30, "max_instances": 10})


def test_track_head_of_the_paper_has_13_9_million_parameters() -> None:
    config = Config.fromfile(CONFIGS / "ablations" / FULL_SIZE)
    track_head = MODELS.build(config.model.track_head)
    assert sum(value.numel() for value in track_head.parameters()) == 13_895_680
    assert track_head.embed_head.loss_match.loss_weight == 1


@pytest.mark.parametrize("name", [FULL_SIZE, DEMO])
def test_config_differs_from_inspro_in_the_method_alone(name: str) -> None:
    config = Config.fromfile(CONFIGS / "ablations" / name).to_dict()
    (base,) = (
        path for path in CONFIGS.glob("*.py") if path.name == name.replace("_2d-track-head", "")
    )
    inspro = Config.fromfile(base).to_dict()
    changed = {key for key in config if config[key] != inspro.get(key)}
    assert changed - {"method_name"} == {"model"}
    model, expected = config["model"], inspro["model"]
    assert set(model) - set(expected) == {"track_head", "association"}
    shared = {key for key in expected if model[key] != expected[key]}
    assert shared == {"type", "head", "criterion", "test_cfg"}
    assert model["head"] == {**expected["head"], **INDEPENDENT}
    assert model["criterion"] == {**expected["criterion"], "tcm": False, "dedup_beta": 0.0}
    assert model["test_cfg"] == {**expected["test_cfg"], "frame_score_thr": 0.05}
