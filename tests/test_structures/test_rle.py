# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from visbench.structures import RLE, decode_mask, encode_masks, rle_area, rle_to_box
from visbench.structures.rle import check_mask, run_lengths

sides = st.integers(1, 24)
masks = hnp.arrays(bool, st.tuples(st.integers(0, 3), sides, sides))


@given(masks)
def test_masks_survive_the_round_trip(array: Any) -> None:
    encoded = json.loads(json.dumps(encode_masks(array)))
    assert len(encoded) == len(array)
    for mask, rle in zip(array, encoded, strict=True):
        assert rle["size"] == list(mask.shape)
        assert np.array_equal(decode_mask(rle), mask)
        assert rle_area(rle) == mask.sum()


@given(masks)
def test_box_is_tight(array: Any) -> None:
    for mask, rle in zip(array, encode_masks(array), strict=True):
        rows, columns = np.nonzero(mask)
        expected = [0, 0, 0, 0]
        if len(rows):
            expected = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert rle_to_box(rle).tolist() == expected


@settings(max_examples=20)
@given(masks, st.sampled_from([torch.bool, torch.uint8, torch.int64]))
def test_tensors_and_arrays_are_alike(array: Any, dtype: torch.dtype) -> None:
    assert encode_masks(torch.from_numpy(array).to(dtype)) == encode_masks(array)


def test_any_nonzero_value_is_foreground() -> None:
    array = np.array([[[0, 2], [-1, 255]]], dtype=np.int64)
    assert decode_mask(encode_masks(array)[0]).tolist() == [[False, True], [True, True]]


@pytest.mark.parametrize("shape", [(4, 4), (1, 1, 4, 4)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"shape \(n, H, W\)"):
        encode_masks(np.zeros(shape, dtype=bool))


@given(hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)))
def test_run_lengths_are_those_of_the_mask(mask: np.ndarray) -> None:
    (rle,) = encode_masks(mask[None])
    check_mask(rle)
    values = np.resize([0, 1], len(run_lengths(rle["counts"])))
    flat = np.repeat(values, run_lengths(rle["counts"]))
    np.testing.assert_array_equal(flat, mask.ravel(order="F"))


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ("", "runs of 0 pixels in a mask of 6"),
        ("05", "runs of 5 pixels"),
        ("07", "runs of 7 pixels"),
        ("8O", "runs of"),
        ("0V", "cut off"),
        ("0 6", "' ' is no part"),
        ("0\x80", "is no part"),
    ],
)
def test_masks_that_do_not_fit_are_refused(counts: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_mask(RLE(size=[2, 3], counts=counts))
