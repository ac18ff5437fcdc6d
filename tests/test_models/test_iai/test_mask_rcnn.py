# SPDX-License-Identifier: Apache-2.0
"""Mask R-CNN behind IAI's interface."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import bbox2roi
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor

from visbench.models.iai.mask_rcnn import IAIMaskRCNN
from visbench.registry import MODELS
from visbench.testing.conformance.case import seed_all
from visbench.testing.conformance.cases import iai_mask_rcnn

SIZE = (64, 96)
FRAME = {
    "img_shape": (60, 90),
    "batch_input_shape": SIZE,
    "pad_shape": SIZE,
    "ori_shape": (120, 180),
    "scale_factor": (0.5, 0.5),
}

Levels = Callable[..., tuple[Tensor, ...]]
Objects = Callable[..., InstanceData]


def build(**changes: Any) -> IAIMaskRCNN:
    seed_all(0)
    config = {**copy.deepcopy(iai_mask_rcnn.MODEL["segmenter"]), "num_ids": 8, **changes}
    segmenter: IAIMaskRCNN = MODELS.build(ConfigDict(config))
    segmenter.init_weights()
    for layer in (segmenter.roi_head.bbox_head.fc_cls, segmenter.roi_head.mask_head.conv_logits):
        torch.nn.init.normal_(layer.weight, std=0.5)
    if segmenter.id_branch is not None:
        torch.nn.init.normal_(segmenter.id_branch.predictor.weight, std=0.5)
    return segmenter.eval()


@pytest.mark.parametrize("boxes", [[], [(8, 8, 40, 40), (30, 20, 70, 50)]])
def test_every_parameter_has_a_gradient(boxes: list[Any], levels: Levels, objects: Objects) -> None:
    segmenter = build().train()
    losses = segmenter.loss(levels(2), [objects(*boxes), objects((20, 10, 60, 50))], [FRAME, FRAME])
    assert {"loss_rpn_cls", "loss_rpn_bbox", "loss_cls", "loss_bbox", "loss_mask", "loss_id"} <= (
        set(losses)
    )
    sum(value for name, value in losses.items() if "loss" in name).backward()
    for name, parameter in segmenter.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def test_ids_are_learned_of_the_regions_of_their_objects(levels: Levels, objects: Objects) -> None:
    """The true boxes are among the samples: a branch that knows their ids has no loss there."""
    segmenter = build().train()
    instances = objects((8, 8, 40, 40), (50, 20, 80, 50), ids=(3, 7))
    seen: dict[str, Any] = {}
    branch = segmenter.id_branch
    assert branch is not None
    loss = branch.loss

    def spy(logits: torch.Tensor, targets: torch.Tensor, avg_factor: Any) -> torch.Tensor:
        seen.update(targets=targets, rows=len(logits), avg_factor=avg_factor)
        return loss(logits, targets, avg_factor)

    branch.loss = spy  # type: ignore[method-assign]
    segmenter.loss(levels(2), [instances, objects()], [FRAME, FRAME])
    targets = seen["targets"]
    assert len(targets) == seen["rows"] == seen["avg_factor"]
    assert set(targets.tolist()) == {3, 7, segmenter.num_ids}
    # Regions of objects come first in each frame; the second frame has background only.
    assert targets[0] in (3, 7)
    assert (targets[-3:] == segmenter.num_ids).all()


@torch.no_grad()
@pytest.mark.parametrize("first_frame", [True, False])
def test_detections_are_ranked_suppressed_and_cut(first_frame: bool, levels: Levels) -> None:
    segmenter = build(test_cfg={"max_per_frame": 4, "cls_score_thr": 0.2})
    found = segmenter.detect(levels(), FRAME, first_frame)
    assert 1 < len(found) <= 4
    assert found.id_scores is not None
    best_class, best_id = found.class_scores.amax(1), found.id_scores.amax(1)
    weights = (1, 0.5) if first_frame else (0.5, 1)
    torch.testing.assert_close(found.scores, weights[0] * best_class + weights[1] * best_id)
    assert (found.scores.diff() <= 0).all()
    assert (best_class > 0.2).all() and (best_id > 0.1).all()
    assert (found.boxes[:, 2] <= FRAME["img_shape"][1]).all()
    assert (found.boxes[:, 3] <= FRAME["img_shape"][0]).all()
    assert found.probabilities.shape == (len(found), *SIZE)
    # Masks are pasted into their boxes.
    for mask, (left, top, right, bottom) in zip(found.masks, found.boxes, strict=True):
        rows, columns = mask.nonzero(as_tuple=True)
        if len(rows):
            assert columns.min() >= left.floor() - 1 and columns.max() <= right.ceil()
            assert rows.min() >= top.floor() - 1 and rows.max() <= bottom.ceil()


@torch.no_grad()
def test_boxes_and_classes_are_those_of_the_roi_head(levels: Levels) -> None:
    segmenter = build(test_cfg={"max_per_frame": 1000, "nms_iou": 1.0, "cls_score_thr": 0.0})
    segmenter.test_cfg["id_score_thr"] = 0.0
    (proposals,) = segmenter.rpn_head.predict(levels(), [DetDataSample(metainfo=FRAME)])
    rois = bbox2roi([proposals.bboxes])
    outputs = segmenter.roi_head._bbox_forward(levels(), rois)
    head = segmenter.roi_head.bbox_head
    decoded = head.bbox_coder.decode(
        rois[:, 1:], outputs["bbox_pred"], max_shape=FRAME["img_shape"]
    ).reshape(len(rois), -1, 4)
    classes = outputs["cls_score"].softmax(1)[:, :-1]
    found = segmenter.detect(levels(), FRAME, first_frame=True)
    assert len(found) > 2
    for box, scores in zip(found.boxes, found.class_scores, strict=True):
        row = int((classes - scores).abs().sum(1).argmin())
        torch.testing.assert_close(scores, classes[row])
        torch.testing.assert_close(box, decoded[row, scores.argmax()])


@torch.no_grad()
def test_without_identification_there_are_no_ids(levels: Levels) -> None:
    segmenter = build(identification=False)
    assert segmenter.detect(levels(), FRAME, first_frame=True).id_scores is None
    assert not any("id_branch" in name for name in segmenter.state_dict())


@torch.no_grad()
def test_nothing_is_found_above_one(levels: Levels) -> None:
    found = build(test_cfg={"cls_score_thr": 1.5}).detect(levels(), FRAME, first_frame=True)
    assert len(found) == 0
    assert found.probabilities.shape == (0, *SIZE)


def test_unknown_settings_are_named() -> None:
    with pytest.raises(ValueError, match="no field nms_pre"):
        build(test_cfg={"nms_pre": 10})
