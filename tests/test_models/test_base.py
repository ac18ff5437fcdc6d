# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
import torch

from visbench.models import OnlineVISModel, VideoState
from visbench.structures import Frame, FrameInstances, Prediction, VideoInfo, VideoTracks
from visbench.testing.conformance.case import prepared, video_of
from visbench.testing.conformance.scene import ORIGINAL_SIZE, SIZE, Scene


class Brightness(OnlineVISModel):
    """Emits one track whose score is the frame's mean; remembers what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[Any, ...]] = []

    def loss(self, inputs: torch.Tensor, data_samples: list) -> dict:
        return {"loss": inputs.mean()}

    def forward_frames(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean(dim=(1, 2, 3))

    def start(self, video: VideoInfo) -> VideoState:
        return VideoState(video)

    def step(self, frame: Frame, state: VideoState) -> FrameInstances:
        self.seen.append((frame.index, frame.valid_size, frame.original_size))
        score = self.forward_frames(frame.image[None]).sigmoid()
        instances = FrameInstances([0], [0], score, [[0, 0, 1, 1]])
        state.recorder.add(frame.index, instances)
        return instances

    def finish(self, state: VideoState) -> VideoTracks:
        score = state.recorder.mean_score(0)
        return VideoTracks(state.video, state.recorder.tracks(), [Prediction(0, 0, score)])


@pytest.fixture
def model() -> Brightness:
    return Brightness()


def test_segment_steps_through_an_iterator(model: Brightness) -> None:
    frames = prepared(model, Scene(0, 3))
    tracks = model.segment(video_of(frames), iter(frames))
    assert [seen[0] for seen in model.seen] == [0, 1, 2]
    assert len(tracks.tracks[0]) == 3


def test_predict_hands_on_sizes_and_returns_the_samples(model: Brightness) -> None:
    scenes = [Scene(0, 2), Scene(1, 2)]
    inputs = torch.stack(
        [torch.stack([frame.image for frame in prepared(model, scene)]) for scene in scenes]
    )
    samples = [scene.sample([0, 1]) for scene in scenes]
    samples[1][0].set_metainfo({"video_id": 9})
    results = model(inputs, samples, mode="predict")
    assert model.seen == [(index, SIZE, ORIGINAL_SIZE) for index in (0, 1, 0, 1)]
    assert [sample.video_tracks.video.video_id for sample in results] == [1, 9]
    assert results[0].video_tracks.video.length == 2
    assert results is samples


def test_modes(model: Brightness) -> None:
    inputs = torch.rand(2, 3, 3, 32, 32)
    assert model(inputs, mode="tensor").shape == (6,)
    assert model(inputs, [], mode="loss")["loss"] == inputs.mean()
    with pytest.raises(ValueError, match=r"mode must be.*'train'"):
        model(inputs, mode="train")


def test_prepare_normalises_and_pads(model: Brightness) -> None:
    frame = Scene(0, 1).frames()[0]
    prepared_frame = model.prepare(frame)
    assert prepared_frame.image.shape == (3, 64, 96)
    assert prepared_frame.valid_size == SIZE
    assert not prepared_frame.image[:, SIZE[0] :].any()
    assert not prepared_frame.image[:, :, SIZE[1] :].any()
    red, red_mean, red_std = frame.image[2], 123.675, 58.395
    expected = (red.float() - red_mean) / red_std
    torch.testing.assert_close(prepared_frame.image[0, : SIZE[0], : SIZE[1]], expected)
    assert frame.image.dtype == torch.uint8
