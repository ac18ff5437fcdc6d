# SPDX-License-Identifier: Apache-2.0
"""CondInst behind IAI's interface: assignment, losses and detection against brute force."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor
from torchvision.ops import box_iou

from visbench.models.iai.condinst import IAICondInst
from visbench.models.iai.condinst_head import DensePredictions
from visbench.registry import MODELS
from visbench.testing.conformance.case import seed_all
from visbench.testing.conformance.cases import iai

SIZE = (64, 96)
HEAD, MASKS = (iai.MODEL["segmenter"][part] for part in ("head", "mask_features"))
META = {"img_shape": (60, 90), "batch_input_shape": SIZE, "ori_shape": (120, 180)}


def build(**changes: Any) -> IAICondInst:
    seed_all(0)
    config = {**copy.deepcopy(iai.MODEL["segmenter"]), "num_ids": 8, **changes}
    segmenter: IAICondInst = MODELS.build(ConfigDict(config))
    segmenter.init_weights()
    for name, parameter in segmenter.head.named_parameters():
        if name in ("conv_cls.weight", "controller.weight", "id_branch.predictor.weight"):
            torch.nn.init.normal_(parameter, std=0.5)
        if name in ("conv_cls.bias", "id_branch.predictor.bias"):
            torch.nn.init.zeros_(parameter)
        if name == "conv_reg.bias":
            torch.nn.init.constant_(parameter, 2.0)
    return segmenter.eval()


Levels = Callable[..., tuple[Tensor, ...]]
Objects = Callable[..., InstanceData]


def test_locations_are_assigned_as_by_hand(objects: Objects) -> None:
    segmenter = build()
    # The second lies in the first and is smaller, so it takes the locations that both want.
    instances = objects((8, 8, 56, 48), (20, 16, 40, 36), ids=(5, 7))
    sizes = [(16, 24), (8, 12), (4, 6)]
    locations = segmenter.head.locations(sizes)
    targets = segmenter.head.assign(locations, [instances, objects()])
    ranges = segmenter.head.regress_ranges
    level = [i for i, (height, width) in enumerate(sizes) for _ in range(height * width)]
    wanted = []
    for (x, y), stride, number in zip(
        locations.points.tolist(), locations.strides.tolist(), level, strict=True
    ):
        best = None
        for index, (left, top, right, bottom) in enumerate(instances.bboxes.tolist()):
            distances = (x - left, y - top, right - x, bottom - y)
            centre = ((left + right - 1) / 2, (top + bottom - 1) / 2)
            near = max(abs(x - centre[0]), abs(y - centre[1])) < 1.5 * stride
            low, high = ranges[number]
            if min(distances) > 0 and near and low <= max(distances) <= high:
                best = index  # the later one is the smaller one
        wanted.append(-1 if best is None else best)
    assert targets.objects[0].tolist() == wanted
    assert {-1, 0, 1} == set(wanted)
    assert (targets.objects[1] == -1).all()
    ids = torch.tensor([*instances.id_targets.tolist(), segmenter.num_ids])
    labels = torch.tensor([*instances.labels.tolist(), segmenter.num_classes])
    assert torch.equal(targets.ids[0], ids[targets.objects[0]])
    assert torch.equal(targets.labels[0], labels[targets.objects[0]])


def test_mask_loss_is_dice_of_every_location(levels: Levels, objects: Objects) -> None:
    segmenter = build()
    instances = [objects((8, 8, 36, 36)), objects((30, 20, 60, 50), (4, 4, 24, 20))]
    predictions, features = segmenter(levels(2))
    losses = segmenter.losses(predictions, features, instances)
    targets = segmenter.head.assign(predictions.locations, instances)
    image, point = targets.positive
    assert set(image.tolist()) == {0, 1}
    logits = segmenter.mask_logits(predictions, features, image, point)
    stride, terms = segmenter.target_stride, []
    for row, (frame, index) in enumerate(
        zip(image.tolist(), targets.objects[image, point].tolist(), strict=True)
    ):
        mask = torch.from_numpy(instances[frame].masks.masks[index]).float()
        truth = mask[stride // 2 :: stride, stride // 2 :: stride]
        found = logits[row].sigmoid()
        total = (found**2).sum() + (truth**2).sum() + 1e-5
        terms.append(1 - 2 * (found * truth).sum() / total)
    torch.testing.assert_close(losses["loss_mask"], torch.stack(terms).mean())


@pytest.mark.parametrize("boxes", [[], [(8, 8, 40, 40)]])
def test_every_parameter_has_a_gradient(boxes: list[Any], levels: Levels, objects: Objects) -> None:
    segmenter = build().train()
    losses = segmenter.loss(levels(), [objects(*boxes)], [META])
    sum(losses.values()).backward()
    assert all(torch.isfinite(value) for value in losses.values())
    for name, parameter in segmenter.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def test_without_identification_there_are_no_ids(levels: Levels, objects: Objects) -> None:
    segmenter = build(identification=False)
    instances = objects((8, 8, 40, 40))
    del instances.id_targets
    assert "loss_id" not in segmenter.loss(levels(), [instances], [META])
    assert segmenter.detect(levels(), META, first_frame=True).id_scores is None
    assert not any("id_branch" in name for name in segmenter.state_dict())


def test_cross_entropy_has_a_channel_for_background(levels: Levels) -> None:
    loss = {"type": "mmdet.CrossEntropyLoss", "use_sigmoid": False}
    segmenter = build(id_branch={"loss_id": loss})
    predictions, _ = segmenter(levels())
    assert predictions.id_logits is not None
    assert predictions.id_logits.shape[-1] == segmenter.num_ids + 1
    found = segmenter.detect(levels(), META, first_frame=True)
    assert found.id_scores is not None and found.id_scores.shape[1] == segmenter.num_ids


def brute_force(
    segmenter: IAICondInst, predictions: DensePredictions, first_frame: bool
) -> list[int]:
    """Return the locations that survive, best first, one after the other."""
    cfg = segmenter.test_cfg
    classes = predictions.class_logits[0].sigmoid()
    assert predictions.id_logits is not None
    ids = predictions.id_logits[0].sigmoid()
    centerness = predictions.centerness[0].sigmoid()
    start, rows = 0, []
    for size in predictions.locations.level_sizes:
        order = sorted(
            range(start, start + size), key=lambda i: -float(classes[i].max() * centerness[i])
        )
        rows += order[: cfg["nms_pre"]]
        start += size
    rows = [
        row
        for row in rows
        if classes[row].max() > cfg["cls_score_thr"] and ids[row].max() > cfg["id_score_thr"]
    ]
    weights = (1, 0.5) if first_frame else (0.5, 1)
    scores = {
        row: float(
            centerness[row] * (weights[0] * classes[row].max() + weights[1] * ids[row].max())
        )
        for row in rows
    }
    points, distances = predictions.locations.points, predictions.distances[0]
    boxes = torch.cat([points - distances[:, :2], points + distances[:, 2:]], dim=1)
    height, width = META["img_shape"]
    limits = torch.tensor([width, height, width, height])
    boxes = torch.minimum(boxes.clamp(min=0), limits)
    kept: list[int] = []
    for row in sorted(rows, key=lambda row: -scores[row]):
        overlaps = box_iou(boxes[row][None], boxes[kept]) if kept else torch.zeros(1, 1)
        if overlaps.max() <= cfg["nms_iou"]:
            kept.append(row)
    return kept[: cfg["max_per_frame"]]


@torch.no_grad()
@pytest.mark.parametrize("first_frame", [True, False])
def test_detections_are_those_of_brute_force(first_frame: bool, levels: Levels) -> None:
    segmenter = build(test_cfg={"nms_pre": 12, "cls_score_thr": 0.4, "max_per_frame": 6})
    predictions, features = segmenter(levels())
    found = segmenter.detections(predictions, features, META, first_frame)
    rows = brute_force(segmenter, predictions, first_frame)
    assert len(found) == len(rows) > 2
    assert predictions.id_logits is not None and found.id_scores is not None
    torch.testing.assert_close(found.id_scores, predictions.id_logits[0, rows].sigmoid())
    quality = predictions.centerness[0, rows, None].sigmoid()
    torch.testing.assert_close(
        found.class_scores, predictions.class_logits[0, rows].sigmoid() * quality
    )
    assert found.probabilities.shape == (len(rows), *SIZE)
    assert found.masks_at_original_size(META["img_shape"], META["ori_shape"]).shape == (
        len(rows),
        *META["ori_shape"],
    )


@torch.no_grad()
def test_first_frame_ranks_by_class_and_later_ones_by_id(levels: Levels) -> None:
    segmenter = build(test_cfg={"max_per_frame": 3})
    order = [segmenter.detect(levels(), META, first).scores for first in (True, False)]
    assert not torch.equal(*order)


@torch.no_grad()
def test_nothing_is_found_above_one(levels: Levels) -> None:
    segmenter = build(test_cfg={"cls_score_thr": 1.5})
    found = segmenter.detect(levels(), META, first_frame=True)
    assert len(found) == 0
    assert found.probabilities.shape == (0, *SIZE)
    assert found.masks_at_original_size((60, 90), (120, 180)).shape == (0, 120, 180)


@torch.no_grad()
def test_the_head_may_begin_at_a_coarser_level(levels: Levels) -> None:
    head = {**iai.MODEL["segmenter"]["head"], "strides": (8, 16)}
    head["regress_ranges"] = ((-1, 32), (32, 1e8))
    segmenter = build(head=head, head_start_level=1)
    predictions, features = segmenter(levels())
    assert predictions.locations.level_sizes == (8 * 12, 4 * 6)
    assert features.shape[-2:] == (16, 24)


@pytest.mark.parametrize("boxes", [[], [(8, 8, 40, 40), (30, 20, 70, 50)]])
def test_frames_may_end_within_a_cell(boxes: list[Any], levels: Levels, objects: Objects) -> None:
    # Masks count as 0 where the last cells reach beyond the frame.
    segmenter = build()
    whole, part = objects(*boxes), objects(*boxes)
    part.masks = part.masks.crop(np.array([0, 0, 94, 61]))
    with torch.no_grad():
        expected = segmenter.losses(*segmenter(levels()), [whole])
        found = segmenter.losses(*segmenter(levels()), [part])
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test_cfg": {"score_thr": 0.1}}, "no field score_thr; it has cls_score_thr"),
        ({"test_cfg": {"ranking": "best"}}, "ranking='best' is not one of"),
        ({"test_cfg": {"nms_pre": 0}}, "segmenter.test_cfg.nms_pre=0 must be a number at least 1"),
        ({"test_cfg": {"nms_iou": 2}}, "segmenter.test_cfg.nms_iou=2 must be a number from 0 to 1"),
        (
            {"head": {**HEAD, "strides": (4, 8)}},
            "segmenter.head.strides has 2 levels, segmenter.head.regress_ranges 3",
        ),
        ({"id_branch": {"loss_id": {"type": "L1Loss"}}}, "id_branch.loss_id is a L1Loss"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"head_start_level": 1}, "the neck has 2 levels from segmenter.head_start_level=1 on"),
        ({"mask_features": {**MASKS, "end_level": 3}}, "segmenter.mask_features.end_level=3"),
        ({"mask_features": {**MASKS, "mask_stride": 8}}, "correct segmenter.mask_features.mask_s"),
        ({"head": {**HEAD, "strides": (8, 16, 32)}}, "correct segmenter.head.strides"),
    ],
)
@torch.no_grad()
def test_levels_that_the_neck_has_not_are_named(
    changes: dict[str, Any], message: str, levels: Levels, objects: Objects
) -> None:
    segmenter = build(**changes)
    with pytest.raises(ValueError, match=message):
        segmenter.detect(levels(), META, first_frame=True)
    with pytest.raises(ValueError, match=message):
        segmenter.loss(levels(), [objects((8, 8, 40, 40))], [META])
