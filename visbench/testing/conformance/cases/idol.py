# SPDX-License-Identifier: Apache-2.0
"""IDOL of width 16, with its tracker."""

from __future__ import annotations

from typing import Any

import torch

from visbench.models import VISModel
from visbench.testing.conformance.case import ConformanceCase
from visbench.testing.conformance.networks import BACKBONE, WIDTH


def _find_nothing(model: VISModel) -> None:
    tracker = model.association.tracker
    tracker.init_threshold = tracker.new_threshold = tracker.matching.threshold = float("inf")


def _spread_outputs(model: VISModel) -> None:
    # Every class of every query starts with a probability of 0.01, below any threshold.
    for branch in model.head.cls_branches:
        torch.nn.init.normal_(branch.weight, std=0.5)
        torch.nn.init.zeros_(branch.bias)
    for branch in model.head.reg_branches:
        torch.nn.init.normal_(branch[-1].weight, std=0.1)
    # Embeddings of queries that hardly differ match nothing with a confidence above one half.
    for layer in model.head.embed_head[::2]:
        torch.nn.init.normal_(layer.weight)


MODEL: dict[str, Any] = {
    "type": "IDOL",
    "backbone": {**BACKBONE, "out_indices": (1, 2)},
    "neck": {
        "type": "ChannelMapper",
        "in_channels": [2 * WIDTH, 4 * WIDTH],
        "kernel_size": 1,
        "out_channels": WIDTH,
        "act_cfg": None,
        "norm_cfg": {"type": "GN", "num_groups": 4},
        "num_outs": 3,
    },
    "transformer": {
        "num_queries": 12,
        "num_heads": 2,
        "num_points": 2,
        "feedforward_channels": 32,
        "num_encoder_layers": 1,
        "num_decoder_layers": 2,
    },
    "head": {
        "type": "IDOLHead",
        "num_classes": 3,
        "embed_channels": WIDTH,
        "mask_branch": {"hidden_channels": WIDTH, "num_levels": 2},
    },
}

CASE = ConformanceCase(
    name="IDOL",
    model=MODEL,
    silence=_find_nothing,
    adjust=_spread_outputs,
    clip_length=2,
    key_frames=(0,),
)
STILL_IMAGES_CASE = ConformanceCase(
    name="IDOL, still images",
    model={**MODEL, "association": {"type": "StillImageAssociation", "top_k": 6}},
    silence=lambda model: setattr(model.association, "top_k", 0),
    adjust=_spread_outputs,
    clip_length=2,
    key_frames=(0,),
)
