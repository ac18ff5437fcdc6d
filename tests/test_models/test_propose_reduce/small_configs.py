# SPDX-License-Identifier: Apache-2.0
"""The configs of Propose-Reduce, and how they become small enough for tests."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from visbench.models import VISModel
from visbench.registry import MODELS
from visbench.testing.conformance.case import seed_all

FOLDER = Path(__file__).parents[3] / "configs" / "propose_reduce"
CONFIGS = {path.stem: path for path in sorted(FOLDER.rglob("*.py"))}
WIDTH = 32


@cache
def read(name: str) -> Config:
    return Config.fromfile(CONFIGS[name])


def reduced(config: Any) -> Any:
    """Return a model config with few channels everywhere, no downloads and every box reported."""
    model = copy.deepcopy(config.model)
    detector = model.detector
    detector.test_cfg.rcnn.score_thr = 0.0
    detector.test_cfg.rcnn.max_per_img = 3
    detector.train_cfg.rcnn.sampler.num = 16
    detector.test_cfg.rpn.update(nms_pre=40, max_per_img=20)
    if detector.backbone.depth >= 50:
        detector.backbone = {
            **{key: detector.backbone[key] for key in ("num_stages", "out_indices", "norm_eval")},
            **{key: detector.backbone[key] for key in ("frozen_stages", "norm_cfg", "style")},
            "type": "mmdet.ResNet",
            "depth": 18,
            "base_channels": 8,
            "stem_channels": 8,
        }
        detector.neck.update(in_channels=[8, 16, 32, 64], out_channels=WIDTH)
        detector.rpn_head.update(in_channels=WIDTH, feat_channels=WIDTH)
        heads = detector.roi_head
        heads.bbox_head.update(in_channels=WIDTH, fc_out_channels=WIDTH)
        heads.mask_head.update(in_channels=WIDTH, conv_out_channels=WIDTH)
        heads.bbox_roi_extractor.out_channels = heads.mask_roi_extractor.out_channels = WIDTH
        sizes = {"channels": WIDTH, "encoder_channels": WIDTH, "key_channels": 8}
        model.prop_head.update(in_channels=WIDTH, shallow_channels=(8, 16), **sizes)
    return model


def build(config: Any) -> VISModel:
    seed_all(0)
    model: VISModel = MODELS.build(reduced(config))
    model.init_weights()
    seed_all(1)
    # Initial weights make the foreground lose in every pixel or in none.
    torch.nn.init.normal_(model.prop_head.predictor.weight, std=0.5)
    return model


def smaller(value: Any) -> None:
    """Let the pipelines of a data set's config make small images."""
    if isinstance(value, dict):
        if value.get("type", "").endswith("Resize"):
            value["scale"] = (96, 64)
        for item in value.values():
            smaller(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            smaller(item)
