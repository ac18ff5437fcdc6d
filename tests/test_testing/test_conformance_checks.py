# SPDX-License-Identifier: Apache-2.0
"""Every check of the conformance kit fails for a model with the defect that it is for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch

from visbench.models import OnlineVISModel, VideoState
from visbench.structures import (
    Frame,
    FrameInstances,
    Prediction,
    VideoInfo,
    VideoTracks,
    encode_masks,
)
from visbench.testing.conformance import CHECKS, ConformanceCase


@dataclass
class ToyState(VideoState):
    previous: torch.Tensor = field(default_factory=lambda: torch.zeros(()))


class Toy(OnlineVISModel):
    """Two tracks, left and right of the frame; scores depend on this and the previous frame."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(3))
        self.silent = False

    def loss(self, inputs: torch.Tensor, data_samples: list) -> dict:
        return {"loss": (inputs.mean(dim=(0, 1, 3, 4)) * self.weight).square().sum()}

    def forward_frames(self, images: torch.Tensor) -> torch.Tensor:
        return torch.einsum("nchw,c->n", images, self.weight) / images[0].numel()

    def start(self, video: VideoInfo) -> ToyState:
        return ToyState(video)

    def step(self, frame: Frame, state: ToyState) -> FrameInstances:  # type: ignore[override]
        with torch.no_grad():
            value = self.forward_frames(frame.image[None])[0]
        score = torch.sigmoid(value + state.previous)
        state.previous = value
        masks = torch.zeros(2, *frame.original_size, dtype=torch.bool)
        half = frame.original_size[1] // 2
        masks[0, :, : half + frame.index] = masks[1, :, half + frame.index :] = True
        instances = FrameInstances(
            [4, 7], [0, 1], [score, 1 - score], [[0, 0, 1, 1]] * 2, encode_masks(masks)
        )
        instances = FrameInstances.empty() if self.silent else instances
        state.recorder.add(frame.index, instances)
        return instances

    def finish(self, state: ToyState) -> VideoTracks:  # type: ignore[override]
        recorder = state.recorder
        predictions = [
            Prediction(index, recorder.majority_label(track), recorder.mean_score(track))
            for index, track in enumerate(recorder.ids)
        ]
        video = replace(state.video, length=recorder.num_frames)
        return VideoTracks(video, recorder.tracks(), predictions)


def silence(model: Any) -> None:
    model.silent = True


def case_of(kind: type[Toy]) -> ConformanceCase:
    return ConformanceCase(kind.__name__, model={"type": kind}, silence=silence)


def failing_checks(kind: type[Toy]) -> set[str]:
    failed = set()
    for check in CHECKS:
        try:
            check(case_of(kind))
        except (AssertionError, ValueError):
            failed.add(check.__name__)
    return failed


def test_correct_model_passes() -> None:
    assert failing_checks(Toy) == set()


DEFECTS: dict[str, type[Toy]] = {}


def breaks(check: str) -> Callable[[type[Toy]], type[Toy]]:
    def register(kind: type[Toy]) -> type[Toy]:
        DEFECTS[check] = kind
        return kind

    return register


@breaks("check_loss_reaches_parameters")
class UnusedParameter(Toy):
    def __init__(self) -> None:
        super().__init__()
        self.unused = torch.nn.Parameter(torch.ones(1))


@breaks("check_loss_without_objects")
class DividesByObjects(Toy):
    def loss(self, inputs: torch.Tensor, data_samples: list) -> dict:
        number = sum(len(frame.gt_instances) for sample in data_samples for frame in sample)
        return {"loss": super().loss(inputs, data_samples)["loss"] / torch.tensor(float(number))}


@breaks("check_loss_is_deterministic")
class LossOfItsOwnGenerator(Toy):
    generator = torch.Generator().manual_seed(0)

    def loss(self, inputs: torch.Tensor, data_samples: list) -> dict:
        noise = torch.rand(3, generator=self.generator)
        return {"loss": (inputs.mean(dim=(0, 1, 3, 4)) * noise * self.weight).sum()}


@breaks("check_something_is_found")
class FindsNothing(Toy):
    def __init__(self) -> None:
        super().__init__()
        self.silent = True


@breaks("check_results_are_valid")
class ScoresAboveOne(Toy):
    def finish(self, state: ToyState) -> VideoTracks:  # type: ignore[override]
        tracks = super().finish(state)
        tracks.predictions = [p._replace(score=p.score + 1) for p in tracks.predictions]
        return tracks


@breaks("check_single_frame")
class NeedsTwoFrames(Toy):
    def finish(self, state: ToyState) -> VideoTracks:  # type: ignore[override]
        if state.recorder.num_frames == 1:
            raise ValueError("too short")
        return super().finish(state)


@breaks("check_no_frame")
class NeedsAFrame(Toy):
    def finish(self, state: ToyState) -> VideoTracks:  # type: ignore[override]
        if state.recorder.num_frames == 0:
            raise ValueError("no frame")
        return super().finish(state)


@breaks("check_black_frames")
class RefusesBlackFrames(Toy):
    def step(self, frame: Frame, state: ToyState) -> FrameInstances:  # type: ignore[override]
        if frame.image[:, 0, 0].equal(frame.image[:, 30, 40]):
            raise ValueError("black")
        return super().step(frame, state)


@breaks("check_nothing_found")
class CannotFindNothing(Toy):
    def finish(self, state: ToyState) -> VideoTracks:  # type: ignore[override]
        if state.recorder.num_frames and not state.recorder.ids:
            raise ValueError("no track")
        return super().finish(state)


@breaks("check_unknown_length")
class CountsOnLength(Toy):
    def finish(self, state: ToyState) -> VideoTracks:  # type: ignore[override]
        tracks = super().finish(state)
        if state.video.length is None and tracks.tracks:
            tracks.predictions = tracks.predictions[:1]
        return tracks


@breaks("check_result_is_deterministic")
class RemembersEarlierVideos(Toy):
    def __init__(self) -> None:
        super().__init__()
        self.videos = 0

    def segment(self, video: VideoInfo, frames: Iterable[Frame]) -> VideoTracks:
        self.videos += 1
        tracks = super().segment(video, frames)
        tracks.predictions = [p._replace(score=p.score / self.videos) for p in tracks.predictions]
        return tracks


@breaks("check_weights_stay")
class CountsInABuffer(Toy):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(()))

    def step(self, frame: Frame, state: ToyState) -> FrameInstances:  # type: ignore[override]
        self.count += 1
        return super().step(frame, state)


@breaks("check_predict_equals_segment")
class PredictsOtherwise(Toy):
    def predict(self, inputs: torch.Tensor, data_samples: list) -> list:
        return super().predict(inputs * 0.5, data_samples)


@breaks("check_forward_frames")
class ForwardWithoutOutput(Toy):
    def forward(self, inputs: Any, data_samples: Any = None, mode: str = "tensor") -> Any:
        return {} if mode == "tensor" else super().forward(inputs, data_samples, mode)


@breaks("check_streamed_equals_whole")
class SegmentsOtherwise(Toy):
    def segment(self, video: VideoInfo, frames: Iterable[Frame]) -> VideoTracks:
        tracks = super().segment(video, frames)
        tracks.predictions = tracks.predictions[::-1]
        return tracks


class HiddenState(ToyState):
    """``hidden`` is no field of the dataclass, so it is not saved."""

    hidden = 0


@breaks("check_restored_equals_whole")
class KeepsPartOfTheState(Toy):
    def start(self, video: VideoInfo) -> HiddenState:
        return HiddenState(video)

    def step(self, frame: Frame, state: HiddenState) -> FrameInstances:  # type: ignore[override]
        state.hidden += 1
        return super().step(frame.with_image(frame.image + state.hidden), state)


class SharedState(ToyState):
    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "previous": self.previous}


@breaks("check_saved_state_is_apart")
class SavesWithoutACopy(Toy):
    def start(self, video: VideoInfo) -> SharedState:
        return SharedState(video, previous=torch.zeros(()))

    def step(self, frame: Frame, state: SharedState) -> FrameInstances:  # type: ignore[override]
        memory = state.previous
        instances = super().step(frame, state)
        state.previous = memory.copy_(state.previous)
        return instances


@breaks("check_interleaved_videos")
class RemembersInTheModule(Toy):
    def step(self, frame: Frame, state: ToyState) -> FrameInstances:  # type: ignore[override]
        state.previous = getattr(self, "last", state.previous) if frame.index else state.previous
        instances = super().step(frame, state)
        self.last = state.previous
        return instances


@breaks("check_prefix_invariance")
class ChangesWhatWasEmitted(Toy):
    def step(self, frame: Frame, state: ToyState) -> FrameInstances:  # type: ignore[override]
        instances = super().step(frame, state)
        if frame.index:
            vars(state).get("last", instances).scores[:] = 0
        vars(state)["last"] = instances
        return instances


@breaks("check_frames_without_findings")
class CannotPause(Toy):
    def finish(self, state: ToyState) -> VideoTracks:  # type: ignore[override]
        tracks = super().finish(state)
        if any(None in (track.masks or []) for track in tracks.tracks):
            raise ValueError("a gap")
        return tracks


@breaks("check_finish_keeps_what_was_emitted")
class RenamesInTheEnd(Toy):
    def finish(self, state: ToyState) -> VideoTracks:  # type: ignore[override]
        tracks = super().finish(state)
        for track in tracks.tracks:
            track.id += 1
        return tracks


@breaks("check_frames_in_order")
class TakesFramesInAnyOrder(Toy):
    def step(self, frame: Frame, state: ToyState) -> FrameInstances:  # type: ignore[override]
        return super().step(replace(frame, index=state.recorder.num_frames), state)


def test_every_check_has_a_defect() -> None:
    assert set(DEFECTS) == {check.__name__ for check in CHECKS}


@pytest.mark.parametrize("check", DEFECTS)
def test_check_fails_for_its_defect(check: str) -> None:
    assert check in failing_checks(DEFECTS[check])


class ChangesAMaskInTheEnd(Toy):
    def finish(self, state: ToyState) -> VideoTracks:  # type: ignore[override]
        tracks = super().finish(state)
        masks = tracks.tracks[0].masks if tracks.tracks else None
        if masks:
            masks[0] = tracks.tracks[1].masks[0]
        return tracks


class ListsAReachedParameter(Toy):
    @classmethod
    def parameters_without_gradient(cls, config: dict) -> dict[str, str]:
        return {"weight": "thought to be unused"}


class ListsAnUnknownParameter(Toy):
    @classmethod
    def parameters_without_gradient(cls, config: dict) -> dict[str, str]:
        return {"old_head.*": "was there once"}


class ListsWithoutAReason(UnusedParameter):
    @classmethod
    def parameters_without_gradient(cls, config: dict) -> dict[str, str]:
        return {"unused": " "}


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        (ChangesAMaskInTheEnd, "check_finish_keeps_what_was_emitted"),
        (ListsAReachedParameter, "check_loss_reaches_parameters"),
        (ListsAnUnknownParameter, "check_loss_reaches_parameters"),
        (ListsWithoutAReason, "check_loss_reaches_parameters"),
    ],
)
def test_further_defects(kind: type[Toy], check: str) -> None:
    assert check in failing_checks(kind)


def test_a_listed_parameter_may_go_without_gradient() -> None:
    class Listed(UnusedParameter):
        @classmethod
        def parameters_without_gradient(cls, config: dict) -> dict[str, str]:
            return {"unu*": "kept for old checkpoints"}

    assert failing_checks(Listed) == set()
