# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as mask_utils

from visbench.evaluation.mask_measures import measure, measure_extents
from visbench.evaluation.mask_texts import MaskTexts
from visbench.evaluation.run_lengths import MaskError, compress_runs


def encode(mask: np.ndarray) -> str:
    return mask_utils.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 12))
def test_areas_of_random_masks(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    masks = []
    for _ in range(count):
        shape = rng.integers(1, [30, 400])
        masks.append(rng.random(shape) < rng.choice([0.0, 0.001, 0.02, 0.5, 1.0]))
    strings = [encode(mask) for mask in masks]
    pixels = np.array([mask.size for mask in masks])
    areas, same = measure(strings, pixels)
    assert areas.tolist() == [int(mask.sum()) for mask in masks]
    assert all(a is b for a, b in zip(same, strings, strict=True))


def test_more_masks_than_an_eight_bit_count_holds() -> None:
    mask = np.zeros((6, 7), bool)
    mask[2:4, 1:5] = True
    areas, _ = measure([encode(mask)] * 600, np.full(600, 42))
    assert areas.tolist() == [8] * 600


@settings(max_examples=80, deadline=None)
@given(runs=st.lists(st.integers(0, 5), min_size=1, max_size=14).filter(sum))
def test_runs_of_zero_are_merged(runs: list[int]) -> None:
    total = sum(runs)
    flat = np.concatenate([np.full(n, i % 2, bool) for i, n in enumerate(runs)])
    expected = encode(flat[:, None])
    assert compress_runs(runs, total, 1) == expected
    raw = mask_utils.frPyObjects({"size": [total, 1], "counts": runs}, total, 1)["counts"].decode()
    areas, strings = measure([expected, raw], np.array([total, total]))
    assert areas.tolist() == [int(flat.sum())] * 2
    assert strings == [expected, expected]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "empty"),
        ("36m", "cut off"),
        ("36p", "alphabet"),
        ("36/", "alphabet"),
        ("3~6;", "alphabet"),
        ("36~;", "alphabet"),
        ("36<" + "o" * 9 + "0", "too large"),
        ("361", "cover 10 pixels"),
        ("36m0", "run of 29 pixels"),
        ("36<Cd0", "negative run"),
    ],
)
def test_damaged_string_is_named_among_good_ones(text: str, problem: str) -> None:
    good = compress_runs([3, 6, 11], 4, 5)
    with pytest.raises(MaskError, match=problem) as caught:
        measure([good, good, text, good], np.full(4, 20))
    assert caught.value.index == 2


def test_run_lengths_that_wrap_round_in_32_bits_are_refused() -> None:
    wrapped = mask_utils.frPyObjects({"size": [4, 5], "counts": [3, 6, 2**32 - 5, 16]}, 4, 5)
    with pytest.raises(MaskError, match=r"negative run|run of"):
        measure([wrapped["counts"].decode()], np.array([20]))


def plain_measure(text: str, pixels: int) -> tuple[int, list[int]] | None:
    """Decode character by character; None if the mask is not valid."""
    runs: list[int] = []
    digits: list[int] = []
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64:
            return None
        digits.append(code % 32)
        if code < 32:
            value = sum(digit * 32**k for k, digit in enumerate(digits))
            value -= 32 ** len(digits) if digits[-1] >= 16 else 0
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            digits = []
    if not text or digits or min(runs) < 0 or sum(runs) != pixels:
        return None
    return sum(runs[1::2]), runs


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 5), changes=st.integers(0, 3))
def test_damaged_strings_never_pass(seed: int, count: int, changes: int) -> None:
    rng = np.random.default_rng(seed)
    strings, sizes = [], []
    for _ in range(count):
        mask = rng.random(rng.integers(1, [20, 90])) < rng.choice([0.01, 0.3, 0.9])
        strings.append(encode(mask))
        sizes.append(mask.size)
    for _ in range(changes):
        which = int(rng.integers(count))
        letters = list(strings[which])
        letters[rng.integers(len(letters))] = chr(rng.integers(32, 128))
        strings[which] = "".join(letters[: rng.integers(0, len(letters) + 1)]) or strings[which]
    expected = [plain_measure(text, size) for text, size in zip(strings, sizes, strict=True)]
    try:
        areas, merged = measure(strings, np.array(sizes))
    except MaskError as error:
        assert expected[error.index] is None
        return
    for area, text, size, found in zip(areas, merged, sizes, expected, strict=True):
        assert found is not None
        assert area == found[0]
        # What comes out is what pycocotools can be trusted with.
        assert text == compress_runs(found[1], size, 1)
        assert mask_utils.area({"size": [size, 1], "counts": text}) == area


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_nothing_lies_outside_of_the_extents(seed: int) -> None:
    rng = np.random.default_rng(seed)
    masks = [rng.random((9, 40)) < rng.choice([0.0, 0.01, 1.0]) for _ in range(6)]
    found = measure_extents([MaskTexts.of([encode(mask) for mask in masks])], np.full(6, 360))
    for mask, first, stop in zip(masks, found.first, found.stop, strict=True):
        inside = np.flatnonzero(mask.reshape(-1, order="F"))
        if len(inside):
            assert (first, stop) == (inside[0], inside[-1] + 1)


def test_long_runs_of_large_images() -> None:
    runs = [2**30 - 7, 3, 1, 2**30 - 9, 2, 4]
    pixels = sum(runs)
    areas, _ = measure([compress_runs(runs, pixels, 1)] * 3, np.full(3, pixels))
    assert areas.tolist() == [sum(runs[1::2])] * 3
