# SPDX-License-Identifier: Apache-2.0
"""What the golden cases of InsPro are fed with: tensors, features and filled heads."""

from __future__ import annotations

import json
from typing import Any

import torch
from torch import Tensor

from visbench.models.inspro.head import InsProHead
from visbench.testing.parity import GoldenCase, GoldenError
from visbench.testing.seeded_weights import fill_state_dict, seeded_input

HEADS = 8
"""Not to be seen in any shape; the group's README fixes it."""

DAMPED = ("bboxes_delta", "inst_interact.norm3", "linear2", "self_attn.out_proj")

STAGE_NAMES = {
    "self_attn.": "attention.attn.",
    "inst_interact.dynamic_layer.": "instance_interactive_conv.dynamic_layer.",
    "inst_interact.norm1.": "instance_interactive_conv.norm_in.",
    "inst_interact.norm2.": "instance_interactive_conv.norm_out.",
    "inst_interact.out_layer.": "instance_interactive_conv.fc_layer.",
    "inst_interact.norm3.": "instance_interactive_conv.fc_norm.",
    "linear1.": "ffn.layers.0.0.",
    "linear2.": "ffn.layers.1.",
    "norm1.": "attention_norm.",
    "norm2.": "instance_interactive_conv_norm.",
    "norm3.": "ffn_norm.",
    "cls_module.": "cls_fcs.",
    "reg_module.": "reg_fcs.",
    "class_logits.": "fc_cls.",
    "bboxes_delta.": "fc_reg.",
}
"""Names of a published Sparse R-CNN stage -> MMDetection's ``DIIHead``."""


def tensor(golden: GoldenCase, name: str) -> Tensor:
    """Return a stored array as a tensor."""
    return torch.from_numpy(golden[name])


def weights_of(golden: GoldenCase) -> dict[str, Tensor]:
    """Return the seeded weights of a case, damped where the case says so."""
    path = golden.path.with_name("weight_keys.json")
    try:
        shapes = json.loads(path.read_text(encoding="utf-8"))[golden.name]
    except (OSError, ValueError, KeyError) as error:
        raise GoldenError(f"{path}: no names and shapes for {golden.name!r}: {error}") from error
    weights = fill_state_dict({name: torch.empty(shape) for name, shape in shapes.items()})
    damping = float(golden.arrays.get("damping", 1.0))
    return {
        name: value * damping if any(part in name for part in DAMPED) else value
        for name, value in weights.items()
    }


def features_of(golden: GoldenCase, prefix: str, batch: int, channels: int) -> list[Tensor]:
    """Return made-up pyramid levels ``(batch, channels, h, w)`` at strides 4 to 32."""
    height, width = golden["image_hw"].tolist()
    prefix = golden.meta.get("input_prefix", "") + prefix
    return [
        seeded_input(
            f"{prefix}.p{level}", (batch, channels, height >> level, width >> level), -1.5, 1.5
        )
        for level in range(2, 6)
    ]


def whwh_of(golden: GoldenCase) -> Tensor:
    """Return ``(1, 4)`` width, height, width and height of the frames in pixels."""
    height, width = golden["image_hw"].tolist()
    return torch.tensor([[width, height, width, height]], dtype=torch.float32)


def _our_name(name: str) -> str:
    for theirs, ours in STAGE_NAMES.items():
        if name.startswith(theirs):
            return "interaction." + ours + name[len(theirs) :]
    raise GoldenError(f"weight_keys.json: no layer of ours for {name!r}")


def build_head(
    golden: GoldenCase, num_queries: int, weights: dict[str, Tensor], **options: Any
) -> InsProHead:
    """Build and fill a head; its mask generators, which no case uses, keep their start.

    Args:
        golden: The case.
        num_queries: Number of slots.
        weights: Weights of one stage, or of ``head_series.N``, by the reference's names.
        **options: Further arguments of the head.

    Raises:
        GoldenError: The weights are not those of our layers.
    """
    if not any(name.startswith("head_series.") for name in weights):
        weights = {f"head_series.0.{name}": value for name, value in weights.items()}
    ours = {}
    for name, value in weights.items():
        stage, _, layer = name.removeprefix("head_series.").partition(".")
        ours[f"stages.{stage}.{_our_name(layer)}"] = value
    num_stages = 1 + max(int(name.split(".")[1]) for name in ours)
    head = InsProHead(num_queries=num_queries, num_stages=num_stages, **_sizes(weights), **options)
    missing, unexpected = head.load_state_dict(ours, strict=False)
    missing = [name for name in missing if ".interaction." in name]
    if missing or unexpected:
        raise GoldenError(f"{golden.path}: missing {missing} and unexpected {unexpected} weights")
    if "init_queries" in golden.arrays:
        head.init_queries.weight.data = tensor(golden, "init_queries")
        head.init_proposals.weight.data = tensor(golden, "init_boxes_cxcywh")
    return head.eval()


def _sizes(weights: dict[str, Tensor]) -> dict[str, Any]:
    """Return the arguments of a head that the shapes of its first stage show."""
    first = {
        name.removeprefix("head_series.0."): value.shape
        for name, value in weights.items()
        if name.startswith("head_series.0.")
    }
    channels = first["norm1.weight"][0]
    return {
        "num_classes": first["class_logits.bias"][0],
        "channels": channels,
        "stage": {
            "num_heads": HEADS,
            "feedforward_channels": first["linear1.bias"][0],
            "dynamic_channels": first["inst_interact.norm1.bias"][0],
            "roi_size": round((first["inst_interact.out_layer.weight"][1] / channels) ** 0.5),
            "num_cls_layers": sum(n.startswith("cls_module.") for n in first) // 3,
            "num_reg_layers": sum(n.startswith("reg_module.") for n in first) // 3,
        },
    }
