# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from visbench.structures import FrameInstances, encode_masks


def make(number: int = 3) -> FrameInstances:
    return FrameInstances(
        ids=torch.arange(number) + 5,
        labels=torch.arange(number),
        scores=torch.linspace(0.1, 0.9, number),
        boxes=torch.arange(4 * number).view(number, 4),
        masks=encode_masks(torch.eye(number, dtype=torch.bool)[:, None]),
    )


def test_fields_are_numpy_arrays_of_fixed_types() -> None:
    frame = make()
    assert frame.ids.dtype == frame.labels.dtype == np.int64
    assert frame.scores.dtype == np.float32
    assert frame.boxes is not None and frame.boxes.dtype == np.float32
    assert frame.boxes.shape == (3, 4)
    assert len(frame) == 3
    assert "[5, 6, 7]" in repr(frame)


@pytest.mark.parametrize(
    "keep", [[2, 0], np.array([True, False, True]), torch.tensor([True, False, True])]
)
def test_select_takes_indices_and_booleans(keep: Any) -> None:
    frame, chosen = make(), make().select(keep)
    rows = [2, 0] if isinstance(keep, list) else [0, 2]
    assert chosen.ids.tolist() == frame.ids[rows].tolist()
    assert chosen.labels.tolist() == frame.labels[rows].tolist()
    assert chosen.scores.tolist() == frame.scores[rows].tolist()
    assert np.array_equal(chosen.boxes, frame.boxes[rows])
    assert chosen.masks == [frame.masks[row] for row in rows]


def test_select_of_nothing_and_of_a_method_without_masks() -> None:
    assert len(make().select([])) == 0
    frame = FrameInstances([1], [0], [0.5], [[0, 0, 1, 1]])
    assert frame.select([0]).masks is None


@pytest.mark.parametrize(("masks", "expected"), [(True, []), (False, None)])
def test_empty(masks: bool, expected: list | None) -> None:
    frame = FrameInstances.empty(masks)
    assert len(frame) == 0
    assert frame.masks == expected
    assert frame.boxes is not None and frame.boxes.shape == (0, 4)


def test_an_id_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="occurs twice"):
        FrameInstances([1, 1], [0, 0], [0.5, 0.5])


@pytest.mark.parametrize(
    "field", [{"labels": [0]}, {"scores": []}, {"boxes": [[0, 0, 1, 1]]}, {"masks": []}]
)
def test_other_lengths_are_refused(field: dict) -> None:
    values = {"ids": [1, 2], "labels": [0, 0], "scores": [0.5, 0.5], **field}
    with pytest.raises(ValueError, match=f"2 ids.*{next(iter(field))}"):
        FrameInstances(**values)
