# SPDX-License-Identifier: Apache-2.0
"""Golden cases of Propose-Reduce: the detector in the conventions of the released checkpoints.

Class vectors are stored with the background first. It comes last in our classifier and has neither
boxes nor masks there, so the columns that nothing uses are left out of the comparison.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch import Tensor

from visbench.models.propose_reduce.association import deduplicate_masks
from visbench.registry import MODELS, TASK_UTILS
from visbench.testing.golden_parts import GoldenPart
from visbench.testing.goldens.propose_reduce.released import (
    NETWORKS,
    model_config,
    released_shapes,
    seeded_model,
)
from visbench.testing.parity import EXACT, Comparison, GoldenCase, Tolerance
from visbench.testing.seeded_weights import seeded_input

Results = dict[str, Any]

BOXES = Tolerance(2e-2, 1e-4)
FEATURES = Tolerance(5e-4, 1e-4)
CLOSE = Tolerance(1e-4, 1e-4)
WRONG_PIXELS = 1e-3
"""So large a part of a mask may differ where the whole detector has run."""


def image_sample(size: Sequence[int]) -> DetDataSample:
    """Return a sample that describes an unscaled image of a valid size (height, width)."""
    shape = tuple(int(side) for side in size)
    meta = {"img_shape": shape, "ori_shape": shape, "scale_factor": (1.0, 1.0)}
    return DetDataSample(metainfo=meta)


def seeded(golden: GoldenCase, name: str, shape: Sequence[int], low: float, high: float) -> Tensor:
    """Return the seeded input of a case; the case says with which prefix."""
    return seeded_input(golden.setting("input_prefix") + name, shape, low, high)


def detections(results: InstanceData) -> Tensor:
    """Return boxes and scores as ``(n, 5)``."""
    return torch.cat([results.bboxes, results.scores[:, None]], dim=1)


def _features(
    stages: Sequence[Tensor], pyramid: Sequence[Tensor], steps: Mapping[str, int], prefix: str = ""
) -> Results:
    """Return every so many channels of some maps, and the mean size of all channels."""
    maps = {f"C{level}": x for level, x in enumerate(stages, start=2)}
    maps |= {f"P{level}": x for level, x in enumerate(pyramid, start=2)}
    outputs = {f"{prefix}{name}_sub": maps[name][:, ::step] for name, step in steps.items()}
    means = {f"{prefix}{name}_absmean": maps[name].abs().mean(dim=(0, 2, 3)) for name in steps}
    return outputs | means


@torch.no_grad()
def _backbone_fpn_rpn(golden: GoldenCase) -> Results:
    detector = seeded_model("r50", golden).detector
    image = seeded(golden, "backbone/img", (1, 3, *golden["img_size"].tolist()), -2, 2)
    stages = detector.backbone(image)
    pyramid = detector.neck(stages)
    scores, deltas = detector.rpn_head(pyramid)
    anchors = detector.rpn_head.prior_generator
    sample = image_sample(golden["img_shape"].tolist())
    (proposals,) = detector.rpn_head.predict(pyramid, [sample], rescale=False)
    steps = {"C2": 8, "C3": 16, "C4": 16, "C5": 16, **dict.fromkeys(("P2", "P3", "P4"), 8)}
    return {
        **_features(stages, pyramid, {**steps, "P5": 8, "P6": 8}),
        **{f"rpn_cls{level}": score for level, score in enumerate(scores)},
        **{f"rpn_reg{level}": delta for level, delta in enumerate(deltas)},
        **{f"base_anchors{level}": base for level, base in enumerate(anchors.base_anchors)},
        "anchors2_grid3x2": anchors.single_level_grid_priors((3, 2), 2, device="cpu"),
        "proposals": detections(proposals),
    }


@torch.no_grad()
def _backbone_deep(golden: GoldenCase) -> Results:
    image = seeded(golden, "deep/img", (1, 3, *golden.setting("input_hw")), -2, 2)
    outputs: Results = {}
    for name in ("r101", "x101"):
        detector = seeded_model(name, golden).detector
        stages = detector.backbone(image)
        steps = dict.fromkeys(("C2", "C3", "P2", "P3", "P4", "P5", "P6"), 32)
        outputs |= _features(stages, detector.neck(stages), steps, f"{name}_")
        shapes = released_shapes(NETWORKS[name]).values()
        outputs[f"{name}_num_keys"] = len(shapes)
        outputs[f"{name}_num_params"] = sum(math.prod(shape) for shape in shapes)
    return outputs


@torch.no_grad()
def _roi_heads(golden: GoldenCase) -> Results:
    roi_head = seeded_model("r50", golden).detector.roi_head
    size = golden["feat_size"].tolist()
    pyramid = [
        seeded(golden, f"roi/P{level}", (1, 256, size[0] >> level, size[1] >> level), -2, 2)
        for level in range(2, 6)
    ]
    rois, labels = torch.from_numpy(golden["rois"]), torch.from_numpy(golden["labels"])
    box_features = roi_head.bbox_roi_extractor(pyramid, rois)
    mask_features = roi_head.mask_roi_extractor(pyramid, rois)
    cls_score, bbox_pred = roi_head.bbox_head(box_features)
    logits = roi_head.mask_head(mask_features)
    index = torch.from_numpy(golden["paste_index"])
    soft = roi_head.mask_head.paste_soft(
        logits[index].sigmoid(), rois[index, 1:], labels[index], tuple(size)
    )
    (pasted,) = roi_head.mask_head.predict_by_feat(
        mask_preds=(logits[index],),
        results_list=[InstanceData(bboxes=rois[index, 1:], labels=labels[index])],
        batch_img_metas=[image_sample(size).metainfo],
        rcnn_test_cfg=roi_head.test_cfg,
    )
    return {
        "levels": roi_head.bbox_roi_extractor.map_roi_levels(rois, len(pyramid)),
        "roi7_sub": box_features[:, ::16],
        "roi14_sub": mask_features[:, ::32],
        "cls_score": cls_score.roll(1, dims=1),
        "bbox_pred": bbox_pred,
        "mask_logits_label": roi_head.mask_head.of_labels(logits, labels),
        "mask_logits_sub": logits[:, 19::20, ::3, ::3],
        "pasted_hard": np.packbits(pasted.masks.numpy(), axis=-1),
        "pasted_soft_sub": soft[:, ::4, ::4],
        "pasted_soft_sum": soft.sum(dim=(1, 2)),
    }


def _compare_roi_heads(
    golden: GoldenCase, outputs: Mapping[str, Any], comparison: Comparison
) -> Sequence[str]:
    """Compare boxes and masks without those of the background, which have no weights here."""
    comparison.compare("bbox_pred", golden["bbox_pred"][:, 4:], outputs["bbox_pred"])
    comparison.compare(
        "mask_logits_sub", golden["mask_logits_sub"][:, 1:], outputs["mask_logits_sub"]
    )
    return "bbox_pred", "mask_logits_sub"


def _det_post(golden: GoldenCase) -> Results:
    outputs: Results = {}
    for name in golden.arrays:
        if name.endswith("_rois"):
            outputs |= _detections_of(golden, name.removesuffix("rois"))
    return outputs


def _detections_of(golden: GoldenCase, prefix: str) -> Results:
    rois, scores, deltas = (
        torch.from_numpy(golden[prefix + name]) for name in ("rois", "cls_score", "bbox_pred")
    )
    classes = scores.shape[1]
    network = NETWORKS["r50"]._replace(classes=classes - 1)
    config = model_config(network).detector
    head = MODELS.build(config.roi_head.bbox_head)
    meta = image_sample(golden.setting("image_hw")).metainfo
    (found,) = head.predict_by_feat(
        rois=(rois,),
        cls_scores=(scores.roll(-1, dims=1),),
        bbox_preds=(deltas[:, 4:].contiguous(),),
        batch_img_metas=[meta],
        rcnn_test_cfg=config.test_cfg.rcnn,
    )
    coder = TASK_UTILS.build(config.roi_head.bbox_head.bbox_coder)
    return {
        f"{prefix}decoded_all": coder.decode(rois[:, 1:], deltas, meta["img_shape"]),
        f"{prefix}det_bboxes": detections(found),
        f"{prefix}det_labels": found.labels,
    }


def _compare_det_post(
    golden: GoldenCase, outputs: Mapping[str, Any], comparison: Comparison
) -> Sequence[str]:
    """Compare scores a hundred times as closely as boxes, which are in pixels."""
    done = [name for name in outputs if name.endswith("_det_bboxes")]
    for name in done:
        weight = np.array([1, 1, 1, 1, 100], dtype=np.float32)
        comparison.compare(name, golden[name] * weight, outputs[name].numpy() * weight)
    return done


@torch.no_grad()
def _detect(golden: GoldenCase) -> Results:
    model = seeded_model("r50", golden)
    detector = model.detector
    height, width = golden["img_shape"].tolist()
    image = seeded(golden, "detect/img", (1, 3, *golden["pad_shape"].tolist()), -2, 2)
    image[..., height:, :] = 0
    image[..., width:] = 0
    sample = image_sample((height, width))
    pyramid = detector.extract_feat(image)
    (proposals,) = detector.rpn_head.predict(pyramid, [sample], rescale=False)
    stored = detections(proposals)
    (found,) = detector.roi_head.predict(pyramid, [proposals], [sample], rescale=False)
    masks = found.masks.numpy()
    kept = deduplicate_masks(masks, model_config(NETWORKS["r50"]).propose.mask_iou_threshold)
    return {
        "proposals": stored,
        "det_bboxes": detections(found),
        "det_labels": found.labels,
        "masks": masks,
        "mask_area": masks.sum(axis=(1, 2)),
        "mask_nms_keep": np.array(kept, dtype=np.int64),
    }


def _compare_detect(
    golden: GoldenCase, outputs: Mapping[str, Any], comparison: Comparison
) -> Sequence[str]:
    """Compare masks by the part of their pixels that differs."""
    height, width = golden["img_shape"].tolist()
    stored = np.unpackbits(golden["masks"], axis=-1, count=width).astype(bool)
    masks, areas = outputs["masks"], outputs["mask_area"]
    if masks.shape != stored.shape:
        comparison.compare("masks", stored, masks)
        comparison.compare("mask_area", golden["mask_area"], areas)
        return "masks", "mask_area"
    wrong = (masks != stored).mean(axis=(1, 2))
    comparison.compare("masks", np.zeros(len(wrong)), wrong, atol=WRONG_PIXELS)
    pixels = float(height * width)
    parts = golden["mask_area"].astype(np.float64) / pixels, areas / pixels
    comparison.compare("mask_area", *parts, atol=WRONG_PIXELS)
    return "masks", "mask_area"


PART = GoldenPart(
    inputs={
        "backbone_fpn_rpn": ("img_size", "img_shape"),
        "backbone_deep": (),
        "roi_heads": ("rois", "labels", "paste_index", "feat_size"),
        "det_post": ("*_rois", "*_cls_score", "*_bbox_pred"),
        "detect": ("img_shape", "pad_shape"),
    },
    tolerances={
        "backbone_fpn_rpn": {"proposals": BOXES, "*": FEATURES},
        "backbone_deep": {"*_num_*": EXACT, "*": FEATURES},
        "roi_heads": {
            "levels": EXACT,
            "pasted_hard": EXACT,
            "pasted_soft_sum": Tolerance(0, 1e-4),
            "*": CLOSE,
        },
        "det_post": {
            "*_det_labels": EXACT,
            "*": Tolerance(1e-3, 1e-4),
        },
        "detect": {
            "proposals": BOXES,
            "det_bboxes": BOXES,
            "mask*": Tolerance(WRONG_PIXELS),
            "*": EXACT,
        },
    },
    computes={
        "backbone_fpn_rpn": _backbone_fpn_rpn,
        "backbone_deep": _backbone_deep,
        "roi_heads": _roi_heads,
        "det_post": _det_post,
        "detect": _detect,
    },
    compares={
        "roi_heads": _compare_roi_heads,
        "det_post": _compare_det_post,
        "detect": _compare_detect,
    },
    whole_models=("backbone_fpn_rpn", "roi_heads", "detect"),
)
