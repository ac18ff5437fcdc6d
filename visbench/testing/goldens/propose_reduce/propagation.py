# SPDX-License-Identifier: Apache-2.0
"""Golden cases of Propose-Reduce: the Seq-Prop head, its memory and its loss."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from visbench.models.propose_reduce.head import (
    SeqPropHead,
    aggregated_masks,
    read_memory,
    soft_aggregate,
)
from visbench.models.propose_reduce.losses import SoftIoULoss, soft_iou_loss
from visbench.testing.golden_parts import GoldenPart
from visbench.testing.goldens.propose_reduce.detector import seeded
from visbench.testing.goldens.propose_reduce.released import seeded_model
from visbench.testing.parity import GoldenCase, Tolerance

Results = dict[str, Any]

FEATURES = Tolerance(1e-3, 1e-4)
PROBABILITIES = Tolerance(2e-4, 1e-4)
CLAMPED = Tolerance(2e-2, 1e-4)
"""Log-odds near the clamp, where they grow a million times faster than the probability."""


@torch.no_grad()
def _prop_head(golden: GoldenCase) -> Results:
    head: SeqPropHead = seeded_model("r50", golden).prop_head
    height, width = golden["size"].tolist()
    levels = [
        seeded(golden, f"prop/P2_{index}", (1, 256, height // 4, width // 4), -3, 3)
        for index in range(4)
    ]
    c2 = seeded(golden, "prop/C2", (1, 256, height // 4, width // 4), 0, 4)
    c3 = seeded(golden, "prop/C3", (1, 512, height // 8, width // 8), 0, 4)
    first = torch.from_numpy(golden["masks0"]).float()
    slots = [
        head.memorize(levels[0], first),
        head.memorize(levels[1], torch.from_numpy(golden["slot1_masks"]).float()),
        head.memorize(levels[2], seeded(golden, "prop/soft2", (len(first), height, width), 0, 1)),
    ]
    query = head.query(levels[3])
    outputs: Results = {
        "mem_key0": slots[0][0][:, :, 0],
        "mem_value0_sub": slots[0][1][:, ::4, 0],
        "mem_key1": slots[1][0][:, :, 0],
        "mem_key2_sub": slots[2][0][:, ::2, 0],
        "qry_key": query[0],
        "qry_value_sub": query[1][:, ::4],
    }
    for count in (1, 3):
        key, value = (torch.cat(part, dim=2) for part in zip(*slots[:count], strict=True))
        probabilities = head.segment(key, value, *query, c2, c3)
        log_odds = soft_aggregate(probabilities)
        outputs |= {
            f"read_mem{count}_sub": read_memory(key, value, *query)[:, : value.shape[1] : 4],
            f"fg_prob_mem{count}": probabilities,
            f"soft_masks_mem{count}": aggregated_masks(log_odds)[None],
        }
    alone = slots[0][0][:1], slots[0][1][:1]
    return {**outputs, "softagg_mem3": log_odds, **_decoder(head, alone, query, c2, c3)}


def _decoder(
    head: SeqPropHead,
    memory: tuple[Tensor, Tensor],
    query: tuple[Tensor, Tensor],
    c2: Tensor,
    c3: Tensor,
) -> Results:
    """Return the intermediate results of one call, by hooks on the decoder's parts."""
    seen: dict[str, Tensor] = {}
    parts = {
        "m4": head.fusion,
        "m3": head.refine_stride8,
        "m2": head.refine_stride4,
        "pred2": head.predictor,
    }
    for name, part in parts.items():
        part.register_forward_hook(lambda _, __, out, name=name: seen.update({name: out}))
    probability = head.segment(*memory, *query, c2, c3)
    return {
        "fg_prob_single": probability,
        "single_m4_sub": seen["m4"][:, ::8],
        "single_m3_sub": seen["m3"][:, ::16],
        "single_m2_sub": seen["m2"][:, ::32],
        "single_pred2": seen["pred2"],
    }


@torch.no_grad()
def _memory_read_softagg(golden: GoldenCase) -> Results:
    objects, frames, height, width = golden["dims"].tolist()
    cells = (height, width)
    outputs: Results = {
        "read_and_query": read_memory(
            seeded(golden, "nl/mem_key", (objects, 64, frames, *cells), -2, 2),
            seeded(golden, "nl/mem_value", (objects, 256, frames, *cells), -1, 1),
            seeded(golden, "nl/qry_key", (1, 64, *cells), -2, 2),
            seeded(golden, "nl/qry_value", (1, 256, *cells), -1, 1),
        )
    }
    probabilities = torch.from_numpy(golden["probs"])
    for suffix, chosen in (("", probabilities), ("_single", probabilities[:1])):
        log_odds = soft_aggregate(chosen)
        outputs[f"softagg_logits{suffix}"] = log_odds
        outputs[f"softagg_masks{suffix}"] = log_odds.softmax(dim=1)
    return outputs


def _prop_loss(golden: GoldenCase) -> Results:
    log_odds, targets = [], []
    for index in range(int(golden["n_images"])):
        log_odds.append(torch.from_numpy(golden[f"logits{index}"]).requires_grad_())
        masks = torch.from_numpy(golden[f"gt_masks{index}"]).float()
        targets.append(masks[in_channel_order(golden[f"gt_pids{index}"].tolist())])
    loss = SoftIoULoss()(log_odds, targets)
    loss.backward()
    tiny = soft_iou_loss(torch.from_numpy(golden["tiny_pred"]), torch.from_numpy(golden["tiny_gt"]))
    outputs: Results = {"loss_prop": loss, "tiny_loss": tiny}
    for index, (logits, target) in enumerate(zip(log_odds, targets, strict=True)):
        outputs[f"grad{index}"] = logits.grad
        outputs[f"per_object{index}"] = soft_iou_loss(aggregated_masks(logits.detach()), target)
    return outputs


def in_channel_order(channels: list[int]) -> list[int]:
    """Return the objects that are propagated, by their 1-based channel (0: not propagated)."""
    return [channels.index(channel) for channel in sorted(set(channels) - {0})]


PART = GoldenPart(
    inputs={
        "prop_head": ("size", "unpadded", "masks0", "slot1_masks"),
        "memory_read_softagg": ("dims", "probs"),
        "prop_loss": ("n_images", "logits*", "gt_masks*", "gt_pids*", "tiny_pred", "tiny_gt"),
    },
    tolerances={
        "prop_head": {
            "fg_prob_*": PROBABILITIES,
            "soft_masks_*": PROBABILITIES,
            "softagg_mem3": CLAMPED,
            "*": FEATURES,
        },
        "memory_read_softagg": {"*": Tolerance(1e-4, 1e-4)},
        "prop_loss": {"*": Tolerance(1e-6, 1e-4)},
    },
    computes={
        "prop_head": _prop_head,
        "memory_read_softagg": _memory_read_softagg,
        "prop_loss": _prop_loss,
    },
    whole_models=("prop_head",),
)
