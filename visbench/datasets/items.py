# SPDX-License-Identifier: Apache-2.0
"""What the items of a training set are: whole videos, or single frames to build clips around."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

ITEMS = ("videos", "frames")
"""``videos``: every video once an epoch; ``frames``: every frame with objects once an epoch."""

ANY_FRAME = -1
"""Stands for the key frame of an item that leaves it to the frame sampler."""


def list_items(kind: str, records: Iterable[Mapping[str, Any]]) -> npt.NDArray[np.int32]:
    """Return the items of a training set.

    Args:
        kind: A word of :data:`ITEMS`.
        records: Compact records of the videos; see :mod:`visbench.datasets.records`.

    Returns:
        ``(n, 2)``: index of the video and position of the key frame in it, or :data:`ANY_FRAME`;
        in the order of the videos, then of the frames.
    """
    pairs = [
        (video, position)
        for video, record in enumerate(records)
        for position in ([ANY_FRAME] if kind == "videos" else frames_with_objects(record))
    ]
    return np.array(pairs, dtype=np.int32).reshape(-1, 2)


def frames_with_objects(record: Mapping[str, Any]) -> list[int]:
    """Return the positions of the frames with at least one object that is not a crowd, sorted.

    Args:
        record: Compact record of a video.
    """
    return sorted(
        {
            position
            for track in record["tracks"]
            if not track["ignore"]
            for position in track["frames"].tolist()
        }
    )
