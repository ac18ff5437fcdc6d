# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import mmcv.ops
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from visbench.ops.nms import nms, softnms


def iou(a: list[float], b: list[float], offset: int) -> float:
    def area(box: list[float]) -> float:
        return (box[2] - box[0] + offset) * (box[3] - box[1] + offset)

    width = max(min(a[2], b[2]) - max(a[0], b[0]) + offset, 0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]) + offset, 0)
    union = area(a) + area(b) - width * height
    return width * height / union if union else 0.0


def every_pair(boxes: list[list[float]], scores: list[float], limit: float, offset: int) -> list:
    keep: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if all(iou(boxes[i], boxes[j], offset) <= limit for j in keep):
            keep.append(i)
    return keep


# Whole pixels make equal scores, equal boxes and an IoU of exactly the threshold common.
box = st.tuples(*[st.integers(0, 12) for _ in range(4)]).map(
    lambda v: [float(v[0]), float(v[1]), float(v[0] + v[2]), float(v[1] + v[3])]
)
problem = st.lists(st.tuples(box, st.integers(0, 9).map(lambda v: v / 10)), max_size=25)
limit = st.sampled_from([0.1, 0.3, 0.5, 0.6, 0.7])


def tensors(items: list) -> tuple[Tensor, Tensor]:
    boxes = torch.tensor([b for b, _ in items], dtype=torch.float32).reshape(-1, 4)
    return boxes, torch.tensor([s for _, s in items], dtype=torch.float32)


@settings(deadline=None, max_examples=150)
@given(problem, limit, st.sampled_from([0, 1]))
def test_nms_equals_comparing_every_pair(items: list, threshold: float, offset: int) -> None:
    boxes, scores = tensors(items)
    expected = every_pair([b for b, _ in items], [s for _, s in items], threshold, offset)
    assert nms(boxes, scores, threshold, offset).tolist() == expected
    dets, keep = mmcv.ops.nms(boxes, scores, threshold, offset=offset)
    assert keep.tolist() == expected
    assert dets.equal(torch.cat([boxes[keep], scores[keep, None]], 1))


def soft_by_definition(
    boxes: list[list[float]], scores: list[float], method: str, limit: float, offset: int
) -> dict[int, float]:
    left = dict(enumerate(scores))
    selected: dict[int, float] = {}
    while left:
        best = max(left, key=lambda i: left[i])
        selected[best] = left.pop(best)
        for i in list(left):
            overlap = iou(boxes[best], boxes[i], offset)
            if method == "gaussian":
                left[i] *= float(np.exp(-(overlap**2) / 0.5))
            elif overlap >= limit:
                left[i] *= 1 - overlap if method == "linear" else 0.0
            if left[i] < 1e-3:
                del left[i]
    return selected


@pytest.mark.parametrize("method", ["naive", "linear", "gaussian"])
@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("seed", range(5))
def test_soft_nms_equals_the_definition(method: str, offset: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    corner = generator.uniform(0, 20, (30, 2))
    boxes = np.concatenate([corner, corner + generator.uniform(1, 20, (30, 2))], 1)
    scores = generator.permutation(np.linspace(0.01, 0.99, 30))
    expected = soft_by_definition(boxes.tolist(), scores.tolist(), method, 0.3, offset)
    dets, keep = mmcv.ops.soft_nms(
        torch.tensor(boxes).float(),
        torch.tensor(scores).float(),
        0.3,
        sigma=0.5,
        min_score=1e-3,
        method=method,
        offset=offset,
    )
    assert keep.tolist() == list(expected)
    np.testing.assert_allclose(dets[:, 4].numpy(), list(expected.values()), rtol=1e-5)
    np.testing.assert_allclose(dets[:, :4].numpy(), boxes[keep], rtol=1e-6)


@settings(deadline=None, max_examples=80)
@given(problem, st.sampled_from(["naive", "linear", "gaussian"]))
def test_soft_nms_with_ties(items: list, method: str) -> None:
    boxes, scores = tensors(items)
    dets, keep = mmcv.ops.soft_nms(boxes, scores, 0.5, min_score=1e-3, method=method)
    assert len(set(keep.tolist())) == len(keep)
    assert dets[:, :4].equal(boxes[keep])
    assert (dets[:, 4] <= scores[keep]).all()
    assert (dets[1:, 4] <= dets[:-1, 4]).all()
    assert (dets[1:, 4] >= 1e-3).all()


def test_a_dropped_box_leaves_its_place_to_the_last_one() -> None:
    # Boxes 1 and 2 vanish under box 0; of the equal scores left, the one moved up comes first.
    boxes = torch.tensor([[0, 0, 9, 9]] * 3 + [[20, 0, 29, 9], [40, 0, 49, 9]]).float()
    scores = torch.tensor([0.9, 0.5, 0.5, 0.4, 0.4])
    _, keep = mmcv.ops.soft_nms(boxes, scores, 0.5, method="naive")
    assert keep.tolist() == [0, 4, 3]


def test_batched_nms_keeps_labels_apart() -> None:
    boxes = torch.tensor([[0, 0, 10, 10], [0, 0, 10, 10], [1, 0, 11, 10]]).float()
    scores, labels = torch.tensor([0.5, 0.9, 0.8]), torch.tensor([1, 0, 0])
    settings = {"type": "nms", "iou_threshold": 0.5}
    dets, keep = mmcv.ops.batched_nms(boxes, scores, labels, settings)
    assert keep.tolist() == [1, 0]
    assert dets[:, 4].tolist() == scores[keep].tolist()
    assert mmcv.ops.batched_nms(boxes, scores, labels, settings, class_agnostic=True)[
        1
    ].tolist() == [1]
    settings = {"type": "soft_nms", "iou_threshold": 0.5, "method": "linear"}
    assert mmcv.ops.batched_nms(boxes, scores, labels, settings)[1].tolist() == [1, 0, 2]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions(dtype: torch.dtype) -> None:
    boxes = torch.tensor([[0, 0, 10, 10], [1, 0, 11, 10], [20, 20, 30, 30]], dtype=dtype)
    scores = torch.tensor([0.5, 0.75, 0.25], dtype=dtype)
    for offset in (0, 1):
        assert nms(boxes, scores, 0.5, offset).tolist() == [1, 2]
    dets, keep = mmcv.ops.soft_nms(boxes, scores, 0.5, method="naive")
    assert keep.tolist() == [1, 2]
    assert dets.dtype == dtype


def test_no_boxes() -> None:
    boxes, scores = torch.zeros(0, 4), torch.zeros(0)
    assert nms(boxes, scores, 0.5).shape == (0,)
    dets, keep = mmcv.ops.soft_nms(boxes, scores)
    assert dets.shape == (0, 5)
    assert keep.shape == (0,)


def test_wrong_input() -> None:
    boxes, scores = torch.zeros(2, 4), torch.zeros(2)
    with pytest.raises(ValueError, match="boxes"):
        nms(torch.zeros(2, 5), scores, 0.5)
    with pytest.raises(ValueError, match="scores"):
        nms(boxes, torch.zeros(3), 0.5)
    with pytest.raises(ValueError, match="offset"):
        nms(boxes, scores, 0.5, 2)
    with pytest.raises(ValueError, match="method"):
        softnms(boxes, scores, torch.zeros(2, 5), 0.5, 0.5, 0.1, 3)
