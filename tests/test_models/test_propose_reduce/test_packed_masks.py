# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from visbench.models.propose_reduce import packed_masks
from visbench.models.propose_reduce.association import grown_boxes, pack_masks

dense = st.tuples(st.integers(0, 4), st.integers(1, 9), st.integers(1, 140)).flatmap(
    lambda shape: arrays(bool, shape)
)


@given(dense)
@settings(deadline=None)
def test_packing_loses_nothing(masks: np.ndarray) -> None:
    packed = pack_masks(masks)
    assert len(packed) == len(masks)
    for mask, expected in zip(packed, masks, strict=True):
        np.testing.assert_array_equal(mask.unpack(), expected)
        assert mask.unpack().dtype == np.bool_
        assert (mask.area, mask.size) == (np.count_nonzero(expected), expected.shape)
        if expected.any():
            rows, columns = np.nonzero(expected)
            box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            assert mask.box == box


def test_only_the_box_is_held() -> None:
    mask = np.zeros((1, 360, 640), dtype=bool)
    mask[0, 100:110, 130:140] = True
    assert pack_masks(mask)[0].words.nbytes == 10 * 8
    assert pack_masks(np.zeros((1, 360, 640)))[0].words.nbytes == 0


@given(arrays(np.uint64, (3, 5)))
@settings(deadline=None)
def test_bits_are_counted_without_numpy_2(words: np.ndarray) -> None:
    expected = [[bin(word).count("1") for word in row] for row in words.tolist()]
    assert packed_masks._count_by_table(words).tolist() == expected
    assert packed_masks.count_bits(words).tolist() == expected


def test_tensors_and_integers_are_masks() -> None:
    mask = np.arange(12).reshape(1, 3, 4) % 3
    (expected,) = pack_masks(mask > 0)
    for given_mask in (mask, torch.from_numpy(mask), torch.from_numpy(mask > 0)):
        np.testing.assert_array_equal(pack_masks(given_mask)[0].unpack(), expected.unpack())


@pytest.mark.parametrize("function", [pack_masks, grown_boxes])
def test_another_number_of_dimensions_is_told(function: object) -> None:
    with pytest.raises(ValueError, match=r"\(n, H, W\), got \(3, 4\)"):
        function(np.zeros((3, 4)))  # type: ignore[operator]


def test_grown_boxes() -> None:
    masks = np.zeros((4, 10, 16), dtype=bool)
    masks[0, 3:5, 4:9] = True
    masks[1, 0, 0] = masks[1, 9, 15] = True
    masks[2, 8:, 15] = True
    boxes = grown_boxes(masks)
    assert boxes.tolist() == [[3, 2, 9, 5], [0, 0, 15, 9], [14, 7, 15, 9], [0, 0, 15, 9]]
    assert grown_boxes(masks[:0]).shape == (0, 4)
