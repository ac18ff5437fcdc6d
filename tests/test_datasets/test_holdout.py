# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.dataset import ConcatDataset

from visbench.datasets import VISDataset
from visbench.datasets.annotations import read_annotations
from visbench.datasets.holdout import holdout_names, shared_videos, write_holdout


def annotations(members: list[list[str]]) -> dict[str, Any]:
    """Return annotations of videos ``v0``, ``v1``, ... with the given categories."""
    names = sorted({name for categories in members for name in categories}) or ["none"]
    ids = {name: index + 1 for index, name in enumerate(names)}
    return {
        "videos": [
            {"id": index + 1, "file_names": [f"v{index}/0.jpg"]} for index in range(len(members))
        ],
        "categories": [{"id": ids[name], "name": name} for name in names],
        "annotations": [
            {"video_id": index + 1, "category_id": ids[name]}
            for index, categories in enumerate(members)
            for name in categories
        ],
    }


def shuffled(data: dict[str, Any], seed: int) -> dict[str, Any]:
    """Return the same data with other ids and another order."""
    videos, entries = list(data["videos"]), list(data["annotations"])
    random.Random(seed).shuffle(videos)
    random.Random(seed + 1).shuffle(entries)
    ids = {video["id"]: index + 1000 for index, video in enumerate(videos)}
    return {
        **data,
        "videos": [{**video, "id": ids[video["id"]]} for video in videos],
        "annotations": [{**entry, "video_id": ids[entry["video_id"]]} for entry in entries],
    }


MEMBERS = st.lists(
    st.lists(st.sampled_from("abcde"), min_size=1, max_size=2, unique=True),
    min_size=12,
    max_size=40,
)


@given(members=MEMBERS, seed=st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_split_is_a_partition_independent_of_order_and_ids(
    members: list[list[str]], seed: int
) -> None:
    data = annotations(members)
    train, val = holdout_names(data, 0.3)
    assert sorted(train + val) == sorted(f"v{index}" for index in range(len(members)))
    assert holdout_names(shuffled(data, seed), 0.3) == (train, val)


@given(members=MEMBERS)
@settings(max_examples=60, deadline=None)
def test_categories_are_on_both_sides(members: list[list[str]]) -> None:
    single = [categories[:1] for categories in members]
    _, val = holdout_names(annotations(single), 0.3)
    held_out = {int(name[1:]) for name in val}
    for category in {name for categories in single for name in categories}:
        videos = {i for i, categories in enumerate(single) if category in categories}
        if len(videos) >= 2:
            assert 0 < len(videos & held_out) < len(videos)


def test_split_is_frozen() -> None:
    """The rule of version v1: a changed list needs a new version."""
    _, val = holdout_names(annotations([["a"]] * 40), 0.15)
    assert val == ["v15", "v36", "v39", "v9"]


def test_share_of_held_out_videos() -> None:
    _, val = holdout_names(annotations([["a"]] * 2000), 0.15)
    assert len(val) == pytest.approx(300, abs=50)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -1.0])
def test_fraction_must_be_a_share(fraction: float) -> None:
    with pytest.raises(ValueError, match="fraction must be above 0 and below 1"):
        holdout_names(annotations([["a"]] * 4), fraction)


def test_too_few_videos() -> None:
    with pytest.raises(ValueError, match="too few to hold out"):
        holdout_names(annotations([["a"]]), 0.5)


@pytest.mark.parametrize("name", ["train.json", "annotations/youtube_vis_2019_train.json"])
def test_files_are_written_in_the_form_of_the_source(
    tiny_youtube_vis: Path, tmp_path: Path, name: str
) -> None:
    source = tiny_youtube_vis / name
    files = write_holdout(source, 0.5, tmp_path / "out")
    stem = Path(name).stem
    assert files.train == tmp_path / "out" / f"{stem}_holdout-train.json"
    listing = json.loads(files.names.read_text())
    assert (listing["version"], listing["source"]) == ("v1", source.name)
    whole = read_annotations(source)
    parts = [read_annotations(path) for path in (files.train, files.val)]
    for key in ("videos", "annotations"):
        merged = sorted((entry for part in parts for entry in part[key]), key=lambda e: e["id"])
        assert merged == sorted(whole[key], key=lambda entry: entry["id"])
    for part, side in zip(parts, ("train", "val"), strict=True):
        names = {video["file_names"][0].split("/")[0] for video in part["videos"]}
        assert sorted(names) == listing[side]
        ids = {video["id"] for video in part["videos"]}
        assert {entry["video_id"] for entry in part["annotations"]} == ids
    assert ("images" in json.loads(files.train.read_text())) == name.startswith("annotations")


def test_file_without_annotations_is_refused(tiny_youtube_vis: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"test\.json: field 'annotations' is empty"):
        write_holdout(tiny_youtube_vis / "test.json", folder=tmp_path)


def build(root: Path, split: str, **kwargs: Any) -> VISDataset:
    return VISDataset(data_root=str(root), split=split, serialize_data=False, **kwargs)


def test_splits_of_a_data_set_share_nothing(tiny_youtube_vis: Path) -> None:
    train, valid = build(tiny_youtube_vis, "train"), build(tiny_youtube_vis, "valid")
    assert shared_videos(train, valid) == []
    assert shared_videos(train, train) == ["clip001", "clip002", "clip003"]
    assert shared_videos(ConcatDataset([valid, train]), train) == shared_videos(train, train)
    paths = tiny_youtube_vis / "train.json", tiny_youtube_vis / "valid.json"
    assert shared_videos(*paths) == []
    assert shared_videos(paths[0], str(paths[0])) == ["clip001", "clip002", "clip003"]


def test_ids_say_nothing(copied_root: Path) -> None:
    data = json.loads((copied_root / "valid.json").read_text())
    for entry in data["videos"]:
        entry["id"] -= 10
    for entry in data["annotations"]:
        entry["video_id"] -= 10
    (copied_root / "valid.json").write_text(json.dumps(data))
    valid = build(copied_root, "valid")
    assert [record["video_id"] for record in valid.iter_records()] == [1, 2]
    assert shared_videos(build(copied_root, "train"), valid) == []


def test_copies_are_found_and_equal_names_of_other_videos_are_not(
    tiny_youtube_vis: Path, copied_root: Path
) -> None:
    original = build(tiny_youtube_vis, "train")
    assert shared_videos(original, build(copied_root, "train")) == ["clip001", "clip002", "clip003"]
    frames = copied_root / "train/JPEGImages"
    shutil.rmtree(frames / "clip001")
    shutil.copytree(frames / "clip003", frames / "clip001")
    assert shared_videos(original, build(copied_root, "train")) == ["clip002", "clip003"]
