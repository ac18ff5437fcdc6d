# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as mask_api

from visbench.datasets.moving_shapes import CATEGORIES, Scene, render_frame
from visbench.datasets.moving_shapes.annotations import build_dataset, scene_annotations
from visbench.datasets.moving_shapes.floors import (
    colour_segmentation,
    filled_boxes,
    nearest_category,
    shuffled_ids,
)
from visbench.datasets.moving_shapes.linking import Linker, Region
from visbench.datasets.moving_shapes.shapes import silhouette
from visbench.evaluation import evaluate


def annotations_of(preset: str, videos: int) -> dict[str, Any]:
    scenes = [Scene.sample(preset, "val", index) for index in range(videos)]
    return build_dataset([(scene, scene_annotations(scene)) for scene in scenes], {})


def points(annotations: dict[str, Any], results: list[dict[str, Any]]) -> float:
    return 100 * evaluate(annotations, results).to_dict()["youtube_vis"]["AP"]


@pytest.fixture(scope="module")
def easy() -> dict[str, Any]:
    return annotations_of("easy", 4)


@pytest.fixture(scope="module")
def crowded() -> dict[str, Any]:
    return annotations_of("crowded", 8)


def test_filled_boxes_are_the_boxes(easy: dict[str, Any]) -> None:
    results = filled_boxes(easy)
    wanted: Counter[tuple[int, int, tuple[float, ...]]] = Counter()
    for track in easy["annotations"]:
        for index, box in enumerate(track["bboxes"]):
            if box is not None:
                wanted[track["video_id"], index, tuple(box)] += 1
    got: Counter[tuple[int, int, tuple[float, ...]]] = Counter()
    for result in results:
        for index, segmentation in enumerate(result["segmentations"]):
            if segmentation is not None:
                box = mask_api.toBbox(segmentation)
                assert mask_api.area(segmentation) == box[2] * box[3]
                got[result["video_id"], index, tuple(box)] += 1
    assert got == wanted
    assert 0 < points(easy, results) < 60


def test_shuffled_ids_keep_every_mask(crowded: dict[str, Any]) -> None:
    results = shuffled_ids(crowded)
    for video in crowded["videos"]:
        tracks = [t for t in crowded["annotations"] if t["video_id"] == video["id"]]
        rows = [r for r in results if r["video_id"] == video["id"]]
        for index in range(len(video["file_names"])):
            assert mask_set(tracks, index) == mask_set(rows, index)


def mask_set(tracks: list[dict[str, Any]], index: int) -> set[tuple[int, str]]:
    return {
        (track["category_id"], track["segmentations"][index]["counts"])
        for track in tracks
        if track["segmentations"][index] is not None
    }


def test_crowded_measures_identity(crowded: dict[str, Any]) -> None:
    perfect = [{**track, "score": 1.0} for track in crowded["annotations"]]
    assert points(crowded, perfect) == pytest.approx(100)
    assert points(crowded, shuffled_ids(crowded)) < 10
    assert shuffled_ids(crowded) == shuffled_ids(crowded)
    assert shuffled_ids(crowded, seed=1) != shuffled_ids(crowded)


def test_colour_segmentation_stays_low_on_easy(easy: dict[str, Any]) -> None:
    def read(name: str) -> np.ndarray:
        folder, frame = name.split("/")
        scene = Scene.sample("easy", "val", int(folder[-4:]))
        return render_frame(scene, int(frame[:5]))[0]

    results = colour_segmentation(easy, read)
    assert results
    assert points(easy, results) < 25


@pytest.mark.parametrize("category", range(len(CATEGORIES)))
def test_a_clean_silhouette_is_recognised(category: int) -> None:
    mask = np.zeros((128, 192), dtype=bool)
    mask[20:84, 50:114] = silhouette(category)[::2, ::2]
    found, fit = nearest_category(mask)
    assert found == category
    assert fit > 0.85


def test_linker_follows_the_larger_overlap() -> None:
    def region(left: int, category: int = 1) -> Region:
        mask = np.zeros((10, 40), dtype=bool)
        mask[:, left : left + 10] = True
        return Region(mask, category, 1.0)

    linker = Linker()
    linker.step(0, [region(0), region(20)])
    linker.step(1, [region(22), region(3), region(3, category=2)])
    assert [sorted(chain.regions) for chain in linker.chains] == [[0, 1], [0, 1], [1]]
    linker.step(7, [region(22)])
    assert len(linker.chains) == 4
    free = Linker(by_category=False)
    free.step(0, [region(0)])
    free.step(1, [region(1, category=2)])
    assert len(free.chains) == 1
