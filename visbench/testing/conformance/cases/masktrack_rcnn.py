# SPDX-License-Identifier: Apache-2.0
"""MaskTrack R-CNN of width 16."""

from __future__ import annotations

from typing import Any

import torch

from visbench.models import VISModel
from visbench.testing.conformance.case import ConformanceCase
from visbench.testing.conformance.networks import BACKBONE, NECK, WIDTH

NUM_CLASSES = 3
STRIDES = [4, 8, 16]


def find_no_box(model: VISModel) -> None:
    """Let no box be good enough."""
    model.detector.roi_head.test_cfg.score_thr = 2.0


def spread_masks(model: VISModel) -> None:
    """Make classes and masks differ from box to box."""
    # Initial weights of 0.001 make all masks half-empty noise and all boxes alike.
    head = model.detector.roi_head
    torch.nn.init.normal_(head.bbox_head.fc_cls.weight, std=0.5)
    torch.nn.init.normal_(head.mask_head.conv_logits.weight, std=1.0)
    torch.nn.init.constant_(head.mask_head.conv_logits.bias, 0.1)


def _roi_extractor(size: int) -> dict[str, Any]:
    return {
        "type": "SingleRoIExtractor",
        "roi_layer": {"type": "RoIAlign", "output_size": size, "sampling_ratio": 1},
        "out_channels": WIDTH,
        "featmap_strides": STRIDES,
        "finest_scale": 16,
    }


def _sampling(iou: float, number: int, low_quality: bool) -> dict[str, Any]:
    return {
        "assigner": {
            "type": "MaxIoUAssigner",
            "pos_iou_thr": iou,
            "neg_iou_thr": iou,
            "min_pos_iou": iou if not low_quality else 0.3,
            "match_low_quality": low_quality,
            "ignore_iof_thr": -1,
        },
        "sampler": {
            "type": "RandomSampler",
            "num": number,
            "pos_fraction": 0.5,
            "neg_pos_ub": -1,
            "add_gt_as_proposals": not low_quality,
        },
        "allowed_border": -1,
        "pos_weight": -1,
        "debug": False,
        "mask_size": 14,
    }


def _coder(stds: list[float]) -> dict[str, Any]:
    return {"type": "DeltaXYWHBBoxCoder", "target_means": [0.0] * 4, "target_stds": stds}


_CROSS_ENTROPY = {"type": "CrossEntropyLoss", "use_sigmoid": False, "loss_weight": 1.0}
_SIGMOID = {"type": "CrossEntropyLoss", "use_sigmoid": True, "loss_weight": 1.0}
_L1 = {"type": "L1Loss", "loss_weight": 1.0}
_PROPOSALS = {
    "nms_pre": 50,
    "max_per_img": 20,
    "nms": {"type": "nms", "iou_threshold": 0.7},
    "min_bbox_size": 0,
}

DETECTOR: dict[str, Any] = {
    "type": "MaskRCNN",
    "backbone": BACKBONE,
    "neck": NECK,
    "rpn_head": {
        "type": "RPNHead",
        "in_channels": WIDTH,
        "feat_channels": WIDTH,
        "anchor_generator": {
            "type": "AnchorGenerator",
            "scales": [4],
            "ratios": [0.5, 1.0, 2.0],
            "strides": STRIDES,
        },
        "bbox_coder": _coder([1.0] * 4),
        "loss_cls": _SIGMOID,
        "loss_bbox": _L1,
    },
    "roi_head": {
        "type": "StandardRoIHead",
        "bbox_roi_extractor": _roi_extractor(7),
        "bbox_head": {
            "type": "Shared2FCBBoxHead",
            "in_channels": WIDTH,
            "fc_out_channels": 32,
            "roi_feat_size": 7,
            "num_classes": NUM_CLASSES,
            "bbox_coder": _coder([0.1, 0.1, 0.2, 0.2]),
            "reg_class_agnostic": False,
            "loss_cls": _CROSS_ENTROPY,
            "loss_bbox": _L1,
        },
        "mask_roi_extractor": _roi_extractor(7),
        "mask_head": {
            "type": "FCNMaskHead",
            "num_convs": 1,
            "in_channels": WIDTH,
            "conv_out_channels": WIDTH,
            "num_classes": NUM_CLASSES,
            "loss_mask": {"type": "CrossEntropyLoss", "use_mask": True, "loss_weight": 1.0},
        },
    },
    "train_cfg": {
        "rpn": _sampling(0.6, 64, low_quality=True),
        "rpn_proposal": _PROPOSALS,
        "rcnn": _sampling(0.5, 32, low_quality=False),
    },
    "test_cfg": {
        "rpn": _PROPOSALS,
        "rcnn": {
            "score_thr": 0.05,
            "nms": {"type": "nms", "iou_threshold": 0.5},
            "max_per_img": 5,
            "mask_thr_binary": 0.5,
        },
    },
}

MODEL: dict[str, Any] = {
    "type": "MaskTrackRCNN",
    "detector": DETECTOR,
    "track_head": {
        "type": "RoITrackHead",
        "roi_extractor": _roi_extractor(7),
        "embed_head": {
            "type": "RoIEmbedHead",
            "num_fcs": 2,
            "roi_feat_size": 7,
            "in_channels": WIDTH,
            "fc_out_channels": 32,
        },
        "train_cfg": _sampling(0.5, 32, low_quality=False),
    },
    "tracker": {
        "type": "MaskTrackRCNNTracker",
        "match_weights": {"det_score": 1.0, "iou": 2.0, "det_label": 10.0},
        "num_frames_retain": 2,
    },
    "max_predictions": 20,
}

CASE = ConformanceCase(
    name="MaskTrackRCNN",
    model=MODEL,
    silence=find_no_box,
    adjust=spread_masks,
    clip_length=2,
    key_frames=(0,),
)
