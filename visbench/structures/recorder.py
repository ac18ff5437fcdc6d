# SPDX-License-Identifier: Apache-2.0
"""Collects the frames of an online method into tracks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from visbench.structures.instances import FrameInstances
from visbench.structures.rle import RLE
from visbench.structures.tracks import Track


@dataclass
class _Record:
    frames: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    boxes: list[list[float]] = field(default_factory=list)
    masks: list[RLE] = field(default_factory=list)


class TrackRecorder:
    """Compressed, sparse store of everything an online method has emitted.

    Memory grows with the emitted masks only; absent frames cost nothing. The store is part of a
    video's state: :meth:`state_dict` holds numbers and strings.

    Examples:
        >>> recorder = TrackRecorder()
        >>> recorder.add(0, FrameInstances([7], [2], [0.5], [[0, 0, 4, 4]]))
        >>> recorder.add(1, FrameInstances.empty(masks=False))
        >>> track, = recorder.tracks()
        >>> track.id, len(track), recorder.mean_score(7), recorder.majority_label(7)
        (7, 2, 0.5, 2)
    """

    def __init__(self) -> None:
        self.num_frames = 0
        self._records: dict[int, _Record] = {}

    @property
    def ids(self) -> list[int]:
        """Ids in the order of their first appearance."""
        return list(self._records)

    def add(self, index: int, instances: FrameInstances) -> None:
        """Append the instances of frame ``index``; frames must come in order.

        Raises:
            ValueError: If ``index`` is not the next frame.
        """
        if index != self.num_frames:
            raise ValueError(
                f"frame {index} follows frame {self.num_frames - 1}; frames of a "
                "video must be given once and in order"
            )
        self.num_frames += 1
        for row, track_id in enumerate(instances.ids.tolist()):
            record = self._records.setdefault(track_id, _Record())
            record.frames.append(index)
            record.labels.append(int(instances.labels[row]))
            record.scores.append(float(instances.scores[row]))
            if instances.boxes is not None:
                record.boxes.append([float(value) for value in instances.boxes[row]])
            if instances.masks is not None:
                record.masks.append(instances.masks[row])

    def drop(self, ids: Iterable[int]) -> None:
        """Forget ids; one that is added again later begins anew, behind the others."""
        for track_id in ids:
            self._records.pop(track_id, None)

    def mean_score(self, track_id: int) -> float:
        """Return the mean score over the frames in which the id was emitted."""
        return float(np.mean(self._records[track_id].scores))

    def majority_label(self, track_id: int) -> int:
        """Return the most frequent label of an id, the smallest one on ties."""
        counts = Counter(self._records[track_id].labels)
        return min(counts, key=lambda label: (-counts[label], label))

    def tracks(self, ids: list[int] | None = None) -> list[Track]:
        """Return the tracks, padded with None and NaN to the number of frames seen.

        Args:
            ids: Which tracks, in this order; all by default.
        """
        return [self._track(track_id) for track_id in (self.ids if ids is None else ids)]

    def _track(self, track_id: int) -> Track:
        record = self._records[track_id]
        scores = np.full(self.num_frames, np.nan, dtype=np.float32)
        scores[record.frames] = record.scores
        boxes = None
        if record.boxes:
            boxes = np.full((self.num_frames, 4), np.nan, dtype=np.float32)
            boxes[record.frames] = record.boxes
        masks: list[RLE | None] | None = None
        if record.masks:
            masks = [None] * self.num_frames
            for index, mask in zip(record.frames, record.masks, strict=True):
                masks[index] = mask
        return Track(track_id, masks, boxes, scores)

    def state_dict(self) -> dict[str, Any]:
        """Return numbers and strings only; :meth:`load_state_dict` restores them."""
        return {
            "num_frames": self.num_frames,
            "records": {
                track_id: {name: list(values) for name, values in vars(record).items()}
                for track_id, record in self._records.items()
            },
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Replace the content by what :meth:`state_dict` returned."""
        self.num_frames = int(state["num_frames"])
        self._records = {
            int(track_id): _Record(**{name: list(values) for name, values in record.items()})
            for track_id, record in state["records"].items()
        }
