# SPDX-License-Identifier: Apache-2.0
"""The conventions of MMDetection 1 against brute force, number by number."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.config import Config, ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor

from visbench.models.propose_reduce.reference import (
    ReferenceBBoxHead,
    ReferenceBoxCoder,
    ReferenceMaskHead,
    ReferenceRoIExtractor,
    ReferenceRPNHead,
    ReferenceSampler,
    pixel_boxes,
    suppress_within_groups,
)
from visbench.registry import MODELS, TASK_UTILS

from mmdet.models.task_modules.assigners import AssignResult  # isort: skip
from mmdet.structures.mask import BitmapMasks  # isort: skip

BASE = Path(__file__).parents[3] / "configs" / "_base_" / "models"
NMS = ConfigDict(type="nms", iou_threshold=0.5, offset=1)


def detector_config(conventions: str = "_reference") -> ConfigDict:
    return Config.fromfile(BASE / f"seq_mask_rcnn{conventions}_r50.py").model.detector


def some_boxes(count: int, size: float = 60.0, seed: int = 0) -> Tensor:
    rng = np.random.default_rng(seed)
    first = rng.uniform(0, size, (count, 2))
    corners = np.concatenate([first, first + rng.uniform(0, size / 2, (count, 2))], axis=1)
    return torch.from_numpy(corners.astype(np.float32))


def inclusive_iou(one: Any, other: Any) -> float:
    sides = [
        max(min(one[axis + 2], other[axis + 2]) - max(one[axis], other[axis]) + 1, 0)
        for axis in (0, 1)
    ]
    areas = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (one, other)]
    return sides[0] * sides[1] / (sum(areas) - sides[0] * sides[1])


def suppressed(boxes: Any, scores: Any, threshold: float) -> list[int]:
    kept: list[int] = []
    for index in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if all(inclusive_iou(boxes[index], boxes[other]) <= threshold for other in kept):
            kept.append(index)
    return kept


def test_anchors_are_those_of_the_table() -> None:
    anchors = TASK_UTILS.build(detector_config().rpn_head.anchor_generator)
    table = {
        4: [[-21, -9, 24, 12], [-14, -14, 17, 17], [-9, -21, 12, 24]],
        8: [[-41, -19, 48, 26], [-28, -28, 35, 35], [-19, -41, 26, 48]],
        16: [[-83, -37, 98, 52], [-56, -56, 71, 71], [-37, -83, 52, 98]],
        32: [[-165, -75, 196, 106], [-112, -112, 143, 143], [-75, -165, 106, 196]],
        64: [[-330, -149, 393, 212], [-224, -224, 287, 287], [-149, -330, 212, 393]],
    }
    assert [base.tolist() for base in anchors.base_anchors] == list(table.values())


def test_coder_counts_both_end_pixels() -> None:
    coder = ReferenceBoxCoder(target_stds=(0.1, 0.1, 0.2, 0.2))
    box = torch.tensor([[10.0, 20.0, 19.0, 39.0]])  # 10 wide, 20 high, centre (14.5, 29.5)
    deltas = torch.tensor([[1.0, -2.0, 0.0, math.log(2) / 0.2]])
    # The centre moves by (1, -4) to (15.5, 25.5); the height doubles to 40 pixels.
    expected = torch.tensor([[11.0, 6.0, 20.0, 45.0]])
    torch.testing.assert_close(coder.decode(box, deltas), expected)
    clipped = coder.decode(box, deltas, max_shape=(30, 18))
    torch.testing.assert_close(clipped, torch.tensor([[11.0, 6.0, 17.0, 29.0]]))
    wild = coder.decode(box, torch.tensor([[0.0, 0.0, 1e3, -1e3]]))
    torch.testing.assert_close(
        wild[0, 2:] - wild[0, :2] + 1, torch.tensor([10 / 0.016, 20 * 0.016]), rtol=1e-4, atol=1e-4
    )


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**31), classes=st.integers(1, 3))
def test_decoding_undoes_encoding(seed: int, classes: int) -> None:
    coder = ReferenceBoxCoder(target_means=(0.1, 0, -0.2, 0), target_stds=(0.1, 0.1, 0.2, 0.2))
    boxes, truth = some_boxes(5, seed=seed), some_boxes(5, seed=seed + 1)
    deltas = coder.encode(boxes, truth).repeat(1, classes)
    torch.testing.assert_close(
        coder.decode(boxes, deltas), truth.repeat(1, classes), atol=1e-3, rtol=1e-4
    )


@settings(max_examples=50, deadline=None)
@given(
    data=st.lists(st.tuples(*[st.integers(0, 9)] * 4, st.integers(0, 2)), max_size=20),
    seed=st.integers(0, 2**31),
)
def test_suppression_within_groups_is_that_of_each_group(data: list, seed: int) -> None:
    table = np.array(data, dtype=np.float64).reshape(-1, 5)
    boxes = np.concatenate([table[:, :2], table[:, :2] + table[:, 2:4]], axis=1)
    groups = table[:, 4].astype(np.int64)
    scores = np.random.default_rng(seed).permutation(len(table)) / 100 + 0.1
    expected: list[int] = []
    for group in range(3):
        members = np.flatnonzero(groups == group)
        expected += members[suppressed(boxes[members], scores[members], 0.5)].tolist()
    ours = suppress_within_groups(
        torch.from_numpy(boxes).float(),
        torch.from_numpy(scores).float(),
        torch.from_numpy(groups),
        NMS,
    )
    assert ours.tolist() == expected


def test_proposals_are_suppressed_per_level_and_cut_by_score() -> None:
    config = detector_config()
    head = MODELS.build({**config.rpn_head, "in_channels": 8, "feat_channels": 8})
    assert isinstance(head, ReferenceRPNHead)
    boxes = torch.tensor([[5.0, 5, 5, 9], [5, 5, 5, 9], [5, 5, 5, 9], [20, 20, 40, 40]])
    results = InstanceData(
        bboxes=boxes,
        scores=torch.tensor([0.5, 0.9, 0.6, 0.7]),
        level_ids=torch.tensor([0, 0, 1, 1]),
    )
    test_cfg = config.test_cfg.rpn
    found = head._bbox_post_process(results, test_cfg)
    # One pixel wide is wide enough, and the same box on another level stays.
    assert found.scores.tolist() == pytest.approx([0.9, 0.7, 0.6])
    assert found.labels.tolist() == [0, 0, 0]
    cut = head._bbox_post_process(results, ConfigDict(test_cfg, max_per_img=2))
    assert cut.scores.tolist() == pytest.approx([0.9, 0.7])
    nothing = head._bbox_post_process(results[:0], test_cfg)
    assert nothing.bboxes.shape == (0, 4)


def sample(features: np.ndarray, x: float, y: float) -> float:
    """Return a bilinear sample of a map (h, w), as the old operator defines it."""
    height, width = features.shape
    if not (-1 <= y <= height and -1 <= x <= width):
        return 0.0
    y, x = max(y, 0.0), max(x, 0.0)
    top, left = min(int(y), height - 1), min(int(x), width - 1)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    down = 0.0 if int(y) >= height - 1 else y - top
    over = 0.0 if int(x) >= width - 1 else x - left
    upper = features[top, left] * (1 - over) + features[top, right] * over
    lower = features[bottom, left] * (1 - over) + features[bottom, right] * over
    return upper * (1 - down) + lower * down


def test_roi_features_run_to_the_end_of_the_last_pixel() -> None:
    extractor = ReferenceRoIExtractor(
        roi_layer={"type": "RoIAlign", "output_size": 3, "sampling_ratio": 2},
        out_channels=1,
        featmap_strides=[4, 8],
    )
    rng = np.random.default_rng(0)
    maps = [rng.normal(size=(16, 20)), rng.normal(size=(8, 10))]
    corners = [
        [3.2, 4.7, 3.4, 4.9],  # far smaller than a cell
        [10.0, 8.0, 50.5, 61.0],
        [-9.0, -7.5, 30.0, 20.0],
        [60.0, 40.0, 95.0, 90.0],
        [5.0, 5.0, 60.0, 120.0],
        [0.0, 0.0, 111.0, 111.0],  # the smallest box of the second level
        [0.0, 0.0, 110.0, 111.0],
    ]
    rois = torch.tensor([[0.0, *corner] for corner in corners])
    levels = extractor.map_roi_levels(rois, 2).tolist()
    assert levels == [0, 0, 0, 0, 0, 1, 0]
    features = [torch.from_numpy(m).float()[None, None] for m in maps]
    ours = extractor(features, rois)[:, 0]
    for index, (x1, y1, x2, y2) in enumerate(corners):
        scale, level = 1 / (4 << levels[index]), maps[levels[index]]
        across, down = (x2 + 1 - x1) * scale / 3, (y2 + 1 - y1) * scale / 3
        for row in range(3):
            for column in range(3):
                values = [
                    sample(
                        level,
                        x1 * scale + (column + (i + 0.5) / 2) * across,
                        y1 * scale + (row + (j + 0.5) / 2) * down,
                    )
                    for i in range(2)
                    for j in range(2)
                ]
                assert float(ours[index, row, column]) == pytest.approx(np.mean(values), abs=1e-4)


def box_head(**settings: Any) -> ReferenceBBoxHead:
    config = detector_config().roi_head.bbox_head
    sizes = {"in_channels": 4, "fc_out_channels": 8, "roi_feat_size": 2, "num_classes": 3}
    return MODELS.build({**config, **sizes, **settings})


def detect(head: ReferenceBBoxHead, boxes: Tensor, scores: Tensor, max_per_img: int) -> Any:
    regressed = 1 if head.reg_class_agnostic else head.num_classes
    cfg = ConfigDict(score_thr=0.2, nms=NMS, max_per_img=max_per_img)
    (found,) = head.predict_by_feat(
        rois=(torch.cat([torch.zeros(len(boxes), 1), boxes], dim=1),),
        cls_scores=(scores.log(),),
        bbox_preds=(torch.zeros(len(boxes), 4 * regressed),),
        batch_img_metas=[{"img_shape": (200, 200)}],
        rcnn_test_cfg=cfg,
    )
    return found


@pytest.mark.parametrize("agnostic", [False, True])
def test_few_detections_stay_in_the_order_of_their_classes(agnostic: bool) -> None:
    boxes = torch.tensor([[0.0, 0, 9, 9], [50, 50, 69, 69], [100, 100, 119, 119]])
    scores = torch.tensor([[0.25, 0.6, 0.05, 0.1], [0.3, 0.0001, 0.69, 0.01], [0.1, 0.2, 0.2, 0.5]])
    head = box_head(reg_class_agnostic=agnostic)
    found = detect(head, boxes, scores, max_per_img=4)
    assert found.labels.tolist() == [0, 0, 1, 2]  # 0.2 itself is not above the threshold
    assert found.scores.tolist() == pytest.approx([0.3, 0.25, 0.6, 0.69], abs=1e-3)
    torch.testing.assert_close(found.bboxes, boxes[[1, 0, 0, 1]])
    cut = detect(head, boxes, scores, max_per_img=3)
    assert cut.labels.tolist() == [2, 1, 0]
    assert cut.scores.tolist() == pytest.approx([0.69, 0.6, 0.3], abs=1e-3)


def test_suppression_of_detections_is_strict_and_inclusive() -> None:
    # 10 x 10 pixels against 10 x 20: 100 / 200 = 0.5 is not above 0.5; without the end pixels it
    # would be 81 / 171.
    boxes = torch.tensor([[0.0, 0, 9, 9], [0, 0, 9, 19], [0, 0, 9, 18]])
    scores = torch.tensor([[0.9, 0, 0, 0.1], [0.8, 0, 0, 0.2], [0.7, 0, 0, 0.3]])
    found = detect(box_head(), boxes[:2], scores[:2], max_per_img=10)
    assert found.scores.tolist() == pytest.approx([0.9, 0.8])
    found = detect(box_head(), boxes[[0, 2]], scores[[0, 2]], max_per_img=10)
    assert found.scores.tolist() == pytest.approx([0.9])


def test_no_region_gives_no_detection() -> None:
    found = detect(box_head(), torch.zeros(0, 4), torch.zeros(0, 4), max_per_img=10)
    assert found.bboxes.shape == (0, 4)
    assert found.labels.shape == found.scores.shape == (0,)


def mask_head(**settings: Any) -> ReferenceMaskHead:
    config = detector_config().roi_head.mask_head
    sizes = {"num_convs": 1, "in_channels": 4, "conv_out_channels": 4, "num_classes": 3}
    return MODELS.build({**config, **sizes, **settings})


class Samples:
    def __init__(self, boxes: Tensor, truth: list[int]) -> None:
        self.pos_priors = boxes
        self.pos_assigned_gt_inds = torch.tensor(truth, dtype=torch.long)


def test_mask_targets_are_crops_of_whole_pixels() -> None:
    rng = np.random.default_rng(0)
    masks = rng.integers(0, 2, (2, 40, 48), dtype=np.uint8)
    truth = InstanceData(masks=BitmapMasks(masks, 40, 48))
    boxes = torch.tensor([[3.9, 4.2, 20.99, 30.1], [40.5, 30.5, 48.0, 40.0], [7.3, 8, 7.9, 8.2]])
    targets = mask_head().get_targets(
        [Samples(boxes, [1, 0, 0]), Samples(boxes[:0], [])],
        [truth, truth],
        ConfigDict(mask_size=14),
    )
    crops = [masks[1, 4:31, 3:21], masks[0, 30:40, 40:48], masks[0, 8:9, 7:8]]
    expected = np.stack([mmcv.imresize(crop, (14, 14)) for crop in crops])
    assert targets.dtype == torch.float32
    assert np.array_equal(targets.numpy(), expected)
    assert set(np.unique(expected)) == {0, 1}
    none = mask_head().get_targets([Samples(boxes[:0], [])], [truth], ConfigDict(mask_size=(7, 9)))
    assert none.shape == (0, 7, 9)


def test_masks_are_pasted_in_whole_pixels() -> None:
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(rng.normal(size=(3, 3, 6, 6)).astype(np.float32) * 3)
    labels = torch.tensor([2, 0, 1])
    boxes = torch.tensor([[3.9, 4.2, 20.99, 17.1], [-3, 10, 90, 70], [8.6, 8.6, 8.9, 8.2]])
    head = mask_head()
    soft = head.paste_soft(logits.sigmoid(), boxes, labels, (24, 32))
    expected = np.zeros((3, 24, 32), np.float32)
    for index, (x1, y1, x2, y2) in enumerate([(3, 4, 20, 17), (0, 10, 31, 23), (8, 8, 8, 8)]):
        probability = logits[index, labels[index]].sigmoid().numpy()
        expected[index, y1 : y2 + 1, x1 : x2 + 1] = mmcv.imresize(
            probability, (x2 - x1 + 1, y2 - y1 + 1)
        )
    assert np.array_equal(soft.numpy(), expected)
    meta = {"img_shape": (24, 32), "ori_shape": (48, 64), "scale_factor": (0.5, 0.5)}

    def predict(given: Tensor, rescale: bool) -> InstanceData:
        results = [InstanceData(bboxes=given.clone(), labels=labels[: len(given)])]
        (found,) = head.predict_by_feat(
            (logits[: len(given)],), results, [meta], ConfigDict(mask_thr_binary=0.5), rescale
        )
        return found

    assert np.array_equal(predict(boxes, False).masks.numpy(), expected > 0.5)
    rescaled = predict(boxes, True)
    torch.testing.assert_close(rescaled.bboxes, boxes * 2)
    twice = head.paste_soft(logits.sigmoid(), boxes * 2, labels, (48, 64)) > 0.5
    assert torch.equal(rescaled.masks, twice)
    assert predict(boxes[:0], False).masks.shape[0] == 0
    assert head.paste_soft(logits[:0], boxes[:0], labels[:0], (24, 32)).shape == (0, 24, 32)


@settings(max_examples=50, deadline=None)
@given(
    corners=st.lists(st.floats(-1e4, 1e4, width=32), min_size=4, max_size=4),
    height=st.integers(1, 50),
    width=st.integers(1, 50),
)
def test_pixel_boxes_lie_in_the_image(corners: list[float], height: int, width: int) -> None:
    ((x1, y1, x2, y2),) = pixel_boxes(torch.tensor([corners]), (height, width)).tolist()
    assert 0 <= x1 <= x2 < width
    assert 0 <= y1 <= y2 < height


def test_all_ground_truth_is_sampled() -> None:
    sampler = ReferenceSampler(num=16, pos_fraction=0.25)
    truth = InstanceData(bboxes=some_boxes(6, seed=1), labels=torch.arange(6) % 3)
    proposals = InstanceData(priors=some_boxes(40))
    for _ in range(10):
        assigned = AssignResult(
            6, torch.arange(40) % 7, torch.zeros(40), labels=torch.arange(40) % 7 % 3
        )
        samples = sampler.sample(assigned, proposals, truth)
        assert samples.pos_inds.tolist()[:6] == list(range(6))
        assert samples.pos_inds.tolist() == sorted(set(samples.pos_inds.tolist()))
        assert 6 <= len(samples.pos_inds) <= 10
        # Negatives fill up as far as there are any: 6 of the 40 proposals.
        assert len(samples.neg_inds) == min(16 - len(samples.pos_inds), 6)
        assert torch.equal(samples.pos_gt_bboxes[:6], truth.bboxes)
    none = AssignResult(
        0, torch.zeros(40, dtype=torch.long), torch.zeros(40), torch.full((40,), -1)
    )
    samples = sampler.sample(none, proposals, truth[:0])
    assert len(samples.pos_inds) == 0
    assert len(samples.neg_inds) == 16


def test_sampler_needs_the_ground_truth_among_the_candidates() -> None:
    with pytest.raises(ValueError, match=r"sampler\.add_gt_as_proposals.*leave it True"):
        ReferenceSampler(num=16, pos_fraction=0.25, add_gt_as_proposals=False)


def test_assigner_counts_both_end_pixels() -> None:
    boxes = torch.tensor([[0.0, 0, 9, 13]])
    truth = InstanceData(bboxes=torch.tensor([[0.0, 0, 9, 9]]), labels=torch.tensor([0]))
    overlaps = {}
    for conventions in ("", "_reference"):
        assigner = TASK_UTILS.build(detector_config(conventions).train_cfg.rpn.assigner)
        assigned = assigner.assign(InstanceData(priors=boxes), truth)
        overlaps[conventions] = float(assigned.max_overlaps[0])
    assert overlaps["_reference"] == pytest.approx(100 / 140)
    assert overlaps[""] == pytest.approx(81 / 117)
