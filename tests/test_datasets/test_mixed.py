# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visbench.datasets import Draw, MixedDataset, SeededClipSampler
from visbench.datasets.holdout import shared_videos
from visbench.registry import DATASETS


class Numbered:
    """A data set whose samples say where they come from."""

    def __init__(self, name: str, size: int, classes: tuple[str, ...] = ("disc",)) -> None:
        self.metainfo = {"classes": classes, name: True}
        self.category_ids = [len(name)]
        self.name, self.size = name, size

    def full_init(self) -> None:
        pass

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        if not 0 <= index < self.size:
            raise IndexError(index)
        return self.name, int(index), getattr(index, "number", None), getattr(index, "seed", None)


@pytest.fixture(autouse=True)
def _accept_any_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmengine.dataset.dataset_wrapper.BaseDataset", object)


def mixed(sizes: list[int], ratios: list[int] | None = None) -> MixedDataset:
    return MixedDataset([Numbered(f"d{i}", size) for i, size in enumerate(sizes)], ratios)


@given(
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    data=st.data(),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=40, deadline=None)
def test_every_block_has_the_ratio_and_every_epoch_is_a_permutation(
    sizes: list[int], data: st.DataObject, seed: int
) -> None:
    ratios = [data.draw(st.integers(1, 3)) for _ in sizes]
    dataset, block = mixed(sizes, ratios), sum(ratios)
    count = block * 3 * max(sizes)
    located = [dataset.locate(Draw(0, number, seed)) for number in range(count)]
    expected = dict(enumerate(ratios))
    for start in range(0, count, block):
        assert Counter(part for part, _ in located[start : start + block]) == expected
    for part, size in enumerate(sizes):
        indices = [index for which, index in located if which == part]
        for start in range(0, len(indices) - size + 1, size):
            assert sorted(indices[start : start + size]) == list(range(size))


def test_a_sample_follows_from_seed_and_number_alone() -> None:
    dataset = mixed([3, 50])
    whole = [dataset[d] for d in islice(SeededClipSampler(dataset, seed=4), 40)]
    late = [dataset[d] for d in islice(SeededClipSampler(dataset, seed=4, start_draw=15), 25)]
    assert late == whole[15:]
    unshuffled = SeededClipSampler(dataset, seed=4, shuffle=False)
    assert [dataset[d] for d in islice(unshuffled, 40)] == whole
    assert [sample[2:] for sample in whole] == [(number, 4) for number in range(40)]
    assert Counter(sample[0] for sample in whole) == {"d0": 20, "d1": 20}
    assert [dataset[Draw(0, number, 5)][:2] for number in range(40)] != [s[:2] for s in whole]


def test_the_order_within_blocks_varies() -> None:
    dataset = mixed([5, 5])
    first = [dataset.locate(Draw(0, number, 1))[0] for number in range(0, 40, 2)]
    assert set(first) == {0, 1}


def test_plain_indices_go_through_the_data_sets() -> None:
    dataset = mixed([2, 3])
    assert len(dataset) == 5
    assert [dataset[index][:2] for index in range(5)] == [
        ("d0", 0),
        ("d0", 1),
        ("d1", 0),
        ("d1", 1),
        ("d1", 2),
    ]
    assert dataset.category_ids == [2]


@pytest.mark.parametrize("ratios", [[1], [1, 0], [1, 0.5], [1, 2, 3]])
def test_ratios_that_do_not_fit_are_named(ratios: list[Any]) -> None:
    with pytest.raises(ValueError, match=r"ratios=\[.*must be 2 whole numbers"):
        mixed([2, 2], ratios)


def test_no_data_set() -> None:
    with pytest.raises(ValueError, match="'datasets' is empty"):
        MixedDataset([])


def test_an_empty_data_set_is_named() -> None:
    with pytest.raises(ValueError, match=r"datasets\[1\].*is empty"):
        mixed([2, 0])


def test_other_classes_are_named() -> None:
    parts = [Numbered("a", 2), Numbered("b", 2, ("disc", "square"))]
    with pytest.raises(ValueError, match=r"datasets\[1\].*\['disc', 'square'\].*\['disc'\]"):
        MixedDataset(parts)


def test_real_data_sets(tiny_youtube_vis: Path, train_pipeline: list[dict[str, Any]]) -> None:
    part = {
        "type": "visbench.VISDataset",
        "data_root": str(tiny_youtube_vis),
        "clip": {"type": "visbench.SampleClip", "num_frames": 2},
        "pipeline": train_pipeline,
        "serialize_data": False,
    }
    parts = [{**part, "split": "train"}, {**part, "split": "valid"}]
    dataset = DATASETS.build({"type": "visbench.MixedDataset", "datasets": parts})
    assert dataset.metainfo["classes"] == ("disc", "square")
    assert dataset.category_ids == [3, 7]
    samples = [dataset[Draw(0, number, 2)] for number in (0, 1, 0)]
    videos = [sample["data_samples"][0].video_id for sample in samples]
    assert {video // 10 for video in videos} == {0, 1}
    np.testing.assert_array_equal(samples[0]["inputs"][0], samples[2]["inputs"][0])
    assert shared_videos(dataset, dataset.datasets[1])
