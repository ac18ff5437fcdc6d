# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pycocotools import mask as mask_api

from visbench.datasets.moving_shapes import (
    CATEGORIES,
    PRESETS,
    VIDEOS,
    FrameTruth,
    Scene,
    frame_truth,
    render_frame,
)
from visbench.datasets.moving_shapes.annotations import (
    build_dataset,
    occlusion_label,
    scene_annotations,
)
from visbench.datasets.moving_shapes.draws import Draws
from visbench.datasets.moving_shapes.motion import PIXEL, Motions
from visbench.datasets.moving_shapes.presets import (
    FRAME_HEIGHT,
    FRAME_WIDTH,
    MINIMUM_VISIBLE,
    MIXED_PARTS,
)
from visbench.datasets.moving_shapes.shapes import SPRITE_RADIUS, SPRITE_SIZE, silhouette
from visbench.datasets.moving_shapes.statistics import (
    occlusion_level,
    occlusion_score,
    scene_facts,
    summarise,
)
from visbench.datasets.moving_shapes.textures import colour_distance

DIGESTS = {
    "easy": "72a0e24fbf12c8787c028e088716741d116eda3e6cdac1fee1af5e9efb507b8d",
    "occluded": "b03c89d80c63c2b96428e995deb4321abbc9ff44e79ce656b1c359b10326b81b",
    "crowded": "f6e273138619a31795c91d5b3eea6e76e6270bf5ba5796388aad2bf60851ab97",
    "long": "38ad77d77aa4eacfdccf40a5ca8a8f5476b15677a571e6adde577742357f844c",
}
"""Frozen: a changed pixel is a new version of the data set, and all rows are run again."""

LEVELS = {
    "easy": (80, 15, 5),
    "occluded": (20, 40, 40),
    "crowded": (30, 40, 30),
    "long": (50, 30, 20),
}


def digest(preset: str) -> str:
    sha = hashlib.sha256()
    for split, index in (("train", 0), ("train", 399), ("valid", 0), ("valid", 59)):
        scene = Scene.sample(preset, split, index)
        for frame in (0, 7, 18, 29, scene.length - 1):
            image, truth = render_frame(scene, frame)
            sha.update(image.tobytes())
            sha.update(truth.labels.tobytes())
            sha.update(np.stack([truth.visible, truth.amodal]).astype("<i8").tobytes())
    return sha.hexdigest()


@pytest.fixture
def threads() -> Iterator[None]:
    before = cv2.getNumThreads()
    yield
    cv2.setNumThreads(before)


@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("preset", list(PRESETS))
def test_pixels_are_frozen_and_independent_of_threads(
    preset: str, count: int, threads: None
) -> None:
    cv2.setNumThreads(count)
    assert digest(preset) == DIGESTS[preset]


def test_draws_are_frozen() -> None:
    draws = Draws(1, 2, 3)
    assert [draws.integer(0, 999) for _ in range(4)] == [670, 111, 511, 356]
    assert sorted(draws.order(9)) == list(range(9))
    with pytest.raises(ValueError, match="empty range"):
        draws.integer(1, 0)


@given(st.integers(-50, 50), st.integers(0, 100), st.integers(0, 2**31))
def test_draws_stay_in_range(low: int, extent: int, key: int) -> None:
    draws = Draws(key)
    values = [draws.integer(low, low + extent), *draws.array(low, low + extent, 3, 4).ravel()]
    assert all(low <= value <= low + extent for value in values)


def test_splits_and_presets_share_no_scene() -> None:
    scenes = [
        Scene.sample(preset, split, index)
        for preset in PRESETS
        if preset != "long"
        for split in VIDEOS
        for index in range(12)
    ]
    keys = {(scene.background_key, scene.objects) for scene in scenes}
    assert len(keys) == len(scenes)
    assert len({scene.name for scene in scenes}) == len(scenes)


def test_mixed_takes_its_parts_in_turn() -> None:
    parts = [Scene.sample("mixed", "train", index) for index in range(7)]
    assert [scene.preset.name for scene in parts] == [MIXED_PARTS[i % 3] for i in range(7)]
    assert [scene.index for scene in parts] == [0, 0, 0, 1, 1, 1, 2]
    assert parts[4] == Scene.sample("occluded", "train", 1)
    assert Scene.sample("mixed", "train", 399).index == 133


@pytest.mark.parametrize(
    ("preset", "split", "index", "message"),
    [
        ("simple", "train", 0, "preset: 'simple'"),
        ("easy", "test", 0, "split: 'test'"),
        ("easy", "val", 60, "index: video 60"),
        ("easy", "train", -1, "index: video -1"),
        ("mixed", "val", 0, "train split only"),
    ],
)
def test_what_does_not_exist_is_refused(preset: str, split: str, index: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Scene.sample(preset, split, index)


def test_a_frame_that_does_not_exist_is_refused() -> None:
    scene = Scene.sample("easy", "val", 0)
    with pytest.raises(IndexError, match="frame 36"):
        render_frame(scene, 36)
    with pytest.raises(IndexError, match="frame -1"):
        frame_truth(scene, -1)


@pytest.mark.parametrize(
    ("preset", "videos"), [("easy", 200), ("occluded", 90), ("crowded", 90), ("long", 10)]
)
def test_statistics_keep_the_frozen_table(preset: str, videos: int) -> None:
    scenes = [Scene.sample(preset, "train", index) for index in range(videos)]
    tracks = [fact for scene in scenes for fact in scene_facts(scene)]
    numbers = summarise(tracks)
    # Few videos of long fit into a fast test; docs/moving_shapes.md has all of them.
    bound = 10 if preset == "long" else 5
    for level, share in zip(("light", "medium", "heavy"), LEVELS[preset], strict=True):
        assert abs(numbers[level] - share) <= bound, (level, numbers[level])
    assert 2 <= numbers["median_speed"] <= 4
    assert numbers["smallest_area"] >= 1
    assert numbers["largest_area"] <= 10
    assert numbers["late_or_return"] >= 25
    assert numbers["late"] > 0
    assert numbers["fewest_frames"] >= 2
    low, high = {"easy": (1, 4), "occluded": (4, 8), "crowded": (5, 8), "long": (1, 15)}[preset]
    assert {len(scene.objects) for scene in scenes} <= set(range(low, high + 1))
    assert len({spec.category for scene in scenes for spec in scene.objects}) == len(CATEGORIES)


def mean_colour(scene: Scene, index: int) -> NDArray[np.float64]:
    sprite = scene.sprites[index]
    return sprite[sprite[..., 3] > 0][:, :3].mean(axis=0)


def test_crowded_holds_look_alikes() -> None:
    for index in range(12):
        scene = Scene.sample("crowded", "train", index)
        assert len({spec.category for spec in scene.objects}) <= 2
        colours = np.stack([mean_colour(scene, i) for i in range(len(scene.objects))])
        assert (colours.max(axis=0) - colours.min(axis=0)).max() <= 0.05 * 255


def test_easy_holds_no_look_alikes() -> None:
    for index in range(60):
        objects = Scene.sample("easy", "train", index).objects
        colours = [spec.texture.colour for spec in objects]
        for i, first in enumerate(colours):
            assert all(colour_distance(first, second) >= 20 for second in colours[:i])


def test_occluded_holds_some_look_alikes() -> None:
    pairs = 0
    for index in range(20):
        objects = Scene.sample("occluded", "train", index).objects
        for i, first in enumerate(objects):
            pairs += any(
                first.category == second.category
                and colour_distance(first.texture.colour, second.texture.colour) <= 10
                for second in objects[:i]
            )
    assert 10 <= pairs <= 60


def test_any_frame_costs_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene.sample("long", "val", 0)
    asked: list[int] = []
    evaluate = Motions.at

    def counting(self: Motions, ticks: NDArray[np.int64]) -> Any:
        asked.append(len(ticks))
        return evaluate(self, ticks)

    monkeypatch.setattr(Motions, "at", counting)
    late, _ = render_frame(scene, 499)
    assert asked == [5]
    render_frame(scene, 0)
    assert asked == [5, 5]
    assert np.array_equal(late, render_frame(Scene.sample("long", "val", 0), 499)[0])


def exact_silhouette(scene: Scene, number: int, index: int) -> NDArray[np.bool_]:
    """The amodal mask by rotating every pixel's centre back in floating point."""
    poses = scene.poses(index, np.zeros(1, dtype=np.int64))
    x, y, radius = (float(v[number, 0]) / PIXEL for v in (poses.x, poses.y, poses.radius))
    angle = math.atan2(float(poses.sine[number, 0]), float(poses.cosine[number, 0]))
    rows, columns = np.mgrid[:FRAME_HEIGHT, :FRAME_WIDTH] + 0.5
    scale = SPRITE_RADIUS / radius
    dx, dy = (columns - x) * scale, (rows - y) * scale
    u = np.floor(math.cos(angle) * dx + math.sin(angle) * dy + SPRITE_SIZE / 2).astype(int)
    v = np.floor(math.cos(angle) * dy - math.sin(angle) * dx + SPRITE_SIZE / 2).astype(int)
    inside = (u >= 0) & (u < SPRITE_SIZE) & (v >= 0) & (v < SPRITE_SIZE)
    shape = silhouette(scene.objects[number].category)
    return inside & shape[v.clip(0, SPRITE_SIZE - 1), u.clip(0, SPRITE_SIZE - 1)]


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(list(PRESETS)), st.integers(0, 59), st.integers(0, 35))
def test_masks_and_occlusion_agree_with_brute_force(preset: str, index: int, frame: int) -> None:
    scene = Scene.sample(preset, "val", index)
    frame = frame * (scene.length // 36)
    truth = frame_truth(scene, frame)
    taken = np.zeros((FRAME_HEIGHT, FRAME_WIDTH), dtype=bool)
    for number in scene.alive(frame):
        whole = exact_silhouette(scene, number, frame)
        modal = whole & ~taken
        taken |= whole
        wrong = np.count_nonzero(modal != truth.mask(number))
        assert wrong <= 2 + 0.03 * np.count_nonzero(whole)
        assert abs(int(truth.amodal[number]) - np.count_nonzero(whole)) <= 2 + 0.02 * whole.sum()
        hidden = 1 - float(modal.sum()) / max(1, int(whole.sum()))
        if truth.present[number] and min(abs(hidden - 0.05), abs(hidden - 0.5)) > 0.04:
            expected = ("no", "slight", "severe")[(hidden >= 0.05) + (hidden >= 0.5)]
            visible, amodal = int(truth.visible[number]), int(truth.amodal[number])
            assert occlusion_label(visible, amodal) == f"{expected}_occlusion"


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(["easy", "occluded", "crowded"]), st.integers(0, 399))
def test_annotations_agree_with_the_masks(preset: str, index: int) -> None:
    scene = Scene.sample(preset, "train", index)
    truths = [frame_truth(scene, frame) for frame in range(scene.length)]
    for number, annotation in enumerate(scene_annotations(scene)):
        assert annotation["category_id"] == scene.objects[number].category + 1
        fields = ("segmentations", "bboxes", "areas", "occlusion")
        for frame, entries in enumerate(zip(*(annotation[f] for f in fields), strict=True)):
            check_entries(truths[frame], number, entries)


def check_entries(truth: FrameTruth, number: int, entries: tuple[Any, ...]) -> None:
    segmentation, box, area, label = entries
    if segmentation is None:
        assert (box, area, label) == (None, None, None)
        assert truth.visible[number] < MINIMUM_VISIBLE
        return
    mask = mask_api.decode(segmentation).astype(bool)
    assert np.array_equal(mask, truth.mask(number))
    assert area == mask.sum() == truth.visible[number]
    assert list(mask_api.toBbox(segmentation)) == box
    assert area <= truth.amodal[number]
    assert label == occlusion_label(area, int(truth.amodal[number]))


@settings(max_examples=10, deadline=None)
@given(st.sampled_from(["easy", "occluded", "crowded"]), st.integers(0, 59), st.integers(0, 35))
def test_drawing_and_measuring_give_the_same_masks(preset: str, index: int, frame: int) -> None:
    scene = Scene.sample(preset, "val", index)
    image, drawn = render_frame(scene, frame)
    measured = frame_truth(scene, frame)
    assert image.shape == (FRAME_HEIGHT, FRAME_WIDTH, 3)
    assert image.dtype == np.uint8
    assert np.array_equal(drawn.labels, measured.labels)
    assert np.array_equal(drawn.amodal, measured.amodal)
    backdrop = scene.backdrop(frame)
    changed = np.any(image != backdrop, axis=2)
    # Antialiasing and blur reach a few pixels beyond the masks at the shutter's middle.
    near = cv2.dilate((drawn.labels > 0).astype(np.uint8), np.ones((11, 11), dtype=np.uint8)) > 0
    # So do those of an object that is just outside of the frame then.
    inside = np.s_[5:-5, 5:-5]
    assert not (changed & ~near)[inside].any()


@given(st.integers(1, 4000), st.integers(0, 4000))
def test_occlusion_labels(visible: int, hidden: int) -> None:
    share = hidden / (visible + hidden)
    label = occlusion_label(visible, visible + hidden)
    if abs(share - 0.05) > 1e-9 and abs(share - 0.5) > 1e-9:
        words = ("no_occlusion", "slight_occlusion", "severe_occlusion")
        assert label == words[(share > 0.05) + (share > 0.5)]


def test_occlusion_label_at_the_limits() -> None:
    assert occlusion_label(95, 100) == "slight_occlusion"
    assert occlusion_label(50, 100) == "severe_occlusion"


def test_occlusion_score_and_level() -> None:
    none, slight, severe = "no_occlusion", "slight_occlusion", "severe_occlusion"
    assert occlusion_score([none, None, severe, slight]) == 0.5
    assert occlusion_score([slight, slight, None, none, none]) == 0.25
    assert [occlusion_level(v) for v in (0, 0.25, 0.26, 0.5, 0.51)] == [
        "light", "light", "medium", "medium", "heavy",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="visible in no frame"):
        occlusion_score([None, None])


def test_file_counts_ids_from_one_and_is_json() -> None:
    scenes = [Scene.sample("easy", "val", index) for index in range(3)]
    parts = [(scene, scene_annotations(scene)) for scene in scenes]
    data = json.loads(json.dumps(build_dataset(parts, {"version": "v1"})))
    assert [video["id"] for video in data["videos"]] == [1, 2, 3]
    ids = [annotation["id"] for annotation in data["annotations"]]
    assert ids == list(range(1, sum(len(scene.objects) for scene in scenes) + 1))
    assert [category["name"] for category in data["categories"]] == list(CATEGORIES)
    assert data["videos"][0]["file_names"][1] == "easy_valid_0000/00001.png"
    for annotation in data["annotations"]:
        video = data["videos"][annotation["video_id"] - 1]
        assert len(annotation["segmentations"]) == video["length"] == len(video["file_names"])
