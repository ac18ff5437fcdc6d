# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from visbench.models.idol import FrameQueries, IDOLCriterion, InstanceClassificationLoss
from visbench.models.idol.identity_losses import (
    ContrastiveIdentityLoss,
    ContrastiveItem,
    contrastive_item,
    reid_aux_loss,
    reid_loss,
)
from visbench.models.idol.losses import dice_loss, focal_loss
from visbench.models.idol.targets import PairTargets, pair_targets

LAYERS, QUERIES, CLASSES, CHANNELS = 3, 14, 3, 5
NAMES = ("loss_ce", "loss_bbox", "loss_giou", "loss_mask", "loss_dice")
BOTH = ({1: (0, 0, 32, 32), 5: (40, 16, 96, 48)}, {1: (8, 0, 40, 32), 5: (40, 8, 96, 40)})
Losses = dict[str, Tensor]


def outputs(seed: int = 0, images: int = 1) -> list[Tensor]:
    """Return logits, boxes, key embeddings and the reference's logits, boxes and embeddings."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(LAYERS, images, QUERIES, CLASSES), (LAYERS, images, QUERIES, 4)]
    shapes += [(images, QUERIES, CHANNELS), (images, QUERIES, CLASSES), (images, QUERIES, 4)]
    values = [torch.randn(shape, generator=generator) for shape in (*shapes, shapes[2])]
    return [
        (value.sigmoid() * 0.8 + 0.1 if value.shape[-1] == 4 else value).requires_grad_()
        for value in values
    ]


def all_losses(
    criterion: IDOLCriterion, targets: list[PairTargets], values: list[Tensor]
) -> Losses:
    logits, boxes, key, *reference = values
    matches = criterion.match(logits, boxes, targets)
    masks = [
        boxes.sum() * 0 + torch.ones(sum(len(match.queries) for match in layer), 16, 24)
        for layer in matches
    ]
    return {
        **criterion.box_losses(logits, boxes, targets, matches),
        **criterion.mask_losses(masks, targets, matches),
        **criterion.identity_losses(key, FrameQueries(*reference), targets, matches[-1]),
    }


def test_names_and_weights(pair_of: Callable) -> None:
    targets = pair_targets([pair_of(*BOTH)], "cpu")
    weighted = all_losses(IDOLCriterion(), targets, outputs())
    suffixes = [f"_{layer}" for layer in range(LAYERS - 1)] + [""]
    expected = {name + suffix for name in NAMES for suffix in suffixes}
    assert set(weighted) == expected | {"loss_reid", "loss_reid_aux"}
    ones = {f"{name.removeprefix('loss_')}_weight": 1.0 for name in NAMES}
    plain = all_losses(IDOLCriterion(identity=None, **ones), targets, outputs())
    for name, weight in zip(NAMES, (2, 5, 2, 2, 5), strict=True):
        for suffix in suffixes:
            assert torch.allclose(weighted[name + suffix], weight * plain[name + suffix])


def test_box_losses_are_those_of_loops(pair_of: Callable) -> None:
    targets = pair_targets([pair_of(*BOTH), pair_of({2: (0, 0, 48, 64)}, {})], "cpu")
    logits, boxes, *_ = outputs(3, images=2)
    criterion = IDOLCriterion(identity=None)
    matches = criterion.match(logits, boxes, targets)
    losses = criterion.box_losses(logits, boxes, targets, matches)
    for layer in range(LAYERS):
        pairs = [
            (image, query, obj)
            for image, match in enumerate(matches[layer])
            for query, obj in zip(match.queries.tolist(), match.objects.tolist(), strict=True)
        ]
        wanted = {(i, q): int(targets[i].labels[o]) for i, q, o in pairs}
        focal = distance = 0.0
        for i in range(2):
            for q in range(QUERIES):
                for k in range(CLASSES):
                    p = 1 / (1 + math.exp(-float(logits[layer, i, q, k])))
                    positive = wanted.get((i, q)) == k
                    p, alpha = (p, 0.25) if positive else (1 - p, 0.75)
                    focal -= alpha * (1 - p) ** 2 * math.log(p)
        for i, q, o in pairs:
            distance += float((boxes[layer, i, q] - targets[i].boxes[o]).abs().sum())
        suffix = "" if layer == LAYERS - 1 else f"_{layer}"
        assert float(losses["loss_ce" + suffix]) == pytest.approx(2 * focal / len(pairs), rel=1e-4)
        assert float(losses["loss_bbox" + suffix]) == pytest.approx(
            5 * distance / len(pairs), rel=1e-4
        )


def test_mask_losses_by_hand() -> None:
    logits, truth = torch.tensor([[0.0, 2.0], [-1.0, 3.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    focal = dice = 0.0
    for row in range(2):
        p = [1 / (1 + math.exp(-x)) for x in logits[row].tolist()]
        t = truth[row].tolist()
        for a, b in zip(p, t, strict=True):
            right, alpha = (a, 0.25) if b else (1 - a, 0.75)
            focal -= alpha * (1 - right) ** 2 * math.log(right) / 2
        dice += 1 - (2 * sum(a * b for a, b in zip(p, t, strict=True)) + 1) / (sum(p) + sum(t) + 1)
    assert float(focal_loss(logits, truth, 4)) == pytest.approx(focal / 4, rel=1e-5)
    assert float(dice_loss(logits, truth, 4)) == pytest.approx(dice / 4, rel=1e-5)


@pytest.mark.parametrize("frames", [({}, {}), ({}, BOTH[1]), (BOTH[0], {}), BOTH])
@pytest.mark.parametrize(
    "identity",
    [{"type": "visbench.ContrastiveIdentityLoss"}, {"type": "visbench.InstanceClassificationLoss"}],
)
def test_losses_are_finite_whatever_is_missing(
    pair_of: Callable, frames: tuple[dict, dict], identity: dict
) -> None:
    targets = pair_targets([pair_of(*frames)], "cpu")
    values = outputs(1)
    losses = all_losses(IDOLCriterion(identity=identity), targets, values)
    total = torch.stack(list(losses.values())).sum()
    assert total.isfinite()
    total.backward()
    # Every output has a gradient, zeros included, so that distributed training misses none.
    for value in (*values[:3], values[5]):
        assert value.grad is not None
        assert value.grad.isfinite().all()
    absent = [name for name, loss in losses.items() if float(loss) == 0]
    if not frames[0]:
        assert {"loss_bbox", "loss_giou", "loss_mask", "loss_dice"} <= set(absent)
        assert losses["loss_ce"] > 0
    elif not frames[1]:
        assert ("loss_reid" in absent) == ("loss_reid" in losses)


def slow_reid(positives: list[float], negatives: list[float]) -> float:
    return math.log(1 + sum(math.exp(n - p) for p in positives for n in negatives))


def item(contrast: list[float], positives: int) -> ContrastiveItem:
    values = torch.tensor(contrast, requires_grad=True)
    labels = (torch.arange(len(contrast)) < positives).float()
    return ContrastiveItem(values, labels, values, labels, torch.arange(0))


def test_contrastive_loss_by_hand() -> None:
    value = float(reid_loss(item([1.0, -0.5, 0.3, 2.0], 2)))
    assert value == pytest.approx(slow_reid([1.0, -0.5], [0.3, 2.0]), rel=1e-6)
    assert float(reid_aux_loss(item([0.5, -0.5], 1))) == pytest.approx(0.25)


@pytest.mark.parametrize(("contrast", "positives"), [([0.3, 2.0], 0), ([0.3, 2.0], 2), ([], 0)])
def test_contrastive_loss_without_one_side_is_zero(contrast: list[float], positives: int) -> None:
    values = item(contrast, positives)
    loss = reid_loss(values)
    assert float(loss) == 0
    assert float(reid_aux_loss(item([], 0))) == 0
    loss.backward()
    assert values.contrast.grad is not None
    assert not values.contrast.grad.isnan().any()


def test_large_dot_products_do_not_overflow() -> None:
    assert float(reid_loss(item([-900.0, 900.0], 1))) == pytest.approx(1800)


def test_negatives_of_the_cosines() -> None:
    embeddings, key = torch.randn(40, 4), torch.randn(4)
    positive = torch.arange(40) < 2
    random.seed(3)
    sampled = contrastive_item(
        key, embeddings, positive, ~positive, lambda n, k: random.sample(range(n), k)
    )
    assert len(sampled.contrast) == 40
    assert len(sampled.sampled) == 20 == len(set(sampled.sampled.tolist()))
    expected = torch.nn.functional.cosine_similarity(embeddings[2:][sampled.sampled], key[None])
    assert torch.allclose(sampled.cosine[2:], expected)
    none = contrastive_item(key, embeddings, positive & False, ~positive, lambda n, k: range(k))
    assert len(none.cosine) == 10


def test_instances_are_classified_among_the_reference_and_new(pair_of: Callable) -> None:
    key = {1: (0, 0, 32, 32), 5: (40, 16, 96, 48), 3: (0, 40, 24, 64)}
    targets = pair_targets([pair_of(key, {5: (40, 8, 96, 40), 1: (8, 0, 40, 32)})], "cpu")
    values = outputs(4)
    criterion = InstanceClassificationLoss(loss_weight=1.0)
    queries = torch.tensor([2, 9, 4])
    loss = criterion(values[2], FrameQueries(*values[3:]), targets, [queries])["loss_id"]
    match = criterion.matcher(
        values[3][0], values[4][0], targets[0].labels[:2], targets[0].reference_boxes[:2]
    )
    expected = 0.0
    for row, column in ((0, 1), (1, 2), (2, 0)):
        keys = values[2][0, queries[row]]
        logits = [0.0] + [float(keys @ values[5][0, q]) for q in match.key_queries]
        expected += math.log(sum(map(math.exp, logits))) - logits[column]
    assert float(loss) == pytest.approx(expected / 3, rel=1e-5)


def test_unknown_sampling_is_refused() -> None:
    with pytest.raises(ValueError, match="negative_sampling='last'"):
        ContrastiveIdentityLoss(negative_sampling="last")
