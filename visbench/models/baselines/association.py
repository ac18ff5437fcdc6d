# SPDX-License-Identifier: Apache-2.0
"""How identities come about in MaskTrack R-CNN: MMDetection's tracker over an explicit memory."""

from __future__ import annotations

import copy
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import torch
from mmdet.models.trackers import MaskTrackRCNNTracker
from mmengine.structures import InstanceData
from torch import Tensor

from visbench.models.state import VideoState

REMEMBERED = ("bboxes", "labels", "roi_feats", "frame_ids")
"""What of a track later frames are compared with; all else the tracker stores is output."""


@dataclass
class MaskTrackState(VideoState):
    """State of one video in MaskTrack R-CNN. Memory is bounded by the tracks still remembered.

    Args:
        num_tracks: Number of ids given so far, which is the next id.
        tracks: By id, in the order of first appearance: the latest ``bboxes`` ``(1, 4)`` in
            original pixels, ``labels`` ``(1,)``, ``roi_feats`` ``(1, C, h, w)`` and ``frame_ids``
            ``(1,)``.
    """

    num_tracks: int = 0
    tracks: dict[int, dict[str, Tensor]] = field(default_factory=dict)


def associate(
    tracker: MaskTrackRCNNTracker,
    model: torch.nn.Module,
    feats: Any,
    data_sample: Any,
    state: MaskTrackState,
) -> InstanceData:
    """Run MMDetection's tracker on one frame with the memory of one video.

    The tracker object is a template and stays as it is: a copy is filled from ``state``, used for
    one frame and read back. As in MMDetection a frame without detections leaves the memory alone,
    a detection that loses the contest for a track to an earlier, better one is dropped, and a
    track unseen for ``num_frames_retain`` frames is forgotten (its id is not used again). Where a
    later detection beats an earlier one MMDetection emits both under the same id; here the winner,
    which is also what the memory keeps, is the only one emitted.

    Args:
        tracker: Holds ``match_weights`` and ``num_frames_retain``.
        model: Has the ``track_head``.
        feats: Feature levels of the frame, each ``(1, C, h, w)``.
        data_sample: Has ``pred_instances`` in original pixels, ``frame_id`` and ``scale_factor``.
        state: Changed in place.

    Returns:
        The kept detections with unique ``instances_id``.
    """
    tracker = _with_memory(tracker, state)
    instances = tracker.track(model=model, feats=feats, data_sample=data_sample)
    state.num_tracks = tracker.num_tracks
    state.tracks = {
        track_id: {name: track[name][-1].clone() for name in REMEMBERED}
        for track_id, track in tracker.tracks.items()
    }
    return instances[_last_of_each(instances.instances_id)]


def _with_memory(tracker: MaskTrackRCNNTracker, state: MaskTrackState) -> MaskTrackRCNNTracker:
    tracker = copy.copy(tracker)
    tracker.num_tracks = state.num_tracks
    tracker.tracks = {
        track_id: defaultdict(list, {name: [value] for name, value in track.items()})
        for track_id, track in state.tracks.items()
    }
    return tracker


def _last_of_each(ids: Tensor) -> Tensor:
    last = {track_id: position for position, track_id in enumerate(ids.tolist())}
    return torch.tensor(sorted(last.values()), dtype=torch.long, device=ids.device)
