# SPDX-License-Identifier: Apache-2.0
"""Links regions from frame to frame by the IoU of their masks."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

_LEAST_IOU = 0.2
_MEMORY = 4


@dataclass(frozen=True)
class Region:
    """A region of one frame.

    Attributes:
        mask: (height, width) bool.
        category_id: Category id.
        score: Score, 0 to 1.
    """

    mask: NDArray[np.bool_]
    category_id: int
    score: float


@dataclass
class Chain:
    """Regions taken for one object, by frame."""

    regions: dict[int, Region] = field(default_factory=dict)

    @property
    def last(self) -> int:
        """The last frame with a region."""
        return max(self.regions)


class Linker:
    """Greedy linking: pairs with the largest IoU first, from 0.2 on.

    A chain that found no partner is kept for four frames.

    Args:
        by_category: Whether only regions of the same category may be linked.
    """

    def __init__(self, by_category: bool = True) -> None:
        self._by_category = by_category
        self.chains: list[Chain] = []

    def step(self, index: int, regions: list[Region]) -> None:
        """Add the regions of a frame; frames come in order."""
        active = [chain for chain in self.chains if index - chain.last <= _MEMORY]
        before = [chain.regions[chain.last] for chain in active]
        overlaps = _overlaps(before, regions)
        if self._by_category:
            names = [[old.category_id == new.category_id for new in regions] for old in before]
            overlaps = np.where(np.array(names, dtype=bool).reshape(overlaps.shape), overlaps, 0)
        free = set(range(len(regions)))
        waiting = set(range(len(active)))
        for place in np.argsort(-overlaps, axis=None, kind="stable"):
            old, new = divmod(int(place), len(regions))
            if overlaps[old, new] < _LEAST_IOU:
                break
            if old in waiting and new in free:
                active[old].regions[index] = regions[new]
                waiting.remove(old)
                free.remove(new)
        self.chains += [Chain({index: regions[new]}) for new in sorted(free)]


def _overlaps(first: list[Region], second: list[Region]) -> NDArray[np.float64]:
    """Return the IoU of all pairs, (first, second)."""
    if not first or not second:
        return np.zeros((len(first), len(second)))
    a = np.stack([region.mask.ravel() for region in first]).astype(np.float32)
    b = np.stack([region.mask.ravel() for region in second]).astype(np.float32)
    both = a @ b.T
    union = a.sum(axis=1)[:, None] + b.sum(axis=1) - both
    return (both / np.maximum(union, 1)).astype(np.float64)
