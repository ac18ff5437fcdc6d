# SPDX-License-Identifier: Apache-2.0
"""Golden cases of InsPro: dynamic masks, the mask branch and the losses of masks."""

from __future__ import annotations

from typing import Any

import torch

from visbench.models.inspro.losses import InsProCriterion, dice_loss, mask_focal_loss
from visbench.models.inspro.masks import LOGIT_UPSAMPLING
from visbench.models.layers import DynamicMaskHead
from visbench.models.layers.dynamic_masks import mask_probabilities, upsample_logits
from visbench.testing.golden_parts import GoldenPart
from visbench.testing.goldens.inspro.weights import features_of, tensor, weights_of
from visbench.testing.parity import GoldenCase, GoldenError, Tolerance

# After visbench.models, which supplies mmcv's operators before mmdet is imported.
from mmdet.models.dense_heads.condinst_head import MaskFeatModule  # isort: skip

Results = dict[str, Any]

STRIDE = 8
"""Not to be seen in any shape; the group's README fixes it."""


def _dynamic_mask(golden: GoldenCase) -> Results:
    features, parameters = tensor(golden, "mask_feats"), tensor(golden, "params")
    candidates = (DynamicMaskHead(features.shape[1], width, 3, STRIDE) for width in range(1, 257))
    head = next((c for c in candidates if c.num_parameters == parameters.shape[1]), None)
    if head is None:
        raise GoldenError(f"{golden.path}: no network has {parameters.shape[1]} 'params'")
    coarse = head(
        features,
        parameters,
        tensor(golden, "centres"),
        tensor(golden, "divisors"),
        tensor(golden, "frame_index"),
    )
    fine = upsample_logits(coarse, LOGIT_UPSAMPLING)
    return {
        "logits_stride8": coarse,
        "logits_stride4": fine,
        "probs_stride1_first2": mask_probabilities(fine[:2], STRIDE // LOGIT_UPSAMPLING),
    }


def _mask_branch(golden: GoldenCase) -> Results:
    weights = weights_of(golden)
    levels = sum(name.startswith("refine.") and name.endswith("0.weight") for name in weights)
    layers = sum(name.startswith("tower.") and name.endswith(".0.weight") for name in weights)
    hidden, channels = weights["refine.0.0.weight"].shape[:2]
    outputs = len(weights[f"tower.{layers}.bias"])
    branch = MaskFeatModule(
        channels, hidden, 1, levels, outputs, STRIDE, layers, norm_cfg={"type": "BN"}
    )
    kinds = {"0": "conv", "1": "bn"}
    ours = {}
    for name, value in weights.items():
        part, index, *rest = name.split(".")
        if part == "refine":
            place = f"convs_all_levels.{index}.conv{int(index) + 1}.{kinds[rest[0]]}.{rest[1]}"
        elif len(rest) == 2:
            place = f"conv_branch.{index}.{kinds[rest[0]]}.{rest[1]}"
        else:
            place = f"conv_pred.{rest[0]}"
        ours[place] = value
    branch.load_state_dict(ours)
    batch = golden["mask_feats"].shape[0]
    return {"mask_feats": branch.eval()(features_of(golden, "mask_branch", batch, channels))}


def _mask_losses(golden: GoldenCase) -> Results:
    logits, truth = tensor(golden, "logits"), tensor(golden, "targets")
    weight = torch.full((len(logits),), 1 / max(len(logits), 1))
    losses = InsProCriterion().mask_losses(logits, truth, weight)
    return {
        "dice_per_object": dice_loss(logits, truth),
        "focal_per_object": mask_focal_loss(logits, truth),
        "weighted_total": losses["loss_dice"] + losses["loss_mask"],
    }


PART = GoldenPart(
    inputs={
        "dynamic_mask": ("mask_feats", "params", "centres", "divisors", "frame_index"),
        "mask_branch": ("image_hw",),
        "mask_losses": ("logits", "targets"),
    },
    tolerances={
        "dynamic_mask": {"*": Tolerance(atol=1e-4)},
        "mask_branch": {"*": Tolerance(atol=1e-4)},
        "mask_losses": {"*": Tolerance(atol=1e-5)},
    },
    computes={
        "dynamic_mask": _dynamic_mask,
        "mask_branch": _mask_branch,
        "mask_losses": _mask_losses,
    },
)
