# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from visbench.models.propose_reduce.association import (
    AllKeyFrames,
    EvenKeyFrames,
    IntervalKeyFrames,
    MeanOverMask,
    MeanOverVideo,
    predictions_of,
)
from visbench.registry import TASK_UTILS


@given(st.integers(0, 60), st.integers(1, 80))
@settings(deadline=None)
def test_key_frames_are_ascending_frames_of_the_video(length: int, count: int) -> None:
    for choose in (EvenKeyFrames(count), IntervalKeyFrames(count), AllKeyFrames()):
        frames = choose(length)
        assert frames == sorted(set(frames))
        assert set(frames) <= set(range(length))
        assert bool(frames) == bool(length)
        if length:
            assert frames[0] == 0
    if length > 1 < count:
        assert EvenKeyFrames(count)(length)[-1] >= length - 2
    if count >= length:
        assert IntervalKeyFrames(count)(length) == list(range(length))


@pytest.mark.parametrize(
    ("config", "length", "expected"),
    [
        ({"type": "EvenKeyFrames", "num_key_frames": 5}, 36, [0, 8, 17, 26, 35]),
        ({"type": "EvenKeyFrames", "num_key_frames": 4}, 3, [0, 1, 2]),
        ({"type": "EvenKeyFrames", "num_key_frames": 4, "repeat": True}, 3, [0, 0, 1, 2]),
        ({"type": "EvenKeyFrames", "num_key_frames": 3, "repeat": True}, 1, [0, 0, 0]),
        ({"type": "EvenKeyFrames", "num_key_frames": 1}, 36, [0]),
        ({"type": "EvenKeyFrames", "num_key_frames": 56}, 15, list(range(14))),
        ({"type": "IntervalKeyFrames", "num_key_frames": 6}, 36, [0, 6, 12, 18, 24, 30]),
        ({"type": "IntervalKeyFrames", "num_key_frames": 5}, 9, [0, 1, 2, 3, 4]),
        ({"type": "IntervalKeyFrames", "num_key_frames": 5}, 1, [0]),
        ({"type": "AllKeyFrames"}, 3, [0, 1, 2]),
    ],
)
def test_key_frames_by_config(config: dict, length: int, expected: list[int]) -> None:
    component = TASK_UTILS.build({**config, "type": f"visbench.{config['type']}"})
    assert component(length) == expected


@pytest.mark.parametrize("component", [EvenKeyFrames, IntervalKeyFrames])
def test_no_key_frame_is_refused(component: Any) -> None:
    with pytest.raises(ValueError, match="num_key_frames must be at least 1, got 0"):
        component(0)


PROBABILITIES = np.array(
    [
        [[0.5, 0.1, 0.4], [0.2, 0.2, 0.6], [0.9, 0.1, 0.0]],
        [[0.7, 0.3, 0.0], [0.0, 0.0, 0.0], [np.nan, np.nan, np.nan]],
    ]
)
VISIBLE = np.array([[True, True, False], [True, False, False]])


def test_mean_over_the_mask() -> None:
    scores = MeanOverMask()(PROBABILITIES, VISIBLE)
    np.testing.assert_allclose(scores, [[0.6, 0.2, 0.2], [0.2, 0.2, 0.6], [0, 0, 1]], rtol=1e-6)
    assert scores.dtype == np.float32


def test_mean_over_the_video_counts_absence_as_background() -> None:
    scores = MeanOverVideo()(torch.from_numpy(PROBABILITIES), torch.from_numpy(VISIBLE))
    np.testing.assert_allclose(scores, [[0.6, 0.2, 0.2], [0.1, 0.1, 0.8], [0, 0, 1]], rtol=1e-6)


@pytest.mark.parametrize("scorer", [MeanOverMask(), MeanOverVideo()])
def test_scorers_without_sequences_and_with_wrong_shapes(scorer: Any) -> None:
    assert scorer(np.zeros((4, 0, 3)), np.zeros((4, 0))).shape == (0, 3)
    with pytest.raises(ValueError, match=r"got \(2, 3, 3\) and \(3, 2\)"):
        scorer(PROBABILITIES, VISIBLE.T)


def test_every_class_at_the_threshold_is_reported() -> None:
    scores = np.array([[0.5, -1.0, 0.9], [0.3, 0.5, 0.0], [0.1, 0.2, 0.9]])
    assert predictions_of(scores, 0.3) == [(0, 0, 0.5), (1, 0, 0.3), (1, 1, 0.5)]
    assert predictions_of(scores, 0.3, max_predictions=2) == [(0, 0, 0.5), (1, 1, 0.5)]
    assert predictions_of(scores, 0.3, max_predictions=1) == [(0, 0, 0.5)]
    assert predictions_of(scores, 0.6) == []
    assert predictions_of(np.zeros((0, 3)), 0.3) == []
