# SPDX-License-Identifier: Apache-2.0
"""Endless seeded sampling of a training set's items for iteration-based training."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sized

import numpy as np
import numpy.typing as npt
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

from visbench.datasets.draws import Draw
from visbench.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class SeededClipSampler(Sampler):
    """Yield :class:`~visbench.datasets.draws.Draw` for ever: a new permutation in every epoch.

    Draw number ``d`` (counted over all ranks) is element ``d mod n`` of the permutation of epoch
    ``d // n``; rank r of R gets the draws r, r + R, ... So a run that has consumed ``k`` draws
    continues with ``start_draw = k`` and needs no replay.

    With ``group_size`` landscape and portrait items are kept apart: every ``group_size`` successive
    draws are of one orientation, so that a batch needs little padding. In every epoch the groups
    come in random order; the last group of an orientation is filled up with items from the front
    of its own permutation, and n counts those too.

    Args:
        dataset: The data set of n items.
        seed: Seed of the run; a common random one if None.
        start_draw: Number of the first draw, counted over all ranks: iterations done times
            samples per batch times ranks.
        shuffle: Whether to permute; False goes through the items in order.
        group_size: Samples of one step of all ranks, or a multiple; 1 mixes the orientations.

    Raises:
        ValueError: If the data set is empty, or it cannot tell orientations and shall be grouped.
    """

    def __init__(
        self,
        dataset: Sized,
        seed: int | None = None,
        start_draw: int = 0,
        shuffle: bool = True,
        group_size: int = 1,
    ) -> None:
        self.rank, self.world_size = get_dist_info()
        self.dataset = dataset
        self.seed = sync_random_seed() if seed is None else int(seed)
        self.start_draw = start_draw
        self.shuffle = shuffle
        self.group_size = group_size
        if len(dataset) == 0:
            raise ValueError("the training data set has no video; look at its filter_cfg")
        self._members = self._orientations()
        self.size = sum(_filled_up(members, group_size).size for members in self._members)

    def __iter__(self) -> Iterator[Draw]:
        epoch, order = -1, self._order(0)
        number = self.start_draw + self.rank
        while True:
            if number // self.size != epoch:
                epoch = number // self.size
                order = self._order(epoch)
            yield Draw(int(order[number % self.size]), number, self.seed)
            number += self.world_size

    def _orientations(self) -> list[npt.NDArray[np.int64]]:
        """Return the items of each orientation, or all together where groups have one item."""
        if self.group_size == 1:
            return [np.arange(len(self.dataset))]
        if self.group_size < 1 or not hasattr(self.dataset, "landscape"):
            raise ValueError(
                f"SeededClipSampler: group_size={self.group_size} must be 1 or more, and 1 for a "
                f"{type(self.dataset).__name__}, whose items have no orientation"
            )
        wide = self.dataset.landscape()
        return [members for members in map(np.flatnonzero, (wide, ~wide)) if members.size]

    def _order(self, epoch: int) -> npt.NDArray[np.int64]:
        rng = np.random.default_rng((self.seed, epoch))
        orders = [rng.permutation(m) if self.shuffle else m for m in self._members]
        if self.group_size == 1:
            return orders[0]
        groups = np.concatenate([_filled_up(order, self.group_size) for order in orders])
        return (rng.permutation(groups) if self.shuffle else groups).ravel()

    def __len__(self) -> int:
        return math.ceil(self.size / self.world_size)

    def set_epoch(self, epoch: int) -> None:
        """Do nothing: the order follows from the draw number alone."""


def _filled_up(order: npt.NDArray[np.int64], group_size: int) -> npt.NDArray[np.int64]:
    """Return ``(groups, group_size)`` items, those from the front again where some are missing."""
    return np.resize(order, (-(-order.size // group_size), group_size))
