# SPDX-License-Identifier: Apache-2.0
"""IAI of width 16 on Mask R-CNN."""

from __future__ import annotations

from typing import Any

import torch

from visbench.models import VISModel
from visbench.testing.conformance.case import ConformanceCase
from visbench.testing.conformance.cases import iai, masktrack_rcnn

_DETECTOR = masktrack_rcnn.MODEL["detector"]


def _find_nothing(model: VISModel) -> None:
    model.segmenter.test_cfg["cls_score_thr"] = 2.0


def _find_something(model: VISModel) -> None:
    # By their start all classes, ids and background are about equally probable.
    torch.nn.init.normal_(model.segmenter.roi_head.bbox_head.fc_cls.weight, std=0.5)
    torch.nn.init.normal_(model.segmenter.id_branch.predictor.weight, std=0.5)
    mask_head = model.segmenter.roi_head.mask_head
    torch.nn.init.normal_(mask_head.conv_logits.weight, std=1.0)
    torch.nn.init.constant_(mask_head.conv_logits.bias, 0.1)


MODEL: dict[str, Any] = {
    **iai.MODEL,
    "segmenter": {
        "type": "IAIMaskRCNN",
        "num_classes": masktrack_rcnn.NUM_CLASSES,
        "rpn_head": _DETECTOR["rpn_head"],
        "roi_head": _DETECTOR["roi_head"],
        "train_cfg": {name: _DETECTOR["train_cfg"][name] for name in ("rpn", "rcnn")},
        "proposals": _DETECTOR["test_cfg"]["rpn"],
        "id_branch": {"fc_channels": 32},
        "test_cfg": {"max_per_frame": 5},
    },
}

CASE = ConformanceCase(
    name="IAI on Mask R-CNN",
    model=MODEL,
    silence=_find_nothing,
    adjust=_find_something,
    clip_length=3,
)
