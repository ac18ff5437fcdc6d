# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import colorsys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visbench.structures import (
    FrameInstances,
    Prediction,
    Track,
    VideoInfo,
    VideoTracks,
    decode_mask,
    encode_masks,
)
from visbench.visualization import (
    display_scale,
    draw_instances,
    instances_at,
    side_by_side,
    track_colour,
)

HEIGHT, WIDTH = 60, 80


def _instances(score: float = 0.9) -> FrameInstances:
    mask = np.zeros((1, HEIGHT, WIDTH), bool)
    mask[0, 30:50, 40:70] = True
    return FrameInstances([5], [0], [score], [[40, 30, 70, 50]], encode_masks(mask))


def _hue(track_id: int) -> float:
    blue, green, red = (channel / 255 for channel in track_colour(track_id))
    return colorsys.rgb_to_hsv(red, green, blue)[0]


def test_hues_of_the_first_ids_are_well_separated() -> None:
    hues = [_hue(track_id) for track_id in range(8)]
    gaps = [
        min(abs(first - second), 1 - abs(first - second))
        for position, first in enumerate(hues)
        for second in hues[:position]
    ]
    assert min(gaps) > 0.05


@given(st.integers(-(10**9), 10**9))
def test_colours_are_channels_and_differ_between_neighbours(track_id: int) -> None:
    colour = track_colour(track_id)
    assert all(0 <= channel <= 255 for channel in colour)
    assert colour != track_colour(track_id + 1)


def test_pixels_inside_the_mask_take_the_colour_of_the_id() -> None:
    image = np.full((HEIGHT, WIDTH, 3), 100, np.uint8)
    drawn = draw_instances(image, _instances(), ["cat"], opacity=0.5)
    expected = [(100 + channel) // 2 for channel in track_colour(5)]
    np.testing.assert_allclose(drawn[45, 55], expected, atol=1)
    assert (image == 100).all(), "the input must not change"


def test_pixels_outside_box_and_label_are_untouched() -> None:
    image = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    drawn = draw_instances(image, _instances())
    np.testing.assert_array_equal(drawn[52:], image[52:])
    np.testing.assert_array_equal(drawn[:10], image[:10])


def test_instances_below_the_threshold_are_left_out() -> None:
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    assert not draw_instances(image, _instances(0.2), score_threshold=0.3).any()
    assert draw_instances(image, _instances(0.2), score_threshold=0.1).any()


@settings(deadline=None, max_examples=25)
@given(
    st.integers(0, 6),
    st.integers(1, 3),
    st.integers(20, 70),
    st.booleans(),
    st.booleans(),
    st.integers(0, 1000),
)
def test_any_instances_can_be_drawn(
    count: int, scale: int, height: int, with_boxes: bool, with_masks: bool, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    masks = generator.random((count, height, 50)) > generator.random((count, 1, 1))
    boxes = generator.uniform(-20, 90, (count, 4)) if with_boxes else None
    instances = FrameInstances(
        generator.choice(1000, count, replace=False),
        generator.integers(0, 5, count),
        generator.random(count),
        boxes,
        encode_masks(masks) if with_masks else None,
    )
    image = np.zeros((height, 50, 3), np.uint8)
    drawn = draw_instances(image, instances, ["a", "b"], 0.0, scale=scale)
    assert drawn.shape == (height * scale, 50 * scale, 3)


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\[60, 80\] does not fit a frame of \[30, 80\]"):
        draw_instances(np.zeros((30, WIDTH, 3), np.uint8), _instances())


def test_a_grey_image_is_refused() -> None:
    with pytest.raises(ValueError, match="uint8 image is needed"):
        draw_instances(np.zeros((30, 30), np.uint8), FrameInstances.empty())


@pytest.mark.parametrize(
    ("size", "factor"), [((128, 192), 3), ((360, 480), 1), ((720, 1280), 1), ((40, 30), 12)]
)
def test_display_scale(size: tuple[int, int], factor: int) -> None:
    assert display_scale(*size) == factor


def test_side_by_side_keeps_every_panel() -> None:
    panels = [np.full((40, width, 3), width, np.uint8) for width in (50, 60)]
    joined = side_by_side(panels, ["input", "result"])
    assert joined.shape == (40, 110, 3)
    assert (joined[0, :50] == 50).all()
    assert (joined[0, 50:] == 60).all()


def _tracks(boxes: bool = True, masks: bool = True) -> VideoTracks:
    mask = encode_masks(np.ones((1, 4, 6), bool))[0]
    box = np.array([[0, 0, 6, 4], [np.nan] * 4], np.float32) if boxes else None
    track = Track(8, [mask, None] if masks else None, box, np.array([0.5, np.nan], np.float32))
    late = Track(3, [None, mask] if masks else None, box, np.array([0.5, 0.5], np.float32))
    predictions = [Prediction(0, 1, 0.4), Prediction(0, 2, 0.6), Prediction(1, 0, 0.3)]
    return VideoTracks(VideoInfo(1, "v", 4, 6, 2), [track, late], predictions)


def test_instances_at_takes_the_best_prediction_of_present_tracks() -> None:
    first = instances_at(_tracks(), 0)
    assert first.ids.tolist() == [8]
    assert first.labels.tolist() == [2]
    assert first.scores.tolist() == pytest.approx([0.6])
    second = instances_at(_tracks(), 1)
    assert second.ids.tolist() == [3]
    assert second.masks is not None
    assert decode_mask(second.masks[0]).all()
    assert second.boxes is not None
    assert second.boxes.tolist() == [[0, 0, 6, 4]], "a missing box comes from the mask"


@pytest.mark.parametrize(("masks", "ids"), [(True, [8]), (False, [8, 3])])
def test_instances_at_without_masks_follows_the_boxes(masks: bool, ids: list[int]) -> None:
    instances = instances_at(_tracks(masks=masks), 0)
    assert instances.ids.tolist() == ids
    assert (instances.masks is None) == (not masks)


def test_instances_at_of_an_empty_video() -> None:
    assert len(instances_at(VideoTracks(VideoInfo(1, "v", 4, 6, 2)), 0)) == 0
