# SPDX-License-Identifier: Apache-2.0
"""Golden cases of InsPro: which slot learns which object, and from which boxes it is kept away."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from visbench.models.inspro.association import (
    IndependentMatching,
    TemporallyConsistentMatching,
)
from visbench.models.inspro.losses import (
    InsProCriterion,
    box_deduplication_loss,
    match_cost,
    nearest_negatives,
)
from visbench.models.inspro.stage import StageOutput
from visbench.models.inspro.targets import ClipTargets
from visbench.testing.golden_parts import GoldenPart
from visbench.testing.goldens.inspro.weights import tensor
from visbench.testing.parity import EXACT, GoldenCase, Tolerance

Results = dict[str, Any]


@torch.enable_grad()
def _box_dedup(golden: GoldenCase) -> Results:
    results: Results = {}
    for case in range(int(golden["num_cases"])):
        boxes = tensor(golden, f"c{case}_pred").requires_grad_()
        truth = tensor(golden, f"c{case}_gt")
        matched = tensor(golden, f"c{case}_matched").expand(len(truth), -1)
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
            tensor(golden, f"{frame}_{name}") for name in ("logits", "boxes", "labels", "gt")
        )
        count, whwh = len(labels), tensor(golden, "whwh").float()
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


PART = GoldenPart(
    inputs={
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
    },
    tolerances={
        "box_dedup": {"*_selected": EXACT, "*": Tolerance(atol=1e-5)},
        "match_cost": {"*_slot": EXACT, "*": Tolerance(atol=1e-4)},
        "tcm": {"*": EXACT},
        "tcm_stages": {"*": EXACT},
    },
    computes={
        "box_dedup": _box_dedup,
        "match_cost": _match_cost,
        "tcm": _tcm,
        "tcm_stages": _tcm_stages,
    },
)
