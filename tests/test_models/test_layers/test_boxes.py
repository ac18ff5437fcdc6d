# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from visbench.models.layers import box_centres, boxes_to_original, clip_boxes

SIDE = st.floats(-500, 500, width=32)


@given(st.tuples(SIDE, SIDE, SIDE, SIDE), st.sampled_from([0.0, 1.0, 7.0]))
@settings(max_examples=200, deadline=None)
def test_clipped_boxes_lie_in_the_frame_and_have_a_size(
    sides: tuple[float, float, float, float], least: float
) -> None:
    x1, y1, x2, y2 = sides
    boxes = torch.tensor([[min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)]])
    whwh = torch.tensor([96.0, 5.0, 96.0, 5.0])
    clipped = clip_boxes(boxes, whwh, least)
    assert (clipped >= 0).all() and (clipped <= whwh).all()
    size = clipped[:, 2:] - clipped[:, :2]
    assert (size >= torch.tensor([min(least, 96), min(least, 5)]) - 1e-4).all()
    inside = (boxes >= 0).all() and (boxes <= whwh).all()
    if inside and (boxes[:, 2:] - boxes[:, :2] >= least).all():
        assert torch.equal(clipped, boxes)


def test_frames_of_a_batch_have_their_own_border() -> None:
    boxes = torch.tensor([[[-5.0, -5, 50, 50]], [[-5.0, -5, 50, 50]]])
    whwh = torch.tensor([[40.0, 30, 40, 30], [20.0, 60, 20, 60]])
    assert clip_boxes(boxes, whwh)[:, 0].tolist() == [[0, 0, 40, 30], [0, 0, 20, 50]]


def test_centres_and_original_pixels() -> None:
    boxes = torch.tensor([[0.0, 10, 4, 20]])
    assert box_centres(boxes).tolist() == [[2, 15]]
    assert boxes_to_original(boxes, (2.0, 0.5)).tolist() == [[0, 20, 2, 40]]
