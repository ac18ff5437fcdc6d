# SPDX-License-Identifier: Apache-2.0
"""Golden cases of InsPro: its stages, dynamic masks, equations and matching.

Networks are built with the sizes that the group's ``weight_keys.json`` shows, filled by name, and
loaded under our names. Frames, slots, stages and classes come from the stored arrays.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from visbench.models.inspro.association import (
    IndependentMatching,
    TemporallyConsistentMatching,
    extend_bank,
)
from visbench.models.inspro.head import InsProHead
from visbench.models.inspro.losses import (
    InsProCriterion,
    box_deduplication_loss,
    dice_loss,
    mask_focal_loss,
    match_cost,
    nearest_negatives,
)
from visbench.models.inspro.masks import LOGIT_UPSAMPLING
from visbench.models.inspro.stage import StageOutput, decode_boxes
from visbench.models.inspro.targets import ClipTargets
from visbench.models.layers import DynamicMaskHead
from visbench.models.layers.dynamic_masks import mask_probabilities, upsample_logits
from visbench.testing.parity import (
    EXACT,
    ArrayCheck,
    Comparison,
    GoldenCase,
    GoldenError,
    GoldenGroup,
    Tolerance,
)
from visbench.testing.seeded_weights import fill_state_dict, seeded_input

# After visbench.models, which supplies mmcv's operators before mmdet is imported.
from mmdet.models.dense_heads.condinst_head import MaskFeatModule  # isort: skip

Results = dict[str, Any]

HEADS = 8
STRIDE = 8
"""Not to be seen in any shape; the group's README fixes them."""

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


class InsProGroup(GoldenGroup):
    """Runner of the group ``inspro``."""

    name = "inspro"
    inputs = {
        "head_stage": ("image_hw", "queries", "boxes"),
        "box_decode": ("boxes", "deltas", "clamp"),
        "head_six_stages": ("image_hw", "init_*", "damping"),
        "clip_propagation": ("image_hw", "init_*", "eps_weight", "bank_size", "damping"),
        "dynamic_mask": ("mask_feats", "params", "centres", "divisors", "frame_index"),
        "mask_branch": ("image_hw",),
        "mask_losses": ("logits", "targets"),
        "intra_query": ("object_features", "scalar_*", "channel_*"),
        "box_dedup": (
            "num_cases",
            "c*[0-9]_pred",
            "c*[0-9]_matched",
            "c*[0-9]_gt",
            "c*_k",
            "c*_beta",
        ),
        "match_cost": ("whwh", "f*_logits", "f*_boxes", "f*_labels", "f*_gt"),
        "tcm": ("num_*", "scenario_names", "s*_num_*", "s*_ids", "s*_cost"),
        "tcm_stages": ("num_*", "s*_num_*", "s*_ids", "s*_cost"),
    }
    tolerances = {
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
        "dynamic_mask": {"*": Tolerance(atol=1e-4)},
        "mask_branch": {"*": Tolerance(atol=1e-4)},
        "mask_losses": {"*": Tolerance(atol=1e-5)},
        "intra_query": {"*": Tolerance(atol=1e-5)},
        "box_dedup": {"*_selected": EXACT, "*": Tolerance(atol=1e-5)},
        "match_cost": {"*_slot": EXACT, "*": Tolerance(atol=1e-4)},
        "tcm": {"*": EXACT},
        "tcm_stages": {"*": EXACT},
    }

    def cases(self, folder: Path) -> list[str]:
        """Return the names of the cases in a folder; ``weight_keys.json`` is none."""
        return sorted(path.stem for path in folder.glob("*.npz"))

    def run(
        self, folder: Path, case: str, weights: Mapping[str, Tensor] | None = None
    ) -> list[ArrayCheck]:
        """Run a case; decoded boxes are compared relative to the largest value of their row."""
        if case != "box_decode":
            return super().run(folder, case, weights)
        golden = GoldenCase.load(folder / f"{case}.npz")
        expected, ours = golden["pred_boxes"], self.compute(golden)["pred_boxes"].numpy()
        largest = np.maximum(np.abs(expected).max(axis=1, keepdims=True), 1)
        comparison = Comparison(self.tolerances[case])
        comparison.compare("pred_boxes", expected / largest, ours / largest)
        return comparison.checks

    @torch.no_grad()
    def compute(self, golden: GoldenCase) -> Mapping[str, Any]:
        """Return the outputs of the library for the inputs of a case."""
        return _CASES[golden.name](golden)


def _tensor(golden: GoldenCase, name: str) -> Tensor:
    return torch.from_numpy(golden[name])


def _weights(golden: GoldenCase) -> dict[str, Tensor]:
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


def _features(golden: GoldenCase, prefix: str, batch: int, channels: int) -> list[Tensor]:
    height, width = golden["image_hw"].tolist()
    prefix = golden.meta.get("input_prefix", "") + prefix
    return [
        seeded_input(
            f"{prefix}.p{level}", (batch, channels, height >> level, width >> level), -1.5, 1.5
        )
        for level in range(2, 6)
    ]


def _whwh(golden: GoldenCase) -> Tensor:
    height, width = golden["image_hw"].tolist()
    return torch.tensor([[width, height, width, height]], dtype=torch.float32)


def _our_name(name: str) -> str:
    for theirs, ours in STAGE_NAMES.items():
        if name.startswith(theirs):
            return "interaction." + ours + name[len(theirs) :]
    raise GoldenError(f"weight_keys.json: no layer of ours for {name!r}")


def _head(
    golden: GoldenCase, num_queries: int, weights: dict[str, Tensor], **options: Any
) -> InsProHead:
    """Build and fill a head; its mask generators, which no case uses, keep their start."""
    if not any(name.startswith("head_series.") for name in weights):
        weights = {f"head_series.0.{name}": value for name, value in weights.items()}
    ours = {}
    for name, value in weights.items():
        stage, _, layer = name.removeprefix("head_series.").partition(".")
        ours[f"stages.{stage}.{_our_name(layer)}"] = value
    first = {
        name.removeprefix("head_series.0."): value.shape
        for name, value in weights.items()
        if name.startswith("head_series.0.")
    }
    channels = first["norm1.weight"][0]
    head = InsProHead(
        num_classes=first["class_logits.bias"][0],
        num_queries=num_queries,
        num_stages=1 + max(int(name.split(".")[1]) for name in ours),
        channels=channels,
        stage={
            "num_heads": HEADS,
            "feedforward_channels": first["linear1.bias"][0],
            "dynamic_channels": first["inst_interact.norm1.bias"][0],
            "roi_size": round((first["inst_interact.out_layer.weight"][1] / channels) ** 0.5),
            "num_cls_layers": sum(n.startswith("cls_module.") for n in first) // 3,
            "num_reg_layers": sum(n.startswith("reg_module.") for n in first) // 3,
        },
        **options,
    )
    missing, unexpected = head.load_state_dict(ours, strict=False)
    missing = [name for name in missing if ".interaction." in name]
    if missing or unexpected:
        raise GoldenError(f"{golden.path}: missing {missing} and unexpected {unexpected} weights")
    if "init_queries" in golden.arrays:
        head.init_queries.weight.data = _tensor(golden, "init_queries")
        head.init_proposals.weight.data = _tensor(golden, "init_boxes_cxcywh")
    return head.eval()


def _head_stage(golden: GoldenCase) -> Results:
    queries, boxes = _tensor(golden, "queries"), _tensor(golden, "boxes")
    batch, slots, channels = queries.shape
    head = _head(golden, slots, _weights(golden))
    seen: Results = {}
    stage = head.stages[0].interaction
    for name, module in (
        ("attention", stage.attention_norm),
        ("dynamic", stage.instance_interactive_conv_norm),
    ):
        module.register_forward_hook(lambda _, __, out, name=name: seen.update({name: out}))
    head.roi_extractor.register_forward_hook(lambda _, inp, out: seen.update(rois=inp[1], roi=out))
    features = _features(golden, "head_stage", batch, channels)
    (output,) = head.forward_frame(features, queries, boxes, _whwh(golden).expand(batch, 4))
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
    return {"pred_boxes": decode_boxes(_tensor(golden, "boxes"), _tensor(golden, "deltas"))}


def _head_six_stages(golden: GoldenCase) -> Results:
    slots, channels = golden["init_queries"].shape
    head = _head(golden, slots, _weights(golden))
    features = _features(golden, "head_six_stages", 1, channels)
    outputs = head(features, _whwh(golden), num_clips=1)
    return {
        "class_logits": outputs.logits,
        "pred_boxes": outputs.boxes,
        "object_features_last": outputs.features[-1],
    }


RUNS = {
    "full": {},
    "t1": {"bank_size": 1},
    "query_only": {"bank_size": 1, "propagate_proposal": False},
    "proposal_only": {"bank_size": 1, "propagate_query": False},
    "none": {"bank_size": 1, "propagate_query": False, "propagate_proposal": False},
}


def _clip_propagation(golden: GoldenCase) -> Results:
    results: Results = {}
    weights = _weights(golden)
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
    head = _head(golden, slots, weights, **{"bank_size": int(golden["bank_size"]), **options})
    head.intra_query.epsilon.weight.data = _tensor(golden, "eps_weight")
    whwh, carry = _whwh(golden), head.start(1)
    frames: dict[str, list[Tensor]] = {
        name: []
        for name in ("class_logits", "pred_boxes", "object_features", "next_queries", "next_boxes")
    }
    for index in range(len(golden["full_class_logits"])):
        features = _features(golden, f"clip_propagation.f{index}", 1, channels)
        boxes = carry.proposals * whwh[:, None]
        output = head.forward_frame(features, carry.queries, boxes, whwh)[-1]
        carry = head.hand_over(output, carry, whwh)
        frames["class_logits"].append(output.logits[0])
        frames["pred_boxes"].append(output.boxes[0])
        frames["object_features"].append(output.features[0])
        frames["next_queries"].append(carry.queries[0])
        frames["next_boxes"].append(head.reported_boxes(output.boxes, whwh)[0])
    return frames


def _dynamic_mask(golden: GoldenCase) -> Results:
    features, parameters = _tensor(golden, "mask_feats"), _tensor(golden, "params")
    candidates = (DynamicMaskHead(features.shape[1], width, 3, STRIDE) for width in range(1, 257))
    head = next((c for c in candidates if c.num_parameters == parameters.shape[1]), None)
    if head is None:
        raise GoldenError(f"{golden.path}: no network has {parameters.shape[1]} 'params'")
    coarse = head(
        features,
        parameters,
        _tensor(golden, "centres"),
        _tensor(golden, "divisors"),
        _tensor(golden, "frame_index"),
    )
    fine = upsample_logits(coarse, LOGIT_UPSAMPLING)
    return {
        "logits_stride8": coarse,
        "logits_stride4": fine,
        "probs_stride1_first2": mask_probabilities(fine[:2], STRIDE // LOGIT_UPSAMPLING),
    }


def _mask_branch(golden: GoldenCase) -> Results:
    weights = _weights(golden)
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
    return {"mask_feats": branch.eval()(_features(golden, "mask_branch", batch, channels))}


def _mask_losses(golden: GoldenCase) -> Results:
    logits, truth = _tensor(golden, "logits"), _tensor(golden, "targets")
    weight = torch.full((len(logits),), 1 / max(len(logits), 1))
    losses = InsProCriterion().mask_losses(logits, truth, weight)
    return {
        "dice_per_object": dice_loss(logits, truth),
        "focal_per_object": mask_focal_loss(logits, truth),
        "weighted_total": losses["loss_dice"] + losses["loss_mask"],
    }


def _intra_query(golden: GoldenCase) -> Results:
    features = _tensor(golden, "object_features")
    results: Results = {}
    for name in (name for name in golden.arrays if name.startswith("q_")):
        kind, length = name[2:].split("_T")
        weight = _tensor(golden, f"{kind}_weight")
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


@torch.enable_grad()
def _box_dedup(golden: GoldenCase) -> Results:
    results: Results = {}
    for case in range(int(golden["num_cases"])):
        boxes = _tensor(golden, f"c{case}_pred").requires_grad_()
        truth = _tensor(golden, f"c{case}_gt")
        matched = _tensor(golden, f"c{case}_matched").expand(len(truth), -1)
        repeated = boxes.expand(len(truth), -1, -1)
        k, beta = int(golden[f"c{case}_k"]), float(golden[f"c{case}_beta"])
        losses = box_deduplication_loss(repeated, matched, truth, k, beta)
        slots, valid = nearest_negatives(repeated, matched, truth, k)
        selected = torch.full((len(truth), k), -1)
        selected[:, : slots.shape[1]] = slots.where(valid, -1)
        results[f"c{case}_loss_per_gt"] = losses
        results[f"c{case}_selected"] = selected
        (results[f"c{case}_grad_of_sum"],) = torch.autograd.grad(losses.sum(), boxes)
    return results


def _match_cost(golden: GoldenCase) -> Results:
    results: Results = {}
    frames = sorted(name[:-3] for name in golden.arrays if name.endswith("_gt"))
    for frame in frames:
        logits, boxes, labels, truth = (
            _tensor(golden, f"{frame}_{name}") for name in ("logits", "boxes", "labels", "gt")
        )
        count, whwh = len(labels), _tensor(golden, "whwh").float()
        logits_, boxes_ = logits[None, None], boxes[None, None]
        output = StageOutput(logits_, boxes_, features=logits_, sources=boxes_)
        targets = ClipTargets(
            num_clips=1,
            whwh=whwh[None],
            frame=torch.zeros(count, dtype=torch.long),
            ids=list(range(count)),
            labels=labels,
            boxes=truth,
            masks=torch.zeros(count, 1, 1),
        )
        criterion = InsProCriterion(cls_weight=1, l1_weight=1, giou_weight=1)
        slots = criterion.match(output, targets)
        losses = criterion.box_losses(output, targets, slots)
        cost = match_cost(
            logits.expand(count, -1, -1), boxes.expand(count, -1, -1), labels, truth, whwh
        )
        results[f"{frame}_cost"] = cost.transpose(0, 1)
        results[f"{frame}_slot"] = slots[0]
        for name in ("loss_cls", "loss_l1", "loss_giou"):
            results[f"{frame}_{name}"] = losses[name]
    return results


def _tcm(golden: GoldenCase) -> Results:
    results: Results = {}
    for scenario in range(int(golden["num_scenarios"])):
        slots = int(golden[f"s{scenario}_num_slots"])
        matcher, independent = TemporallyConsistentMatching(slots), IndependentMatching(slots)
        for frame in range(int(golden[f"s{scenario}_num_frames"])):
            prefix = f"s{scenario}_f{frame}_"
            ids, costs = golden[prefix + "ids"].tolist(), golden[prefix + "cost"][None]
            results[prefix + "slot"] = matcher.match(ids, costs)[0]
            results[prefix + "owner"] = matcher.owners()
            results[prefix + "slot_without_tcm"] = independent.match(ids, costs)[0]
    return results


def _tcm_stages(golden: GoldenCase) -> Results:
    results: Results = {}
    for scenario in range(int(golden["num_scenarios"])):
        for mode in ("per_stage_new", "last"):
            matcher = TemporallyConsistentMatching(int(golden["num_slots"]), mode)
            for frame in range(int(golden[f"s{scenario}_num_frames"])):
                prefix = f"s{scenario}_f{frame}_"
                ids, costs = golden[prefix + "ids"].tolist(), golden[prefix + "cost"]
                results[f"{prefix}slot_{mode}"] = matcher.match(ids, np.asarray(costs))
    return results


_CASES: dict[str, Callable[[GoldenCase], Results]] = {
    "head_stage": _head_stage,
    "box_decode": _box_decode,
    "head_six_stages": _head_six_stages,
    "clip_propagation": _clip_propagation,
    "dynamic_mask": _dynamic_mask,
    "mask_branch": _mask_branch,
    "mask_losses": _mask_losses,
    "intra_query": _intra_query,
    "box_dedup": _box_dedup,
    "match_cost": _match_cost,
    "tcm": _tcm,
    "tcm_stages": _tcm_stages,
}

GROUP = InsProGroup()
