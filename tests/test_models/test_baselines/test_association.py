# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from mmdet.models.trackers import MaskTrackRCNNTracker
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from visbench.models.baselines.association import MaskTrackState, associate
from visbench.structures import VideoInfo


class Model:
    """Its RoI features are the box coordinates, its similarity a constant."""

    def __init__(self) -> None:
        self.track_head = SimpleNamespace(
            extract_roi_feats=lambda feats, boxes: (boxes[0].clone(), [len(boxes[0])]),
            predict=lambda feats, previous: torch.zeros(len(feats), len(previous) + 1),
        )


def tracker() -> MaskTrackRCNNTracker:
    return MaskTrackRCNNTracker(
        match_weights={"det_score": 1.0, "iou": 2.0, "det_label": 10.0}, num_frames_retain=3
    )


def frame(index: int, lefts: list[float], scores: list[float] | None = None) -> DetDataSample:
    """Return detections of 10x10 boxes at the given left sides, all of class 0."""
    sample = DetDataSample(metainfo={"frame_id": index, "scale_factor": (1.0, 1.0)})
    sample.pred_instances = InstanceData(
        bboxes=torch.tensor([[left, 0, left + 10, 10] for left in lefts]).reshape(-1, 4),
        labels=torch.zeros(len(lefts), dtype=torch.long),
        scores=torch.tensor(scores if scores is not None else [0.9] * len(lefts)),
        masks=torch.zeros(len(lefts), 12, 50, dtype=torch.bool),
    )
    return sample


@pytest.fixture
def state() -> MaskTrackState:
    return MaskTrackState(VideoInfo(1, "clip", 12, 50))


def ids(state: MaskTrackState, *args: Any) -> list[int]:
    return associate(tracker(), Model(), None, frame(*args), state).instances_id.tolist()


def test_identities_follow_the_boxes(state: MaskTrackState) -> None:
    assert ids(state, 0, [0.0, 30.0]) == [0, 1]
    assert ids(state, 1, [31.0, 1.0]) == [1, 0]
    assert list(state.tracks) == [0, 1]
    assert state.tracks[1]["bboxes"].tolist() == [[31, 0, 41, 10]]


def test_loser_of_a_contest_is_dropped(state: MaskTrackState) -> None:
    ids(state, 0, [0.0])
    found = associate(tracker(), Model(), None, frame(1, [0.0, 2.0]), state)
    assert found.instances_id.tolist() == [0]
    assert found.bboxes[:, 0].tolist() == [0.0]


def test_of_two_detections_with_one_id_the_better_is_emitted(state: MaskTrackState) -> None:
    ids(state, 0, [0.0])
    found = associate(tracker(), Model(), None, frame(1, [2.0, 0.0]), state)
    assert found.instances_id.tolist() == [0]
    assert found.bboxes[:, 0].tolist() == [0.0]
    assert state.tracks[0]["bboxes"][:, 0].tolist() == [0.0]


def test_frame_without_detections_leaves_the_memory_alone(state: MaskTrackState) -> None:
    assert ids(state, 0, []) == []
    assert ids(state, 1, [0.0]) == [0]
    assert ids(state, 2, []) == []
    assert ids(state, 3, [1.0]) == [0]


def test_unseen_track_is_forgotten_and_its_id_not_used_again(state: MaskTrackState) -> None:
    assert ids(state, 0, [0.0, 30.0]) == [0, 1]
    for index in (1, 2):
        assert ids(state, index, [0.0]) == [0]
        assert list(state.tracks) == [0, 1]
    assert ids(state, 3, [0.0]) == [0]
    assert list(state.tracks) == [0]
    other = frame(4, [30.0])
    other.pred_instances.labels += 1
    new = associate(tracker(), Model(), None, other, state)
    assert new.instances_id.tolist() == [2]


def test_memory_holds_one_entry_per_track_and_tracker_stays_empty(state: MaskTrackState) -> None:
    template = tracker()
    for index in range(20):
        associate(template, Model(), None, frame(index, [0.0, 30.0]), state)
    assert template.empty
    assert template.num_tracks == 0
    for track in state.tracks.values():
        assert all(len(value) == 1 for value in track.values())
        assert all(value.untyped_storage().nbytes() <= 32 for value in track.values())
