# SPDX-License-Identifier: Apache-2.0
"""What IDOL's tracker remembers of a video; no network code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class Detections(NamedTuple):
    """The n detections of a frame, the most probable first.

    Attributes:
        embeddings: ``(n, C)``.
        boxes: ``(n, 4)`` cxcywh, divided by the frame's size.
        labels: ``(n,)`` classes.
        scores: ``(n,)`` probabilities of these classes.
        overlaps: ``(n, n)`` IoU of the masks.
    """

    embeddings: Floats
    boxes: Floats
    labels: Ints
    scores: Floats
    overlaps: Floats

    def select(self, rows: Ints) -> Detections:
        """Return some of the detections."""
        return Detections(
            self.embeddings[rows],
            self.boxes[rows],
            self.labels[rows],
            self.scores[rows],
            self.overlaps[np.ix_(rows, rows)],
        )


def _no_ints() -> Ints:
    return np.zeros(0, np.int64)


@dataclass
class TrackMemory:
    """The m tracks that a detection can continue, in the order in which they began.

    Its size is bounded: each track was matched in one of the last few frames, and keeps the last
    T embeddings.

    Args:
        frame: Number of frames seen, empty ones included, which is the number of the next frame.
        next_id: Id of the next track; ids of forgotten tracks are not used again.
        ids: ``(m,)``.
        labels: ``(m,)`` latest class.
        boxes: ``(m, 4)`` latest box, cxcywh, divided by the frame's size.
        num_frames: ``(m,)`` number of frames in which a track was matched.
        last_frame: ``(m,)`` number of the last of them.
        embeddings: ``(m, T, C)`` the last embeddings, the latest at the end; see ``num_frames`` for
            how many there are.
        scores: ``(m, T)`` detection scores of these embeddings.
        average: ``(m, C)`` moving average of all embeddings.
    """

    frame: int = 0
    next_id: int = 0
    ids: Ints = field(default_factory=_no_ints)
    labels: Ints = field(default_factory=_no_ints)
    boxes: Floats = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    num_frames: Ints = field(default_factory=_no_ints)
    last_frame: Ints = field(default_factory=_no_ints)
    embeddings: Floats = field(default_factory=lambda: np.zeros((0, 0, 0), np.float32))
    scores: Floats = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    average: Floats = field(default_factory=lambda: np.zeros((0, 0), np.float32))

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def stored(self) -> Bools:
        """Which of the ``(m, T)`` embeddings are there."""
        length = self.scores.shape[1]
        return np.arange(length) >= length - np.minimum(self.num_frames, length)[:, None]

    def state_dict(self) -> dict[str, Any]:
        """Return the fields as numbers and tensors; :meth:`load_state_dict` restores them."""
        return {
            name: torch.from_numpy(value.copy()) if isinstance(value, np.ndarray) else value
            for name, value in vars(self).items()
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Replace the content by what :meth:`state_dict` returned."""
        for name in vars(self):
            value = state[name]
            setattr(self, name, value.numpy() if isinstance(value, torch.Tensor) else int(value))

    def begin(self, detections: Detections, length: int) -> Ints:
        """Begin a track of every detection and return their ids.

        Args:
            detections: k detections.
            length: T, the number of embeddings that are kept of a track.
        """
        count, channels = detections.embeddings.shape
        ids = np.arange(self.next_id, self.next_id + count)
        self.next_id += count
        blank = {
            "ids": ids,
            "labels": detections.labels,
            "boxes": detections.boxes,
            "num_frames": np.zeros(count, np.int64),
            "last_frame": np.full(count, self.frame),
            "embeddings": np.zeros((count, length, channels), np.float32),
            "scores": np.zeros((count, length), np.float32),
            "average": detections.embeddings,
        }
        rows = np.arange(len(self), len(self) + count)
        for name, values in blank.items():
            known = getattr(self, name)
            setattr(self, name, np.concatenate([known, values]) if len(known) else values.copy())
        self.refresh(rows, detections, 1.0)
        return ids

    def refresh(self, rows: Ints, detections: Detections, momentum: float) -> None:
        """Add a detection to each of some tracks.

        Args:
            rows: ``(k,)`` tracks, each once.
            detections: k detections.
            momentum: Weight of the new embedding in the moving average.
        """
        self.labels[rows] = detections.labels
        self.boxes[rows] = detections.boxes
        self.num_frames[rows] += 1
        self.last_frame[rows] = self.frame
        for name, latest in (("embeddings", detections.embeddings), ("scores", detections.scores)):
            values = getattr(self, name)
            values[rows] = np.concatenate([values[rows, 1:], latest[:, None]], axis=1)
        new = np.float32(momentum)
        self.average[rows] = (1 - new) * self.average[rows] + new * detections.embeddings

    def forget(self, age: int) -> None:
        """Remove the tracks whose last frame is ``age`` frames ago or more."""
        stay = self.frame - self.last_frame < age
        if not stay.all():
            for name, values in vars(self).items():
                if isinstance(values, np.ndarray):
                    setattr(self, name, values[stay])


Weights = Callable[[TrackMemory, float], Floats]


def recency(memory: TrackMemory) -> Floats:
    """Return ``i / L`` for the i-th oldest of the L embeddings stored of each track, ``(m, T)``."""
    position = memory.stored.cumsum(axis=1)
    return (position / np.maximum(position[:, -1:], 1)).astype(np.float32)


def _score_weights(memory: TrackMemory, tau: float) -> Floats:
    return memory.scores + recency(memory)


def _tau_weights(memory: TrackMemory, tau: float) -> Floats:
    return np.float32(tau) + recency(memory)


TEMPORAL_WEIGHTS: dict[str, Weights] = {"score": _score_weights, "tau": _tau_weights}
"""Weight of a stored embedding: its recency plus its detection score, as in the reference
implementation, or plus the constant tau."""


def weighted_embeddings(memory: TrackMemory, weights: Floats) -> Floats:
    """Return the weighted mean ``(m, C)`` of the embeddings that are stored of each track.

    Args:
        memory: The m tracks.
        weights: ``(m, T)``.
    """
    weights = weights * memory.stored
    summed: Floats = (memory.embeddings * weights[:, :, None]).sum(axis=1)
    return summed / weights.sum(axis=1, keepdims=True)
