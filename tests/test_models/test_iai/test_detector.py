# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy
import io
from typing import Any

import numpy as np
import pytest
import torch

from visbench.models import IAI
from visbench.models.iai import Detections, IdentitySegmenter
from visbench.models.iai.targets import clip_targets
from visbench.registry import MODELS
from visbench.structures import Frame, VideoInfo
from visbench.testing.conformance.cases.iai import CASE, MODEL
from visbench.testing.conformance.scene import Scene, batch

NUM_IDS = MODEL["num_ids"]
SIZE = (64, 96)
VIDEO = VideoInfo(1, "video", *SIZE)


class Scripted(IdentitySegmenter):
    """Finds squares that the red channel numbers; every one says "new" unless told otherwise."""

    def __init__(self, num_classes: int, num_ids: int, identification: bool = True) -> None:
        super().__init__(num_classes, num_ids, identification)
        self.script: list[list[tuple[int, int]]] = []
        self.frames: list[bool] = []

    def forward(self, features: Any) -> Any:
        return features

    def loss(self, features: Any, batch_gt_instances: Any, batch_img_metas: Any) -> Any:
        return {"loss": features[0].sum() * 0 + len(batch_gt_instances)}

    def detect(self, features: Any, img_meta: dict, first_frame: bool) -> Detections:
        found = self.script[len(self.frames)]
        self.frames.append(first_frame)
        probabilities = torch.zeros(len(found), *img_meta["batch_input_shape"])
        ids = torch.zeros(len(found), self.num_ids)
        for row, (place, object_id) in enumerate(found):
            probabilities[row, :20, 20 * place : 20 * place + 15] = 1
            ids[row, object_id] = 0.9
        return Detections(
            boxes=torch.zeros(len(found), 4),
            scores=torch.ones(len(found)),
            class_scores=torch.full((len(found), self.num_classes), 0.5),
            id_scores=ids if self.identification else None,
            probabilities=probabilities,
        )


@pytest.fixture
def register() -> Any:
    MODELS.register_module(name="ScriptedSegmenter", module=Scripted, force=True)
    yield
    MODELS.module_dict.pop("ScriptedSegmenter")


def scripted(script: list[list[tuple[int, int]]], num_ids: int = 4, **fields: Any) -> IAI:
    segmenter = {"type": "ScriptedSegmenter", "num_classes": 2}
    segmenter["identification"] = fields.pop("identification", True)
    config = {**copy.deepcopy(MODEL), "segmenter": segmenter, "num_ids": num_ids, **fields}
    torch.manual_seed(0)
    model: IAI = MODELS.build(config)
    model.segmenter.script = script
    return model.eval()


def frames(number: int) -> list[Frame]:
    return [Frame(index, torch.zeros(3, *SIZE), SIZE, SIZE) for index in range(number)]


def ids_of(model: IAI) -> list[list[int]]:
    state = model.start(VIDEO)
    number = len(model.segmenter.script)
    return [model.step(frame, state).ids.tolist() for frame in frames(number)]


NEW = 3


def test_a_third_segmenter_needs_nothing_but_the_interface(register: None) -> None:
    model = scripted([[(0, NEW), (1, NEW)], [(1, 1), (0, 0)], [(2, NEW), (0, 0)]])
    assert ids_of(model) == [[0, 1], [1, 0], [2, 0]]
    assert model.segmenter.frames == [True, False, False]


def test_a_first_frame_without_detections(register: None) -> None:
    # Whatever the scores of ids say, nobody has one yet.
    model = scripted([[], [(0, 2), (1, 0)], [], [(0, 0)]])
    assert ids_of(model) == [[], [0, 1], [], [0]]


@pytest.mark.parametrize(
    ("overflow", "expected"), [("discard", [[0, 1, 2], [0, 2]]), ("share", [[0, 1], [0]])]
)
def test_more_objects_than_ids(register: None, overflow: str, expected: list[list[int]]) -> None:
    script = [[(place, NEW) for place in range(4)], [(0, 0), (2, 2)]]
    model = scripted(script, overflow=overflow)
    assert ids_of(model) == expected
    state = model.start(VIDEO)
    model.segmenter.frames.clear()
    for frame in frames(2):
        model.step(frame, state)
    video = model.finish(state)
    tracks = {track.id: track for track in video.tracks}
    assert sorted(tracks) == [0, 1, 2]
    empty = [all(mask is None for mask in tracks[i].masks or []) for i in range(3)]
    assert empty == [False, False, overflow == "share"]


def test_without_id_scores_ids_follow_the_overlap_of_masks(register: None) -> None:
    script = [[(0, 0), (1, 0)], [(1, 0), (0, 0)], [(1, 0), (2, 0)]]
    assert ids_of(scripted(script, identification=False)) == [[0, 1], [1, 0], [1, 2]]


def test_without_association_nothing_is_remembered(register: None) -> None:
    neck = {**MODEL["neck"], "in_channels": [16, 32, 64]}
    model = scripted([[(0, NEW)], [(0, 0)]], association=None, neck=neck)
    state = model.start(VIDEO)
    assert [model.step(frame, state).ids.tolist() for frame in frames(2)] == [[0], [0]]
    assert state.memory.empty


def test_state_is_constant_with_a_bound_and_grows_without(register: None) -> None:
    script = [[(0, NEW)], *[[(0, 0)]] * 23]
    sizes = {}
    for maximum in (None, 2):
        association = {**MODEL["association"], "max_global_frames": maximum}
        model, state = scripted(script, association=association), None
        state = model.start(VIDEO)
        sizes[maximum] = []
        for frame in frames(len(script)):
            model.step(frame, state)
            sizes[maximum].append(state.num_bytes())
    assert len(set(sizes[2][3:])) == 1
    assert sizes[None][-1] > 2 * sizes[None][5]


def test_scores_are_means_over_all_frames(register: None) -> None:
    model = scripted([[(0, NEW)], [], [(0, 0)], []])
    state = model.start(VIDEO)
    for frame in frames(4):
        model.step(frame, state)
    video = model.finish(state)
    assert [(p.label, p.score) for p in video.predictions] == [(0, 0.25), (1, 0.25)]
    (track,) = video.tracks
    assert track.masks is not None
    assert [mask is None for mask in track.masks] == [False, True, False, True]


def prepared(model: IAI, seed: int, number: int) -> list[Frame]:
    return [model.prepare(frame) for frame in Scene(seed, number).frames()]


def test_interleaved_and_restored_videos_are_those_alone() -> None:
    model = CASE.build_online()
    videos = [prepared(model, seed, 5) for seed in (0, 1)]
    alone = [model.segment(VIDEO, video).to_dict() for video in videos]
    states = [model.start(VIDEO) for _ in videos]
    for index, pair in enumerate(zip(*videos, strict=True)):
        for which, frame in enumerate(pair):
            model.step(frame, states[which])
        if index == 2:
            stream = io.BytesIO()
            torch.save(states[0].state_dict(), stream)
            stream.seek(0)
            states[0] = model.start(VIDEO)
            states[0].load_state_dict(torch.load(stream, weights_only=True))
    assert [model.finish(state).to_dict() for state in states] == alone


def clips(model: IAI, length: int) -> tuple[torch.Tensor, list[Any]]:
    scenes = [Scene(seed, length) for seed in (0, 1)]
    data = model.data_preprocessor(batch(scenes, range(length)), training=True)
    return data["inputs"], data["data_samples"]


def losses(model: IAI, inputs: torch.Tensor, samples: list[Any]) -> dict[str, float]:
    with torch.no_grad():
        return {name: float(value) for name, value in model.loss(inputs, samples).items()}


def test_clips_of_any_length_can_be_trained_on() -> None:
    model = CASE.build()
    for length in (1, 2, 4):
        values = losses(model, *clips(model, length))
        assert np.isfinite(list(values.values())).all()


def test_loss_is_the_mean_over_the_frames() -> None:
    model = CASE.build()
    inputs, samples = clips(model, 1)
    first = losses(model, inputs, samples)
    inputs, samples = clips(model, 2)
    second = losses(model, inputs, samples)
    assert first.keys() == second.keys()
    with torch.no_grad():
        steps = model.step_losses(inputs, clip_targets(samples, NUM_IDS, torch.device("cpu")))
    for name, value in second.items():
        assert np.isclose(value, np.mean([float(step[name]) for step in steps]), rtol=1e-5)
        assert np.isclose(first[name], float(steps[0][name]), rtol=1e-4)


@pytest.mark.parametrize("field", ["new_objects_in_training", "padding_id"])
def test_reference_options_change_the_loss(field: str) -> None:
    model = CASE.build()
    inputs, samples = clips(model, 4)
    for sample in samples:  # the second object appears in frame 1
        sample[0].gt_instances = sample[0].gt_instances[:1]
        for frame in sample:  # the bank does not see the last half of a cell
            frame.set_metainfo({"img_shape": (40, 60)})
    clean = losses(model, inputs, samples)
    setattr(model, field, {"new_objects_in_training": False, "padding_id": 0}[field])
    reference = losses(model, inputs, samples)
    assert any(not np.isclose(clean[name], reference[name], rtol=1e-6) for name in clean)


@pytest.mark.parametrize("length", [1, 2])
def test_the_shortest_clips_train_every_parameter(length: int) -> None:
    # Distributed training stops at parameters that are not in the graph.
    model = CASE.build()
    loss, _ = model.parse_losses(model.loss(*clips(model, length)))
    loss.backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize(
    ("as_at_test", "expected"), [(True, [False, True]), (False, [True, False])]
)
def test_what_the_reference_takes_for_new_objects(
    as_at_test: bool, expected: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = CASE.build()
    model.new_objects_in_training = as_at_test
    inputs, samples = clips(model, 3)
    steps = clip_targets(samples, NUM_IDS, torch.device("cpu"))
    steps = [
        step._replace(new=new, past_ids=not new)
        for step, new in zip(steps, [False, True, True], strict=True)
    ]
    told = []
    monkeypatch.setattr(model, "remember", lambda *arguments: told.append(arguments[-1]))
    with torch.no_grad():
        model.step_losses(inputs, steps)
    assert told == expected


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_ids": 2}, "num_ids=2 must be at least 3"),
        ({"overflow": "keep"}, "overflow='keep' is not one of"),
        ({"padding_id": 9}, "padding_id=9 must be from 0 to num_ids=8, or None"),
        ({"max_per_video": 0}, "max_per_video=0 must be a number at least 1"),
        ({"visible_fraction": 1.5}, "visible_fraction=1.5 must be a number from 0 to 1"),
        ({"video_score_thr": None}, "video_score_thr=None must be a number at least 0"),
        ({"segmenter": {**MODEL["segmenter"], "num_ids": 4}}, "segmenter.num_ids=4 contradicts"),
        ({"segmenter": {"type": "ResNet"}}, "segmenter.type='ResNet' is no IdentitySegmenter"),
        (
            {"neck": {**MODEL["neck"], "in_channels": [16, 32, 64]}},
            r"neck.in_channels=\[16, 32, 64\] must end with 48",
        ),
    ],
)
def test_settings_that_make_no_sense_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        MODELS.build({**copy.deepcopy(MODEL), **copy.deepcopy(fields)})
