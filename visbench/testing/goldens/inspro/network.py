# SPDX-License-Identifier: Apache-2.0
"""Golden cases of InsPro: stages, decoded boxes and what is handed from frame to frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from visbench.models.inspro.association import extend_bank
from visbench.models.inspro.head import InsProHead
from visbench.models.inspro.stage import decode_boxes
from visbench.testing.golden_parts import GoldenPart
from visbench.testing.goldens.inspro.weights import (
    build_head,
    features_of,
    tensor,
    weights_of,
    whwh_of,
)
from visbench.testing.parity import EXACT, Comparison, GoldenCase, Tolerance

Results = dict[str, Any]

RUNS = {
    "full": {},
    "t1": {"bank_size": 1},
    "query_only": {"bank_size": 1, "propagate_proposal": False},
    "proposal_only": {"bank_size": 1, "propagate_query": False},
    "none": {"bank_size": 1, "propagate_query": False, "propagate_proposal": False},
}


def _head_stage(golden: GoldenCase) -> Results:
    queries, boxes = tensor(golden, "queries"), tensor(golden, "boxes")
    batch, slots, channels = queries.shape
    head = build_head(golden, slots, weights_of(golden))
    seen: Results = {}
    stage = head.stages[0].interaction
    for name, module in (
        ("attention", stage.attention_norm),
        ("dynamic", stage.instance_interactive_conv_norm),
    ):
        module.register_forward_hook(lambda _, __, out, name=name: seen.update({name: out}))
    head.roi_extractor.register_forward_hook(lambda _, inp, out: seen.update(rois=inp[1], roi=out))
    features = features_of(golden, "head_stage", batch, channels)
    (output,) = head.forward_frame(features, queries, boxes, whwh_of(golden).expand(batch, 4))
    levels = head.roi_extractor.map_roi_levels(seen["rois"], len(features))
    return {
        "roi_level": levels.view(batch, slots),
        "roi_feat_first2": seen["roi"][:2],
        "after_attention": seen["attention"].transpose(0, 1),
        "after_dynamic": seen["dynamic"].view(batch, slots, channels),
        "object_features": output.features,
        "class_logits": output.logits,
        "pred_boxes": output.boxes,
    }


def _box_decode(golden: GoldenCase) -> Results:
    return {"pred_boxes": decode_boxes(tensor(golden, "boxes"), tensor(golden, "deltas"))}


def _head_six_stages(golden: GoldenCase) -> Results:
    slots, channels = golden["init_queries"].shape
    head = build_head(golden, slots, weights_of(golden))
    features = features_of(golden, "head_six_stages", 1, channels)
    outputs = head(features, whwh_of(golden), num_clips=1)
    return {
        "class_logits": outputs.logits,
        "pred_boxes": outputs.boxes,
        "object_features_last": outputs.features[-1],
    }


def _clip_propagation(golden: GoldenCase) -> Results:
    results: Results = {}
    weights = weights_of(golden)
    for run, options in RUNS.items():
        for name, frames in _propagate(golden, weights, options).items():
            if f"{run}_{name}" in golden.arrays:
                stored = golden[f"{run}_{name}"]
                results[f"{run}_{name}"] = torch.stack(frames)[:, : stored.shape[1]]
    return results


def _propagate(
    golden: GoldenCase, weights: dict[str, Tensor], options: dict[str, Any]
) -> dict[str, list[Tensor]]:
    slots, channels = golden["init_queries"].shape
    head = build_head(golden, slots, weights, **{"bank_size": int(golden["bank_size"]), **options})
    head.intra_query.epsilon.weight.data = tensor(golden, "eps_weight")
    whwh, carry = whwh_of(golden), head.start(1)
    frames: dict[str, list[Tensor]] = {
        name: []
        for name in ("class_logits", "pred_boxes", "object_features", "next_queries", "next_boxes")
    }
    for index in range(len(golden["full_class_logits"])):
        features = features_of(golden, f"clip_propagation.f{index}", 1, channels)
        boxes = carry.proposals * whwh[:, None]
        output = head.forward_frame(features, carry.queries, boxes, whwh)[-1]
        carry = head.hand_over(output, carry, whwh)
        frames["class_logits"].append(output.logits[0])
        frames["pred_boxes"].append(output.boxes[0])
        frames["object_features"].append(output.features[0])
        frames["next_queries"].append(carry.queries[0])
        frames["next_boxes"].append(head.reported_boxes(output.boxes, whwh)[0])
    return frames


def _intra_query(golden: GoldenCase) -> Results:
    features = tensor(golden, "object_features")
    results: Results = {}
    for name in (name for name in golden.arrays if name.startswith("q_")):
        kind, length = name[2:].split("_T")
        weight = tensor(golden, f"{kind}_weight")
        head = InsProHead(
            1,
            num_queries=1,
            num_stages=1,
            channels=weight.shape[1],
            bank_size=int(length),
            eps_dim=weight.shape[0],
        )
        head.intra_query.epsilon.weight.data = weight
        bank: list[Tensor] = []
        queries = []
        for frame in features:
            bank = extend_bank(bank, frame, head.bank_size)
            queries.append(head.enhance(bank))
        results[name] = torch.stack(queries)
    return results


def _compare_boxes(
    golden: GoldenCase, outputs: Mapping[str, Any], comparison: Comparison
) -> Sequence[str]:
    """Compare decoded boxes relative to the largest value of their row."""
    expected, ours = golden["pred_boxes"], outputs["pred_boxes"].numpy()
    largest = np.maximum(np.abs(expected).max(axis=1, keepdims=True), 1)
    comparison.compare("pred_boxes", expected / largest, ours / largest)
    return ("pred_boxes",)


PART = GoldenPart(
    inputs={
        "head_stage": ("image_hw", "queries", "boxes"),
        "box_decode": ("boxes", "deltas", "clamp"),
        "head_six_stages": ("image_hw", "init_*", "damping"),
        "clip_propagation": ("image_hw", "init_*", "eps_weight", "bank_size", "damping"),
        "intra_query": ("object_features", "scalar_*", "channel_*"),
    },
    tolerances={
        "head_stage": {
            "roi_level": EXACT,
            "pred_boxes": Tolerance(atol=1e-2),
            "*": Tolerance(atol=2e-4),
        },
        "box_decode": {"pred_boxes": Tolerance(atol=1e-5)},
        "head_six_stages": {
            "class_logits": Tolerance(atol=1e-3),
            "pred_boxes": Tolerance(atol=2e-2),
            "object_features_last": Tolerance(atol=2e-3),
        },
        "clip_propagation": {
            "*_class_logits": Tolerance(atol=3e-3),
            "*_boxes": Tolerance(atol=5e-2),
            "full_*": Tolerance(atol=5e-3),
        },
        "intra_query": {"*": Tolerance(atol=1e-5)},
    },
    computes={
        "head_stage": _head_stage,
        "box_decode": _box_decode,
        "head_six_stages": _head_six_stages,
        "clip_propagation": _clip_propagation,
        "intra_query": _intra_query,
    },
    compares={"box_decode": _compare_boxes},
)
