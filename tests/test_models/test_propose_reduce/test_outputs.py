# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from visbench.models.propose_reduce.association import pack_masks
from visbench.models.propose_reduce.outputs import MASKS_AT_ONCE, resize_masks, to_tracks
from visbench.structures import Prediction, VideoInfo, decode_mask


def video(length: int, size: tuple[int, int]) -> VideoInfo:
    return VideoInfo(3, "cat", *size, length)


def test_padding_is_cut_off_and_masks_are_enlarged() -> None:
    masks = np.zeros((3, 32, 64), dtype=bool)
    masks[0, 4:8, 10:20] = True
    masks[2, 2:6, 40:64] = True
    sequence = pack_masks(masks)
    tracks = to_tracks(video(3, (48, 96)), [sequence], (24, 48), (48, 96), [Prediction(0, 1, 0.7)])
    (track,) = tracks.tracks
    assert (track.id, tracks.predictions) == (0, [(0, 1, 0.7)])
    assert track.masks is not None
    assert track.masks[1] is None
    expected = masks[:, :24, :48].repeat(2, axis=1).repeat(2, axis=2)
    for index in (0, 2):
        np.testing.assert_array_equal(decode_mask(track.masks[index]), expected[index])
    np.testing.assert_array_equal(track.boxes, [[20, 8, 40, 16], [np.nan] * 4, [80, 4, 96, 12]])
    np.testing.assert_array_equal(track.frame_scores, np.float32([0.7, np.nan, 0.7]))


def test_resizing_is_bilinear_with_half_pixel_centres() -> None:
    rng = np.random.default_rng(0)
    mask = rng.random((1, 9, 11)) < 0.5
    height, width = 13, 6
    y = (np.arange(height) + 0.5) * 9 / height - 0.5
    x = (np.arange(width) + 0.5) * 11 / width - 0.5
    rows = np.stack([np.interp(y, np.arange(9), mask[0, :, c]) for c in range(11)], axis=1)
    expected = np.stack([np.interp(x, np.arange(11), row) for row in rows])
    resized = resize_masks(mask, (9, 11), (height, width))[0]
    clear = np.abs(expected - 0.5) > 1e-6
    assert clear.any()
    np.testing.assert_array_equal(resized[clear], (expected > 0.5)[clear])


def test_long_sequences_are_resized_in_parts() -> None:
    rng = np.random.default_rng(1)
    masks = rng.random((2 * MASKS_AT_ONCE + 3, 8, 8)) < 0.5
    masks[5] = False
    tracks = to_tracks(video(len(masks), (8, 8)), [pack_masks(masks)], (8, 8), (8, 8), [])
    found = tracks.tracks[0].masks or []
    for mask, expected in zip(found, masks, strict=True):
        assert (mask is None) == (not expected.any())
        if mask is not None:
            np.testing.assert_array_equal(decode_mask(mask), expected)
    assert tracks.tracks[0].frame_scores[0] == 0


def test_a_mask_that_vanishes_in_resizing_is_absent() -> None:
    masks = np.zeros((1, 40, 40), dtype=bool)
    masks[0, 3, 3] = True
    (track,) = to_tracks(video(1, (4, 4)), [pack_masks(masks)], (40, 40), (4, 4), []).tracks
    assert track.masks == [None]


def test_no_sequences() -> None:
    assert to_tracks(video(4, (8, 8)), [], (8, 8), (8, 8), []).tracks == []


def test_masks_smaller_than_the_image_are_told() -> None:
    sequence = pack_masks(np.ones((1, 8, 8)))
    with pytest.raises(ValueError, match=r"\(8, 8\) are smaller than the image in them, \(9, 8\)"):
        to_tracks(video(1, (8, 8)), [sequence], (9, 8), (8, 8), [])
