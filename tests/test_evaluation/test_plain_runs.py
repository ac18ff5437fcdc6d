# SPDX-License-Identifier: Apache-2.0
"""Uncompressed masks measured at once are what they are one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visbench.evaluation import InputError
from visbench.evaluation.fields import Fields
from visbench.evaluation.mask_fields import read_masks
from visbench.evaluation.plain_runs import measure_runs
from visbench.evaluation.run_lengths import compress_runs
from visbench.evaluation.tracks import MaskTrack

SIZE = (6, 7)
PIXELS = 42


def read(entries: list[Any]) -> MaskTrack:
    return read_masks(Fields("gt.json", "annotations[0]", {"segmentations": entries}), SIZE)


@st.composite
def runs(draw: st.DrawFn) -> list[int]:
    cuts = draw(st.lists(st.integers(0, PIXELS), max_size=8))
    return np.diff([0, *sorted(cuts), PIXELS]).tolist()


@settings(max_examples=300, deadline=None)
@given(entries=st.lists(st.none() | runs(), min_size=1, max_size=5))
def test_same_as_compressed_ones(entries: list[list[int] | None]) -> None:
    plain = [r and {"size": [*SIZE], "counts": r} for r in entries]
    packed = [r and {"size": [*SIZE], "counts": compress_runs(r, *SIZE)} for r in entries]
    one, two = read(plain), read(packed)
    assert list(one.counts) == list(two.counts)
    assert one.frames.tolist() == two.frames.tolist()
    assert one.sizes == two.sizes
    assert np.array_equal(one.areas, two.areas)
    filled = one.areas > 0
    assert np.array_equal(one.spans[:, filled], two.spans[:, filled])
    assert one.mean_area == two.mean_area
    assert one.rles == two.rles


def test_what_is_measured_at_once() -> None:
    mask = {"size": [*SIZE], "counts": [0, 5, 37]}
    assert measure_runs([mask, None], SIZE) is not None
    assert measure_runs([None], SIZE) is None


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"counts": [5, 38]}, "cover 43 pixels"),
        ({"counts": [50, -8]}, "at least 0"),
        ({"counts": [2**63 - 1, 2**63 - 1, 44]}, "cover 18446744073709551658 pixels"),
        ({"counts": [2**64]}, "pixels|integers"),
        ({"counts": [1.5, 40.5]}, "list of integers"),
        ({"counts": []}, "at least 0|list of integers"),
        ({"counts": [[42]]}, "list of integers"),
        ({"size": [7, 6]}, "size"),
        ({"size": [6.0, 7.0]}, "size"),
        ({"size": None}, "size"),
    ],
)
@pytest.mark.parametrize("where", [0, 2])
def test_defects_are_named(change: dict[str, Any], problem: str, where: int) -> None:
    entries: list[Any] = [{"size": [*SIZE], "counts": [4, 38]} for _ in range(3)]
    entries[where] = {**entries[where], **change}
    with pytest.raises(InputError, match=problem) as caught:
        read(entries)
    assert f"segmentations[{where}]" in str(caught.value)
