# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch

from visbench.models.idol import FrameAssociation
from visbench.models.idol.assembly import ClassScores, IDOLState
from visbench.structures import Frame, FrameInstances, VideoInfo, decode_mask

SIZE = (16, 24)
VIDEO = VideoInfo(3, "made up", 32, 48)
NOWHERE = -20.0


def outputs(present: dict[int, float], spread: float = 6.0) -> tuple[Any, ...]:
    """Return what the network says of a frame with objects 0, 1, 2, ... of some probability."""
    probabilities = torch.full((6, 3), 0.01)
    boxes = torch.full((6, 4), 0.1)
    masks = torch.full((6, 4, 6), NOWHERE)
    for number, score in present.items():
        probabilities[number, number % 3] = score
        boxes[number] = torch.tensor([0.1 + 0.15 * number, 0.5, 0.1, 0.5])
        masks[number, :, number] = 20.0
    return probabilities.logit(), boxes, torch.eye(6) * spread, masks.__getitem__


def step(
    association: FrameAssociation, state: IDOLState, present: dict[int, float]
) -> FrameInstances:
    index = state.recorder.num_frames
    frame = Frame(index, torch.zeros(3, *SIZE), (16, 20), (32, 48))
    return association.step(*outputs(present), frame, state)


def test_instances_are_in_original_pixels() -> None:
    association = FrameAssociation()
    state = association.start(VIDEO)
    instances = step(association, state, {1: 0.9, 3: 0.8})
    assert instances.ids.tolist() == [0, 1]
    assert instances.labels.tolist() == [1, 0]
    assert np.allclose(instances.boxes[0], [0.2 * 48, 8, 0.3 * 48, 24], atol=1e-4)
    mask = decode_mask(instances.masks[0])
    assert mask.shape == (32, 48)
    assert mask.any()
    # Column 1 of 6 covers pixels 4 to 8 of the 24 padded ones, of which 20 are image.
    assert set(np.flatnonzero(mask.any(axis=0))) <= set(range(int(2 * 2.4), int(10 * 2.4)))


def test_scores_are_means_and_every_class_above_the_threshold_is_reported() -> None:
    association = FrameAssociation(class_threshold=0.3)
    state = association.start(VIDEO)
    for score in (0.9, 0.5):
        step(association, state, {0: score, 1: 0.4})
    tracks = association.finish(state)
    assert [p.track_index for p in tracks.predictions] == [0, 1]
    assert [p.score for p in tracks.predictions] == pytest.approx([0.7, 0.4], abs=1e-5)
    everything = FrameAssociation(class_threshold=0.0).finish(state)
    assert len(everything.predictions) == 6
    best = FrameAssociation(multi_class=False, class_threshold=2.0).finish(state)
    assert [(p.track_index, p.label) for p in best.predictions] == [(0, 0), (1, 1)]


def test_largest_score_may_be_reported() -> None:
    association = FrameAssociation(score_reduce="max", multi_class=False)
    state = association.start(VIDEO)
    for score in (0.5, 0.9, 0.6):
        step(association, state, {0: score})
    assert association.finish(state).predictions[0].score == pytest.approx(0.9)
    with pytest.raises(ValueError, match="score_reduce='median'"):
        FrameAssociation(score_reduce="median")


def test_short_track_is_dropped_and_begins_anew_when_it_returns() -> None:
    association = FrameAssociation()
    state = association.start(VIDEO)
    present = {0: 0.9, 1: 0.9}
    for index in range(13):
        instances = step(association, state, {2: 0.8, **(present if index in (4, 5, 11) else {})})
    assert instances.ids.tolist() == [0]
    tracks = association.finish(state)
    # Seen twice, then away: dropped after frame 9 and remembered by the tracker until 15.
    assert [track.id for track in tracks.tracks] == [0, 1, 2]
    for track in tracks.tracks[1:]:
        assert [i for i, mask in enumerate(track.masks) if mask is not None] == [11]


def test_track_of_three_frames_stays() -> None:
    association = FrameAssociation()
    state = association.start(VIDEO)
    for index in range(14):
        step(association, state, {2: 0.8, **({0: 0.9} if index < 3 else {})})
    assert len(association.finish(state).tracks) == 2


def test_many_frames_without_a_detection() -> None:
    association = FrameAssociation()
    state = association.start(VIDEO)
    for _ in range(15):
        assert len(step(association, state, {})) == 0
    tracks = association.finish(state)
    assert tracks.video.length == 15
    assert tracks.tracks == tracks.predictions == []
    assert len(step(association, state, {1: 0.9})) == 1


def test_state_restores_through_a_file_and_is_bounded() -> None:
    association = FrameAssociation()
    state = association.start(VIDEO)
    sizes = []
    for index in range(40):
        step(association, state, {0: 0.9, 1 + index // 20: 0.8})
        sizes.append(state.num_bytes())
    assert sizes[-1] <= max(sizes[:22])
    buffer = io.BytesIO()
    torch.save(state.state_dict(), buffer)
    buffer.seek(0)
    other = association.start(VIDEO)
    other.load_state_dict(torch.load(buffer, weights_only=True))
    for present in ({1: 0.7}, {}, {0: 0.9, 4: 0.6}):
        one, two = (step(association, each, present) for each in (state, other))
        assert np.array_equal(one.ids, two.ids)
    assert association.finish(state).to_dict() == association.finish(other).to_dict()


def test_class_scores_of_new_and_known_tracks() -> None:
    scores = ClassScores()
    scores.add(0, [4, 2], np.array([[0.1, 0.9], [0.5, 0.5]]), "mean")
    scores.add(1, [2, 7], np.array([[0.3, 0.1], [1.0, 0.0]]), "mean")
    assert scores.ids == [4, 2, 7]
    assert np.allclose(scores.scores("mean"), [[0.1, 0.9], [0.4, 0.3], [1, 0]])
    assert scores.prune(8) == []
    assert scores.prune(9) == [4, 2, 7]
    assert scores.scores("mean").shape == (0, 2)


def test_outputs_that_are_not_finite_are_refused() -> None:
    association = FrameAssociation()
    state = association.start(VIDEO)
    logits, *others = outputs({0: 0.9})
    logits[2, 1] = torch.nan
    frame = Frame(0, torch.zeros(3, *SIZE), SIZE, (32, 48))
    with pytest.raises(FloatingPointError, match="NaN or infinite"):
        association.step(logits, *others, frame, state)
