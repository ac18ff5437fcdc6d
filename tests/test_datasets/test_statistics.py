# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from visbench.datasets.converters.annotation_file import AnnotationFile, box_mask
from visbench.datasets.statistics import DatasetStatistics, dataset_statistics, gap_lengths
from visbench.datasets.statistics_page import html_page, markdown, terminal_tables

HEIGHT, WIDTH = 20, 50


def content() -> dict[str, Any]:
    """Two videos: one with two objects, one of them away for two frames; one without objects."""
    file = AnnotationFile("made", {1: "cat", 2: "dog", 3: "never"})
    first = file.add_video([f"a/{t}.jpg" for t in range(5)], HEIGHT, WIDTH)
    file.add_video([f"b/{t}.jpg" for t in range(3)], HEIGHT, WIDTH)
    file.add_track(first, 2, {t: box_mask((t, 0, 10, 10), HEIGHT, WIDTH) for t in range(5)}, "dog")
    still = box_mask((20, 5, 20, 10), HEIGHT, WIDTH)
    file.add_track(first, 1, dict.fromkeys((0, 1, 4), still), "cat")
    found = file.content()
    severe, none, slight = (f"{word}_occlusion" for word in ("severe", "no", "slight"))
    found["annotations"][1]["occlusion"] = [severe, none, None, None, slight]
    return found


@pytest.fixture(scope="module")
def found() -> DatasetStatistics:
    return dataset_statistics(content())


def test_counts(found: DatasetStatistics) -> None:
    assert found.counts == {
        "videos": 2,
        "frames": 8,
        "categories": 3,
        "tracks": 2,
        "crowds": 0,
        "objects in frames": 8,
        "frames without object": 3,
        "videos without object": 1,
    }
    assert found.classes == {"cat": (1, 1, 3), "dog": (1, 1, 5), "never": (0, 0, 0)}


def test_distributions(found: DatasetStatistics) -> None:
    values = {name: sorted(item.values.tolist()) for name, item in found.distributions.items()}
    assert values["video_length"] == [3, 5]
    assert values["tracks_per_video"] == [0, 2]
    assert values["objects_per_frame"] == [0, 0, 0, 1, 1, 2, 2, 2]
    assert values["track_length"] == [3, 5]
    assert values["object_size"] == [10.0] * 5 + [20.0] * 3
    assert values["gaps"] == [2]
    assert values["motion"] == [pytest.approx(90 / 110), 1.0]
    assert values["occlusion"] == [pytest.approx((0.75 + 0.25) / 2)]
    assert found.groups["motion"] == {"slow": 1, "medium": 1}
    assert found.groups["video_length"] == {"short": 2}


@given(st.lists(st.booleans(), max_size=12))
def test_gaps_are_between_appearances(present: list[bool]) -> None:
    seen = [index for index, there in enumerate(present) if there]
    expected = [second - first - 1 for first, second in pairwise(seen) if second > first + 1]
    assert gap_lengths(np.array(present, dtype=bool)) == expected


def test_files_without_objects_and_of_boxes(tiny_youtube_vis: Path, tmp_path: Path) -> None:
    test = dataset_statistics(tiny_youtube_vis / "test.json")
    assert set(test.distributions) == {"video_length"} and "tracks" not in test.counts
    data = json.loads((tiny_youtube_vis / "train.json").read_text())
    for annotation in data["annotations"]:
        del annotation["segmentations"]
    boxes = dataset_statistics(data)
    masks = dataset_statistics(tiny_youtube_vis / "train.json")
    assert boxes.counts == masks.counts
    assert boxes.distributions["gaps"].values.tolist() == [1.0]


def test_tables(found: DatasetStatistics) -> None:
    text = markdown(found)
    assert "| frames | 8 |" in text and "| cat | 1 | 1 | 3 |" in text
    assert "| occlusion: heavy | 1 | 50.0 |" in text
    assert len(terminal_tables(found)) == 4


def test_the_page_stands_alone() -> None:
    data = content()
    data["categories"][0]["name"] = "<script>alert(1)</script>"
    page = html_page(dataset_statistics(data))
    assert "&lt;script&gt;alert" in page and "<script>alert" not in page
    assert 'src="http' not in page and page.count("plotly-graph-div") >= 8
