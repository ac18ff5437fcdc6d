# SPDX-License-Identifier: Apache-2.0
"""Endless seeded sampling of videos for iteration-based training."""

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

    Args:
        dataset: The data set of n videos.
        seed: Seed of the run; a common random one if None.
        start_draw: Number of the first draw, counted over all ranks: iterations done times
            samples per batch times ranks.
        shuffle: Whether to permute; False goes through the videos in order.
    """

    def __init__(
        self, dataset: Sized, seed: int | None = None, start_draw: int = 0, shuffle: bool = True
    ) -> None:
        self.rank, self.world_size = get_dist_info()
        self.dataset = dataset
        self.seed = sync_random_seed() if seed is None else int(seed)
        self.start_draw = start_draw
        self.shuffle = shuffle
        self.size = len(dataset)
        if self.size == 0:
            raise ValueError("the training data set has no video; look at its filter_cfg")

    def __iter__(self) -> Iterator[Draw]:
        epoch, order = -1, self._order(0)
        number = self.start_draw + self.rank
        while True:
            if number // self.size != epoch:
                epoch = number // self.size
                order = self._order(epoch)
            yield Draw(int(order[number % self.size]), number, self.seed)
            number += self.world_size

    def _order(self, epoch: int) -> npt.NDArray[np.int64]:
        if not self.shuffle:
            return np.arange(self.size)
        return np.random.default_rng((self.seed, epoch)).permutation(self.size)

    def __len__(self) -> int:
        return math.ceil(self.size / self.world_size)

    def set_epoch(self, epoch: int) -> None:
        """Do nothing: the order follows from the draw number alone."""
