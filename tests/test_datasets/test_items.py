# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from visbench.datasets import Draw, MixedDataset, VISDataset
from visbench.datasets.items import list_items


def frames_set(root: Path, **fields: Any) -> VISDataset:
    settings = {"split": "train", "items": "frames", **fields}
    return VISDataset(data_root=str(root), **settings)


@pytest.fixture
def guided(train_pipeline: list[Any]) -> dict[str, Any]:
    return {"clip": {"type": "visbench.SampleGuidance"}, "pipeline": train_pipeline}


def test_items_are_the_frames_with_objects(tiny_youtube_vis: Path) -> None:
    dataset = frames_set(tiny_youtube_vis)
    assert len(dataset) == 14
    assert dataset.pairs.tolist() == [
        [video, frame] for video, length in enumerate((5, 4, 5)) for frame in range(length)
    ]
    info = dataset.get_data_info(6)
    assert (info["video_id"], info["key_frame_id"], info["video_length"]) == (2, 1, 4)
    assert "key_frame_id" not in VISDataset(
        data_root=str(tiny_youtube_vis), split="train"
    ).get_data_info(0)
    assert len(list(dataset.iter_records())) == 3
    assert dataset.landscape().tolist() == [True] * 14


def test_frames_without_objects_are_no_items() -> None:
    crowd = {"frames": np.array([0, 1]), "ignore": 1}
    tracks = [{"frames": np.array([3, 1]), "ignore": 0}, {"frames": np.array([3]), "ignore": 0}]
    records = [{"tracks": [crowd, *tracks]}, {"tracks": [crowd]}, {"tracks": []}]
    assert list_items("frames", records).tolist() == [[0, 1], [0, 3]]
    assert list_items("videos", records).tolist() == [[0, -1], [1, -1], [2, -1]]
    assert list_items("frames", []).shape == (0, 2)


def test_the_item_is_the_key_frame(tiny_youtube_vis: Path, guided: dict[str, Any]) -> None:
    dataset = frames_set(tiny_youtube_vis, **guided)
    for index in range(len(dataset)):
        sample = dataset[Draw(index, 3 * index, 1)]["data_samples"]
        assert sample.metainfo["key_frames_inds"] == [0]
        assert sample.metainfo["ref_frames_inds"] == [1]
        video, frame = dataset.pairs[index].tolist()
        assert sample[0].video_id == 1 + video
        assert sample[0].frame_id == frame
        assert sample[1].frame_id != frame


def test_samples_follow_from_seed_and_number(
    tiny_youtube_vis: Path, guided: dict[str, Any]
) -> None:
    dataset, again = (frames_set(tiny_youtube_vis, **guided) for _ in range(2))
    one, other = dataset[Draw(3, 9, 5)], again[Draw(3, 9, 5)]
    assert all(map(torch.equal, one["inputs"], other["inputs"]))
    guidance = {dataset[Draw(9, n, 5)]["data_samples"][1].frame_id for n in range(40)}
    assert guidance == {1, 2, 3, 4}


def test_mixtures_draw_every_frame_once(tiny_youtube_vis: Path, guided: dict[str, Any]) -> None:
    parts = [frames_set(tiny_youtube_vis, **guided), frames_set(tiny_youtube_vis, **guided)]
    mixed = MixedDataset(parts, ratios=[1, 3])
    drawn = [mixed.locate(Draw(0, number, 2)) for number in range(4 * 14)]
    assert sorted(index for part, index in drawn if part == 0) == list(range(14))
    assert sorted(index for part, index in drawn if part == 1) == sorted(3 * list(range(14)))


def test_subsets_count_videos(tiny_youtube_vis: Path) -> None:
    dataset = frames_set(tiny_youtube_vis)
    subset = dataset.get_subset([1])
    assert subset.pairs.tolist() == [[0, 0], [0, 1], [0, 2], [0, 3]]
    assert subset.get_data_info(3)["video_id"] == 2
    assert len(dataset) == 14
    shrunk = copy.deepcopy(dataset)
    shrunk.get_subset_(2)
    assert len(shrunk) == 9
    assert len(frames_set(tiny_youtube_vis, indices=2)) == 9


def test_tests_have_whole_videos(tiny_youtube_vis: Path, test_pipeline: list[Any]) -> None:
    dataset = frames_set(tiny_youtube_vis, test_mode=True, pipeline=test_pipeline)
    assert len(dataset) == 3
    assert dataset.get_video(1).video.length == 4


def test_unknown_word_is_refused(tiny_youtube_vis: Path) -> None:
    with pytest.raises(ValueError, match=r"items='clips' is not one of \['videos', 'frames'\]"):
        frames_set(tiny_youtube_vis, items="clips")
