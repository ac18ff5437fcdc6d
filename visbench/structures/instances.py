# SPDX-License-Identifier: Apache-2.0
"""The instances of one frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from visbench.structures.rle import RLE, as_array


class FrameInstances:
    """What an online method knows at frame t. Invariant: all fields have the same length n.

    Emitted instances are final: later frames never rename an id or change a mask. The score
    threshold for display is the caller's.

    Args:
        ids: ``(n,)`` track ids, unique within the frame.
        labels: ``(n,)`` 0-based class indices of this frame.
        scores: ``(n,)`` scores of this frame, 0 to 1.
        boxes: ``(n, 4)`` xyxy in original pixels, or None.
        masks: n masks at original size, or None for a method without masks.

    Raises:
        ValueError: If lengths differ or an id occurs twice.

    Examples:
        >>> frame = FrameInstances(ids=[3], labels=[0], scores=[0.9], boxes=[[0, 0, 8, 8]])
        >>> len(frame), frame.ids.tolist()
        (1, [3])
    """

    def __init__(
        self, ids: Any, labels: Any, scores: Any, boxes: Any = None, masks: list[RLE] | None = None
    ) -> None:
        self.ids: npt.NDArray[np.int64] = as_array(ids, np.int64).reshape(-1)
        self.labels: npt.NDArray[np.int64] = as_array(labels, np.int64).reshape(-1)
        self.scores: npt.NDArray[np.float32] = as_array(scores, np.float32).reshape(-1)
        self.boxes: npt.NDArray[np.float32] | None = (
            None if boxes is None else as_array(boxes, np.float32).reshape(-1, 4)
        )
        self.masks = masks
        lengths = {
            name: len(value)
            for name, value in vars(self).items()
            if value is not None and len(value) != len(self.ids)
        }
        if lengths:
            raise ValueError(f"{len(self.ids)} ids, but other lengths in {lengths}")
        if len(np.unique(self.ids)) != len(self.ids):
            raise ValueError(f"an id occurs twice in one frame: {self.ids.tolist()}")

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"FrameInstances(ids={self.ids.tolist()}, labels={self.labels.tolist()})"

    def select(self, keep: Any) -> FrameInstances:
        """Return the instances at the given indices or where a boolean mask is true."""
        keep = as_array(keep)
        indices = np.arange(len(self))[keep if keep.size else keep.astype(np.int64)]
        return FrameInstances(
            self.ids[indices],
            self.labels[indices],
            self.scores[indices],
            None if self.boxes is None else self.boxes[indices],
            None if self.masks is None else [self.masks[i] for i in indices],
        )

    @classmethod
    def empty(cls, masks: bool = True) -> FrameInstances:
        """Return a frame without instances.

        Args:
            masks: Whether the method yields masks at all.
        """
        return cls([], [], [], np.zeros((0, 4)), [] if masks else None)
