# SPDX-License-Identifier: Apache-2.0
"""Trains on several data sets in a fixed proportion, whatever their sizes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from mmengine.dataset import ConcatDataset

from visbench.datasets.draws import Draw
from visbench.registry import DATASETS


@DATASETS.register_module()
class MixedDataset(ConcatDataset):
    """Several training sets of the same classes, mixed by the number of samples drawn from each.

    Draws of :class:`~visbench.datasets.SeededClipSampler` come in blocks of ``sum(ratios)``. A
    block holds every data set as often as its ratio says, in random order, and each data set goes
    through its videos in a new permutation whenever all have been drawn. Data set, video and all
    randomness of a sample follow from seed and draw number alone, so a resumed run needs no
    replay; the sampler's own order of indices has no influence.

    With plain indices this is MMEngine's ``ConcatDataset``. Category ids may differ, as the
    labels are what is trained; :attr:`category_ids` are those of the first data set.

    Args:
        datasets: Data sets or their configs.
        ratios: Samples of each data set in a block; one each by default.

    Raises:
        ValueError: If the ratios do not fit, a data set is empty or the classes differ.
    """

    def __init__(self, datasets: Sequence[Any], ratios: Sequence[int] | None = None) -> None:
        built = [DATASETS.build(item) if isinstance(item, dict) else item for item in datasets]
        self.ratios = _checked_ratios([1] * len(built) if ratios is None else ratios, len(built))
        for dataset in built:
            dataset.full_init()
        _check_classes(built)
        # Everything that must agree has been compared above, with a message that says how.
        super().__init__(
            built, ignore_keys=sorted({key for item in built for key in item.metainfo})
        )
        self._pattern = np.repeat(np.arange(len(built)), self.ratios)

    @property
    def category_ids(self) -> list[int]:
        """The first data set's category id of every label."""
        return list(self.datasets[0].category_ids)

    def locate(self, draw: Draw) -> tuple[int, int]:
        """Return the data set and the index in it that a draw stands for.

        Args:
            draw: A draw; only its number and seed count.
        """
        block, position = divmod(draw.number, len(self._pattern))
        rng = np.random.default_rng((draw.seed, 0, block))
        order = rng.permutation(self._pattern)
        part = int(order[position])
        earlier = block * self.ratios[part] + int((order[:position] == part).sum())
        epoch, row = divmod(earlier, len(self.datasets[part]))
        indices = _permutation(len(self.datasets[part]), draw.seed, 1 + part, epoch)
        return part, int(indices[row])

    def __getitem__(self, idx: Any) -> Any:
        """Return the sample of a draw, or of a plain index into the data sets one by one.

        Args:
            idx: A :class:`~visbench.datasets.Draw`, or an index.
        """
        if isinstance(idx, Draw):
            part, index = self.locate(idx)
            return self.datasets[part][Draw(index, idx.number, idx.seed)]
        return super().__getitem__(idx)


@lru_cache(maxsize=8)
def _permutation(size: int, *key: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng(key).permutation(size)


def _checked_ratios(ratios: Sequence[int], count: int) -> list[int]:
    if count == 0:
        raise ValueError("MixedDataset: field 'datasets' is empty; give at least one data set")
    whole = [int(ratio) for ratio in ratios]
    if len(whole) != count or whole != list(ratios) or min(whole) < 1:
        raise ValueError(
            f"MixedDataset: ratios={list(ratios)} must be {count} whole numbers of at least 1, one "
            "for each data set; write 3:2 as [3, 2], and leave out a data set rather than give it 0"
        )
    return whole


def _check_classes(datasets: Sequence[Any]) -> None:
    for position, dataset in enumerate(datasets):
        where = f"MixedDataset: datasets[{position}] ({getattr(dataset, 'ann_file', '')})"
        if len(dataset) == 0:
            raise ValueError(f"{where} is empty; look at its filter_cfg")
        classes = list(dataset.metainfo.get("classes", ()))
        expected = list(datasets[0].metainfo.get("classes", ()))
        if classes != expected:
            raise ValueError(
                f"{where} has the classes {classes}, but datasets[0] has {expected}, so a label "
                "would mean two things; set metainfo=dict(classes=...) of all to the same list"
            )
