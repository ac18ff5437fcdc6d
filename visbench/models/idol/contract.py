# SPDX-License-Identifier: Apache-2.0
"""What IDOL's detector asks of a component that gives detections their identity."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from torch import Tensor

from visbench.models.state import VideoState
from visbench.structures import VideoInfo, VideoTracks


class Identified(NamedTuple):
    """Which of the n detections of a frame are reported, and as what.

    Attributes:
        rows: ``(m,)`` rows of the detections; a row may be there under several ids.
        ids: ``(m,)`` track ids, each once.
        labels: ``(m,)`` classes in this frame.
        scores: ``(m,)`` their probabilities.
    """

    rows: Any
    ids: Any
    labels: Any
    scores: Any


class Association(Protocol):
    """Chooses the detections of a frame among the queries and names them."""

    def start(self, video: VideoInfo) -> VideoState:
        """Return the state before the first frame."""

    def select(self, probabilities: Tensor, boxes: Tensor) -> Tensor:
        """Return the queries ``(n,)`` whose masks and embeddings are wanted.

        Args:
            probabilities: ``(Q, K)`` class probabilities.
            boxes: ``(Q, 4)`` cxcywh, divided by the frame's size.
        """

    def identify(
        self,
        state: VideoState,
        probabilities: Tensor,
        boxes: Tensor,
        embeddings: Tensor,
        mask_logits: Tensor,
    ) -> Identified:
        """Name the selected queries and remember what later frames need, all but the recorder.

        Args:
            state: State of the video, changed in place.
            probabilities: ``(n, K)``.
            boxes: ``(n, 4)``.
            embeddings: ``(n, C)``.
            mask_logits: ``(n, h, w)``, padding included.
        """

    def finish(self, state: VideoState) -> VideoTracks:
        """Return the result of the video; it changes no id and no mask."""
