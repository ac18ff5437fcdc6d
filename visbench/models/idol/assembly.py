# SPDX-License-Identifier: Apache-2.0
"""From the outputs for a frame to instances, and from the frames of a video to its result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchvision.ops import box_convert

from visbench.models.idol.association import IDOLTracker, mask_overlaps, select_queries
from visbench.models.idol.masks import binary_masks
from visbench.models.idol.memory import Detections, TrackMemory
from visbench.models.state import VideoState
from visbench.registry import TASK_UTILS
from visbench.structures import Frame, FrameInstances, Prediction, VideoInfo, VideoTracks
from visbench.structures.rle import encode_masks

SHORT_FRAMES = 3
ABSENT_FRAMES = 2
PRUNED_AFTER = 8
"""After frame 8 a track of fewer than three frames that was not in the last two is dropped."""


@dataclass
class ClassScores:
    """Class probabilities of the tracks that are reported so far.

    Args:
        ids: Ids in the order of the rows.
        totals: ``(m, K)`` sums over the frames of a track, or maxima.
        counts: ``(m,)`` number of these frames.
        last_frame: ``(m,)`` the last of them.
    """

    ids: list[int] = field(default_factory=list)
    totals: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))
    counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    last_frame: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def state_dict(self) -> dict[str, Any]:
        """Return numbers and tensors; :meth:`load_state_dict` restores them."""
        arrays = {name: torch.from_numpy(getattr(self, name).copy()) for name in _SCORE_ARRAYS}
        return {"ids": list(self.ids), **arrays}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Replace the content by what :meth:`state_dict` returned."""
        self.ids = list(state["ids"])
        for name in _SCORE_ARRAYS:
            setattr(self, name, state[name].numpy())

    def add(
        self, frame: int, ids: list[int], probabilities: npt.NDArray[np.floating], reduce: str
    ) -> None:
        """Add the class probabilities ``(n, K)`` of n tracks in a frame."""
        combine, _ = SCORE_REDUCERS[reduce]
        new = [track_id for track_id in ids if track_id not in self.ids]
        self.ids = self.ids + new
        zeros = np.zeros((len(new), probabilities.shape[1]))
        self.totals = np.concatenate([self.totals, zeros]) if len(self.totals) else zeros
        self.counts = np.concatenate([self.counts, np.zeros(len(new), np.int64)])
        self.last_frame = np.concatenate([self.last_frame, np.full(len(new), frame)])
        row_of = {track_id: row for row, track_id in enumerate(self.ids)}
        rows = [row_of[track_id] for track_id in ids]
        self.totals[rows] = combine(self.totals[rows], probabilities)
        self.counts[rows] += 1
        self.last_frame[rows] = frame

    def prune(self, frame: int) -> list[int]:
        """Remove tracks that stayed short after ``frame``, and return their ids."""
        if frame <= PRUNED_AFTER:
            return []
        short = (self.counts < SHORT_FRAMES) & (frame - self.last_frame >= ABSENT_FRAMES)
        removed = [self.ids[row] for row in np.flatnonzero(short)]
        self.ids = [self.ids[row] for row in np.flatnonzero(~short)]
        for name in _SCORE_ARRAYS:
            setattr(self, name, getattr(self, name)[~short])
        return removed

    def scores(self, reduce: str) -> npt.NDArray[np.float64]:
        """Return the class scores ``(m, K)`` of the tracks."""
        _, finish = SCORE_REDUCERS[reduce]
        return finish(self.totals, self.counts[:, None])


_SCORE_ARRAYS = ("totals", "counts", "last_frame")

SCORE_REDUCERS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "mean": (np.add, np.divide),
    "max": (np.maximum, lambda totals, counts: totals),
}
"""How the class probabilities of a track's frames become its scores: combined, then finished."""


@dataclass
class IDOLState(VideoState):
    """State of one video in IDOL.

    Its memory is bounded by the tracks of the last frames; ``scores`` holds one vector for each
    track in the result, beside the track's compressed masks in the recorder.

    Args:
        memory: What detections are matched with.
        scores: What the tracks are reported as.
    """

    memory: TrackMemory = field(default_factory=TrackMemory)
    scores: ClassScores = field(default_factory=ClassScores)


@TASK_UTILS.register_module()
class FrameAssociation:
    """Everything between the outputs for a frame and a video's result (sections 8 to 10).

    Args:
        tracker: Config of an :class:`IDOLTracker`.
        select_threshold: A query is a detection above this probability of its best class.
        box_nms_threshold: Of two detections of one class with a larger IoU the better one stays.
        score_reduce: Class scores of a track: ``mean`` or ``max`` over its frames.
        multi_class: Whether a track is reported under every class above ``class_threshold``;
            otherwise under its best class alone.
        class_threshold: Least class score that is reported, exclusive.

    Raises:
        ValueError: If ``score_reduce`` is another word.
    """

    def __init__(
        self,
        tracker: dict | None = None,
        select_threshold: float = 0.1,
        box_nms_threshold: float = 0.9,
        score_reduce: str = "mean",
        multi_class: bool = True,
        class_threshold: float = 0.05,
    ) -> None:
        if score_reduce not in SCORE_REDUCERS:
            raise ValueError(f"score_reduce={score_reduce!r} is not one of {list(SCORE_REDUCERS)}")
        self.tracker: IDOLTracker = TASK_UTILS.build(tracker or {"type": "visbench.IDOLTracker"})
        self.select_threshold = select_threshold
        self.box_nms_threshold = box_nms_threshold
        self.score_reduce = score_reduce
        self.multi_class = multi_class
        self.class_threshold = class_threshold

    def start(self, video: VideoInfo) -> IDOLState:
        """Return the state before the first frame."""
        return IDOLState(video)

    @torch.no_grad()
    def step(
        self,
        logits: Tensor,
        boxes: Tensor,
        embeddings: Tensor,
        mask_logits: Callable[[Tensor], Tensor],
        frame: Frame,
        state: IDOLState,
    ) -> FrameInstances:
        """Find the instances of the next frame and change ``state``.

        Args:
            logits: ``(Q, K)`` class logits.
            boxes: ``(Q, 4)`` cxcywh, divided by the valid size.
            embeddings: ``(Q, C)``.
            mask_logits: Returns the mask logits ``(n, h, w)`` of n queries, padding
                included; called once, with the selected queries.
            frame: The prepared frame.
            state: Changed in place, its recorder included.

        Raises:
            FloatingPointError: If an output is NaN or infinite.
        """
        probabilities = logits.float().sigmoid()
        queries = select_queries(
            probabilities, boxes, self.select_threshold, self.box_nms_threshold
        )
        masks, probabilities, boxes = mask_logits(queries), probabilities[queries], boxes[queries]
        scores, labels = probabilities.max(dim=1)
        columns = (embeddings[queries], boxes, labels, scores, mask_overlaps(masks))
        detections = Detections(
            *(_array(value, np.int64 if value is labels else np.float32) for value in columns)
        )
        ids = self.tracker.update(state.memory, detections)
        kept = np.flatnonzero(ids >= 0)
        rows = torch.from_numpy(kept).to(masks.device)
        stride = frame.image.shape[-1] // masks.shape[-1]
        instances = FrameInstances(
            ids[kept],
            detections.labels[kept],
            detections.scores[kept],
            original_boxes(boxes[rows].float(), frame.original_size),
            encode_masks(binary_masks(masks[rows], stride, frame.valid_size, frame.original_size)),
        )
        state.recorder.add(frame.index, instances)
        found = _array(probabilities[rows], np.float64)
        state.scores.add(frame.index, ids[kept].tolist(), found, self.score_reduce)
        state.recorder.drop(state.scores.prune(frame.index))
        return instances

    def finish(self, state: IDOLState) -> VideoTracks:
        """Return the result of the video: tracks in order of their begin, classes in order.

        A track that was dropped for being short and came back begins at its return.
        """
        scores = state.scores.scores(self.score_reduce)
        if self.multi_class:
            reported = scores > self.class_threshold
        else:
            reported = np.zeros(scores.shape, dtype=bool)
            reported[np.arange(len(scores)), scores.argmax(axis=1) if len(scores) else []] = True
        predictions = [
            Prediction(int(row), int(label), float(scores[row, label]))
            for row, label in np.argwhere(reported)
        ]
        video = replace(state.video, length=state.recorder.num_frames)
        return VideoTracks(video, state.recorder.tracks(state.scores.ids), predictions)


def original_boxes(boxes: Tensor, original_size: tuple[int, int]) -> Tensor:
    """Return boxes ``(n, 4)``, cxcywh and relative, as xyxy in pixels of the frame as filmed."""
    height, width = original_size
    return box_convert(boxes, "cxcywh", "xyxy") * boxes.new_tensor([width, height, width, height])


def _array(values: Tensor, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    wide = values.float() if values.is_floating_point() else values
    return wide.cpu().numpy().astype(dtype)
