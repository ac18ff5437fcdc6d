# SPDX-License-Identifier: Apache-2.0
"""Uncompressed masks of a track, measured at once and compressed when they are needed."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as mask_utils

__all__ = ["PlainRuns", "measure_runs"]

Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PlainRuns:
    """Valid uncompressed masks of one size, without runs of length zero.

    Attributes:
        size: Height and width in pixels.
        length: Number of entries of the list they came from.
        frames: ``(n,)`` those of them that are masks.
        runs: Run lengths of all masks.
        stops: ``(n,)`` where those of each mask end.
        measured: ``(3, n)`` area, and span as for :class:`MaskTrack`.
    """

    size: tuple[int, int]
    length: int
    frames: Int64
    runs: npt.NDArray[np.uint32]
    stops: Int64
    measured: Int64

    def encoded(self) -> list[bytes]:
        """Return the compressed strings."""
        masks = [
            {"size": self.size, "counts": runs} for runs in np.split(self.runs, self.stops[:-1])
        ]
        return [mask["counts"] for mask in mask_utils.frPyObjects(masks, *self.size)]


def measure_runs(entries: Any, size: tuple[int, int]) -> PlainRuns | None:
    """Measure the masks of a track without compressing them.

    Args:
        entries: What the JSON parser returned for ``segmentations``.
        size: Height and width that all masks must have.

    Returns:
        The masks; None if there are none, or something is unusual about one of them.
    """
    if type(entries) is not list:
        return None
    frames = [frame for frame, mask in enumerate(entries) if mask is not None]
    masks = [entries[frame] for frame in frames]
    if not masks or {*map(type, masks)} != {dict}:
        return None
    counts, sizes = ([mask.get(name) for mask in masks] for name in ("counts", "size"))
    if {*map(type, counts)} != {list} or {*map(type, sizes)} != {list} or not all(counts):
        return None
    if sizes.count([*size]) != len(sizes) or {*map(type, chain.from_iterable(sizes))} != {int}:
        return None
    try:
        runs = np.frombuffer(array("q", chain.from_iterable(counts)), np.int64)
    except (TypeError, OverflowError):
        return None
    stops = np.cumsum(np.fromiter(map(len, counts), np.int64, len(counts)))
    measured = _measure(runs, stops, size[0] * size[1])
    if measured is None:
        return None
    positions = np.array(frames, np.int64)
    return PlainRuns(size, len(entries), positions, runs.astype(np.uint32), stops, measured)


def _measure(runs: Int64, stops: Int64, pixels: int) -> Int64 | None:
    lengths = np.diff(stops, prepend=0)
    starts = stops - lengths
    if runs.min() < 0 or runs.max() > pixels:
        return None
    if np.count_nonzero(runs == 0) != np.count_nonzero(runs[starts] == 0):
        return None
    if (np.add.reduceat(runs, starts) != pixels).any():
        return None
    odd = runs.copy()
    odd[::2] = 0
    sums = np.add.reduceat(odd, starts)
    # Every second run is foreground, counted from the first run of the mask.
    areas = np.where(starts % 2 == 0, sums, pixels - sums)
    behind = np.where(lengths % 2 == 1, runs[stops - 1], 0)
    return np.stack([areas, runs[starts], pixels - behind])
