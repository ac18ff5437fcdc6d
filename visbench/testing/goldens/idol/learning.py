# SPDX-License-Identifier: Apache-2.0
"""Golden cases of IDOL: matching, sample selection and losses."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from visbench.models.data_preprocessor import ClipPreprocessor
from visbench.models.idol.identity_losses import (
    ContrastiveIdentityLoss,
    ContrastiveItem,
    FrameQueries,
    item_queries,
    reid_aux_loss,
    reid_loss,
)
from visbench.models.idol.losses import IDOLCriterion, dice_loss, focal_loss
from visbench.models.idol.matching import Match, OptimalTransportSelection, SimOTAMatcher
from visbench.models.idol.targets import PairTargets, sample_masks
from visbench.testing.golden_parts import GoldenPart
from visbench.testing.parity import EXACT, GoldenCase, Tolerance
from visbench.testing.seeded_weights import seeded_input

# After visbench.models, which supplies mmcv's operators before mmdet is imported.
from mmdet.structures.mask import BitmapMasks  # isort: skip

Results = dict[str, Any]

UNWEIGHTED: dict[str, Any] = dict.fromkeys(
    ("ce_weight", "bbox_weight", "giou_weight", "mask_weight", "dice_weight"), 1.0
)


def _tensor(golden: GoldenCase, name: str) -> Tensor:
    return torch.from_numpy(golden[name])


def _prefixes(golden: GoldenCase, last: str, start: str = "c") -> list[str]:
    """Return ``c0_``, ``c1_``, ... for as many as there are arrays that end in ``last``."""
    names = [name for name in golden.arrays if name.startswith(start) and name.endswith(last)]
    return [f"{start}{number}_" for number in range(len(names))]


def _of_valid(target: Tensor, valid: Tensor, queries: int) -> Tensor:
    rows = torch.zeros((len(valid), queries), dtype=torch.bool)
    rows[valid] = target
    return rows


def _matcher(golden: GoldenCase) -> Results:
    results: Results = {}
    matcher = SimOTAMatcher()
    for case in _prefixes(golden, "_kind"):
        inputs = [
            _tensor(golden, case + name)
            for name in ("pred_logits", "pred_boxes", "gt_labels", "gt_boxes")
        ]
        match = matcher(*inputs)
        selected = torch.zeros(len(inputs[0]), dtype=torch.bool)
        selected[match.queries] = True
        results[case + "selected"] = selected
        results[case + "gt_index"] = match.objects
        results[case + "matched_query"] = match.key_queries
        if case + "cost" in golden.arrays:
            results[case + "cost"], results[case + "iou"] = matcher.costs(*inputs)
    return results


def compare_matcher(golden: GoldenCase, ours: Any, comparison: Any) -> list[str]:
    """Compare costs; rows with the term of 10,000 are of its size, and so is their rounding."""
    names = [name for name in ours if name.endswith("_cost")]
    for name in names:
        large = np.abs(golden[name]).max(axis=1, initial=0) > 1000
        rounded = np.where(large[:, None], 1e-3, 1.0).astype(np.float32)
        comparison.compare(name, golden[name] * rounded, ours[name].numpy() * rounded)
    return names


def _pos_neg(golden: GoldenCase) -> Results:
    results: Results = {}
    select = OptimalTransportSelection()
    for case in _prefixes(golden, "_kind"):
        valid, logits = _tensor(golden, case + "valid"), _tensor(golden, case + "ref_logits")
        labels, boxes = (
            _tensor(golden, case + f"gt_{name}")[valid] for name in ("labels", "boxes")
        )
        found = select(logits, _tensor(golden, case + "ref_boxes"), labels, boxes)
        results[case + "positive"] = _of_valid(found.positive, valid, len(logits))
        results[case + "not_negative"] = _of_valid(~found.negative, valid, len(logits))
    return results


def _pair(labels: Tensor, boxes: Tensor, **fields: Tensor) -> PairTargets:
    nowhere = torch.zeros(len(labels), dtype=torch.bool)
    empty = PairTargets(labels, boxes, torch.zeros(len(labels), 0, 0), boxes, nowhere)
    return replace(empty, **fields)


def _contrastive(golden: GoldenCase) -> Results:
    images = _prefixes(golden, "_valid", "img")
    logits, boxes = (
        torch.stack([_tensor(golden, image + name) for image in images])
        for name in ("ref_logits", "ref_boxes")
    )
    pairs = [
        _pair(
            _tensor(golden, image + "gt_labels"),
            _tensor(golden, image + "gt_boxes"),
            valid=_tensor(golden, image + "valid"),
        )
        for image in images
    ]
    queries = [_tensor(golden, image + "key_query") for image in images]
    low, high = golden["hs_range"].tolist()
    shape = (*logits.shape[:2], golden["grad_reid_key"].shape[1])
    key, embeddings = (
        seeded_input(str(golden[name]), shape, low, high).requires_grad_()
        for name in ("hs_key_name", "hs_ref_name")
    )
    inputs = (key, FrameQueries(logits, boxes, embeddings), pairs, queries)
    origins = item_queries(pairs, queries)
    return {
        "item_img_query": origins,
        **_sampled_items("firstk", "first", inputs),
        **_sampled_items("seed0", "random", inputs),
        **_contrastive_gradients(inputs, origins),
    }


def _contrastive_gradients(inputs: tuple[Any, ...], origins: Tensor) -> Results:
    results: Results = {}
    leaves = inputs[0], inputs[1].embeddings
    losses = _contrastive_losses("first")(*inputs)
    for name, short in (("loss_reid", "reid"), ("loss_reid_aux", "aux")):
        of_key, of_reference = torch.autograd.grad(losses[name], leaves, retain_graph=True)
        results[f"grad_{short}_key"] = of_key[tuple(origins.T)]
        results[f"grad_{short}_ref_norm"] = of_reference.norm(dim=-1)
    return results


def _contrastive_losses(sampling: str) -> ContrastiveIdentityLoss:
    return ContrastiveIdentityLoss(reid_weight=1, aux_weight=1, negative_sampling=sampling)


def _sampled_items(mode: str, sampling: str, inputs: tuple[Any, ...]) -> Results:
    criterion = _contrastive_losses(sampling)
    items = _with_seed(lambda: criterion.items(*inputs))
    losses = _with_seed(lambda: criterion(*inputs))
    results: Results = {"loss_reid": losses["loss_reid"]}
    results[f"loss_reid_aux_{mode}"] = losses["loss_reid_aux"]
    for number, item in enumerate(items):
        results |= {
            f"item{number}_negids_{mode}": item.sampled,
            f"item{number}_cos_{mode}": item.cosine,
            f"item{number}_coslabel_{mode}": item.cosine_labels,
        }
        if mode == "firstk":
            results |= _item_results(f"item{number}_", item)
    return results


def _item_results(prefix: str, item: ContrastiveItem) -> Results:
    return {
        prefix + "contrast": item.contrast,
        prefix + "label": item.labels,
        prefix + "loss_reid": reid_loss(item),
        prefix + "loss_reid_aux": reid_aux_loss(item),
    }


def _with_seed(compute: Callable[[], Any]) -> Any:
    state = random.getstate()
    random.seed(0)
    try:
        return compute()
    finally:
        random.setstate(state)


def loss_components(golden: GoldenCase) -> Results:
    """Return the loss arrays of the case ``components``."""
    logits, targets = (_tensor(golden, f"loss_{name}") for name in ("logits", "targets"))
    results: Results = {
        "loss_focal": focal_loss(logits, targets, len(logits)),
        "loss_dice": dice_loss(logits, targets, len(logits)),
    }
    return {**results, **_set_losses(golden), **_mask_losses(golden)}


def _set_losses(golden: GoldenCase) -> Results:
    logits, boxes = _tensor(golden, "set_logits")[None], _tensor(golden, "set_boxes")[None]
    pairs = [
        _pair(_tensor(golden, f"set_gt_labels{image}"), _tensor(golden, f"set_gt_boxes{image}"))
        for image in range(logits.shape[1])
    ]
    criterion = IDOLCriterion(identity=None, **UNWEIGHTED)
    matches = criterion.match(logits, boxes, pairs)
    losses = criterion.box_losses(logits, boxes, pairs, matches)
    results: Results = {f"set_{name}": value for name, value in losses.items()}
    results["set_num_matched"] = torch.tensor([len(match.queries) for match in matches[0]])
    return results


def _mask_losses(golden: GoldenCase) -> Results:
    """The prediction has one row per matched query, whose objects the file gives."""
    logits = _tensor(golden, "maskloss_pred")[:, 0]
    images = _prefixes_of_masks(golden)
    frames = [golden[f"maskloss_{frame}{image}"] for image in images for frame in ("key", "ref")]
    size = ClipPreprocessor().batch_size([torch.from_numpy(masks) for masks in frames])
    pairs, matches = [], []
    for image in images:
        masks = golden[f"maskloss_key{image}"]
        objects = _tensor(golden, f"maskloss_gt_index{image}")
        bitmaps = BitmapMasks(masks.astype(np.uint8), *masks.shape[1:])
        nothing = torch.zeros(len(masks), dtype=torch.long)
        pairs.append(_pair(nothing, torch.zeros(len(masks), 4), masks=sample_masks(bitmaps, size)))
        matches.append(Match(torch.arange(len(objects)), objects, nothing))
    losses = IDOLCriterion(identity=None, **UNWEIGHTED).mask_losses([logits], pairs, [matches])
    return {"maskloss_focal": losses["loss_mask"], "maskloss_dice": losses["loss_dice"]}


def _prefixes_of_masks(golden: GoldenCase) -> range:
    return range(sum(name.startswith("maskloss_gt_index") for name in golden.arrays))


LOSS_INPUTS = (
    *("loss_logits", "loss_targets", "set_logits", "set_boxes", "set_gt_*"),
    *("maskloss_pred", "maskloss_key*", "maskloss_ref*", "maskloss_gt_index*"),
)
"""Inputs of :func:`loss_components`; the rest of its arrays are outputs."""

LOSS_TOLERANCES = {"loss_*": Tolerance(atol=1e-5), "set_num_matched": EXACT}
LOSS_TOLERANCES |= {"set_loss_*": Tolerance(atol=1e-5), "maskloss_*": Tolerance(atol=1e-5)}

PART = GoldenPart(
    inputs={
        "matcher": ("*_kind", "*_pred_logits", "*_pred_boxes", "*_gt_labels", "*_gt_boxes"),
        "pos_neg": (
            "*_kind",
            "*_ref_logits",
            "*_ref_boxes",
            "*_gt_labels",
            "*_gt_boxes",
            "*_valid",
        ),
        "contrastive": (
            *("img*_ref_logits", "img*_ref_boxes", "img*_gt_labels", "img*_gt_boxes"),
            *("img*_valid", "img*_key_query", "hs_*"),
        ),
    },
    tolerances={
        "matcher": {
            "*_cost": Tolerance(atol=1e-5),
            "*_iou": Tolerance(atol=1e-5),
            "*": EXACT,
        },
        "pos_neg": {"*": EXACT},
        "contrastive": {
            "grad_*": Tolerance(atol=1e-5),
            "item_img_query": EXACT,
            "*_negids_*": EXACT,
            "*": Tolerance(rtol=1e-5, atol=1e-6),
        },
    },
    computes={"matcher": _matcher, "pos_neg": _pos_neg, "contrastive": _contrastive},
    compares={"matcher": compare_matcher},
)
