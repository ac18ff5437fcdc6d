# SPDX-License-Identifier: Apache-2.0
"""Mask2Former-VIS of width 16."""

from __future__ import annotations

from typing import Any

import torch

from visbench.models import VISModel
from visbench.testing.conformance.case import ConformanceCase

NUM_CLASSES = 3
WIDTH = 16


def _find_nothing(model: VISModel) -> None:
    # Mask logits of exactly 0 are background everywhere.
    last = model.track_head.mask_embed[-1]
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.zeros_(last.bias)


def _attention(**values: Any) -> dict[str, Any]:
    return {"embed_dims": WIDTH, "num_heads": 2, "dropout": 0.0, "batch_first": True, **values}


_FFN = {
    "embed_dims": WIDTH,
    "feedforward_channels": 32,
    "num_fcs": 2,
    "ffn_drop": 0.0,
    "act_cfg": {"type": "ReLU", "inplace": True},
}

_PIXEL_DECODER = {
    "type": "MSDeformAttnPixelDecoder",
    "num_outs": 3,
    "norm_cfg": {"type": "GN", "num_groups": 4},
    "act_cfg": {"type": "ReLU"},
    "encoder": {
        "num_layers": 2,
        "layer_cfg": {
            "self_attn_cfg": _attention(num_levels=3, num_points=2, im2col_step=128),
            "ffn_cfg": _FFN,
        },
    },
    "positional_encoding": {"num_feats": WIDTH // 2, "normalize": True},
}

_ASSIGNER = {
    "type": "HungarianAssigner",
    "match_costs": [
        {"type": "ClassificationCost", "weight": 2.0},
        {"type": "CrossEntropyLossCost", "weight": 5.0, "use_sigmoid": True},
        {"type": "DiceCost", "weight": 5.0, "pred_act": True, "eps": 1.0},
    ],
}

MODEL: dict[str, Any] = {
    "type": "Mask2FormerVIS",
    "backbone": {
        "type": "ResNet",
        "depth": 18,
        "base_channels": WIDTH,
        "stem_channels": WIDTH,
        "num_stages": 4,
        "out_indices": (0, 1, 2, 3),
        "norm_cfg": {"type": "GN", "num_groups": 4},
        "norm_eval": False,
    },
    "track_head": {
        "type": "Mask2FormerTrackHead",
        "in_channels": [WIDTH, 2 * WIDTH, 4 * WIDTH, 8 * WIDTH],
        "strides": [4, 8, 16, 32],
        "feat_channels": WIDTH,
        "out_channels": WIDTH,
        "num_classes": NUM_CLASSES,
        "num_queries": 10,
        "num_frames": 2,
        "num_transformer_feat_level": 3,
        "pixel_decoder": _PIXEL_DECODER,
        "enforce_decoder_input_project": False,
        "positional_encoding": {
            "type": "SinePositionalEncoding3D",
            "num_feats": WIDTH // 2,
            "normalize": True,
        },
        "transformer_decoder": {
            "return_intermediate": True,
            "num_layers": 3,
            "layer_cfg": {
                "self_attn_cfg": _attention(),
                "cross_attn_cfg": _attention(),
                "ffn_cfg": _FFN,
            },
            "init_cfg": None,
        },
        "loss_cls": {
            "type": "CrossEntropyLoss",
            "use_sigmoid": False,
            "loss_weight": 2.0,
            "reduction": "mean",
            "class_weight": [1.0] * NUM_CLASSES + [0.1],
        },
        "loss_mask": {
            "type": "CrossEntropyLoss",
            "use_sigmoid": True,
            "reduction": "mean",
            "loss_weight": 5.0,
        },
        "loss_dice": {
            "type": "DiceLoss",
            "use_sigmoid": True,
            "activate": True,
            "reduction": "mean",
            "naive_dice": True,
            "eps": 1.0,
            "loss_weight": 5.0,
        },
        "train_cfg": {
            "num_points": 256,
            "oversample_ratio": 3.0,
            "importance_sample_ratio": 0.75,
            "assigner": _ASSIGNER,
            "sampler": {"type": "MaskPseudoSampler"},
        },
    },
}

CASE = ConformanceCase(
    name="Mask2FormerVIS", model=MODEL, silence=_find_nothing, clip_length=2, key_frames=None
)
