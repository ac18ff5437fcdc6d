# SPDX-License-Identifier: Apache-2.0
"""Which queries of a frame learn which object: SimOTA matching and what it is reused for."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.ops import box_area, box_convert

from visbench.registry import TASK_UTILS

FOCAL_ALPHA = 0.25
FOCAL_GAMMA = 2.0
OUTSIDE_PAIR = 100.0
OUTSIDE_ALL = 10_000.0
TAKEN = 1e5
"""Added to the cost of a query that is not in an object's box and centre, that is in none of any
object, and that is matched already while another object has no query."""


class Match(NamedTuple):
    """Queries matched with the G objects of a frame.

    Attributes:
        queries: ``(n,)`` matched queries, ascending. An object may have several.
        objects: ``(n,)`` object of each, the first one if objects share a query.
        key_queries: ``(G,)`` the cheapest matched query of every object.
    """

    queries: Tensor
    objects: Tensor
    key_queries: Tensor


@TASK_UTILS.register_module()
class SimOTAMatcher:
    """Match one object with several queries, after SimOTA (fact sheet, section 5.3).

    An object takes as many queries of lowest cost as the sum of its largest IoUs says, at least
    one. A query that several objects want stays with the one that it is cheapest for.

    Args:
        num_candidates: Number of largest IoUs that are summed; fewer where there are fewer queries.
        class_weight: Weight of the focal term of the cost.
        giou_weight: Weight of the generalised IoU, which is subtracted.
        centre_radius: Largest distance of the centres per axis, divided by the frame's size, at
            which a query counts as near to the centre of an object.

    Raises:
        ValueError: If ``num_candidates`` is below 1.
    """

    def __init__(
        self,
        num_candidates: int = 10,
        class_weight: float = 1.0,
        giou_weight: float = 3.0,
        centre_radius: float = 2.5 / 32,
    ) -> None:
        if num_candidates < 1:
            raise ValueError(f"num_candidates={num_candidates} must be at least 1")
        self.num_candidates = num_candidates
        self.class_weight = class_weight
        self.giou_weight = giou_weight
        self.centre_radius = centre_radius

    @torch.no_grad()
    def __call__(self, logits: Tensor, boxes: Tensor, labels: Tensor, gt_boxes: Tensor) -> Match:
        """Match the queries of one frame with its objects.

        Args:
            logits: ``(Q, K)`` class logits.
            boxes: ``(Q, 4)`` cxcywh, divided by the frame's size.
            labels: ``(G,)`` classes of the objects.
            gt_boxes: ``(G, 4)`` cxcywh, divided by the frame's size.

        Returns:
            The match; empty without objects.

        Raises:
            FloatingPointError: If a cost is not finite, which means that training has diverged.
        """
        cost, overlaps = self.costs(logits, boxes, labels, gt_boxes)
        matched = assign(cost, overlaps, self.num_candidates)
        queries = matched.any(dim=1).nonzero()[:, 0]
        objects = key_queries = queries
        if len(labels):
            # Only numpy promises the first of equals.
            objects = torch.from_numpy(matched[queries].numpy().argmax(axis=1))
            key_queries = cost.masked_fill(~matched, torch.inf).argmin(dim=0)
        return Match(*(index.to(logits.device) for index in (queries, objects, key_queries)))

    @torch.no_grad()
    def costs(
        self, logits: Tensor, boxes: Tensor, labels: Tensor, gt_boxes: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the cost and the IoU of every query and object, each ``(Q, G)`` on the CPU.

        Args:
            logits: ``(Q, K)``.
            boxes: ``(Q, 4)``.
            labels: ``(G,)``.
            gt_boxes: ``(G, 4)``.

        Raises:
            FloatingPointError: If a cost is not finite.
        """
        boxes, gt_boxes = boxes.float(), gt_boxes.float()
        overlaps, generalised = _overlaps(boxes, gt_boxes)
        near, somewhere = self._prior(boxes, gt_boxes)
        cost = (
            self.class_weight * _class_cost(logits.float().sigmoid()[:, labels])
            - self.giou_weight * generalised
            + OUTSIDE_PAIR * ~near
            + OUTSIDE_ALL * ~somewhere[:, None]
        )
        cost = cost.cpu()
        if not cost.isfinite().all():
            raise FloatingPointError(
                "a matching cost is NaN or infinite: the predictions are no longer finite; lower "
                "the learning rate, clip gradients or train without reduced precision"
            )
        return cost, overlaps.cpu()

    def _prior(self, boxes: Tensor, gt_boxes: Tensor) -> tuple[Tensor, Tensor]:
        centres = boxes[:, None, :2]
        corners = box_convert(gt_boxes, "cxcywh", "xyxy")
        inside = ((centres > corners[:, :2]) & (centres < corners[:, 2:])).all(dim=-1)
        central = ((centres - gt_boxes[:, :2]).abs() < self.centre_radius).all(dim=-1)
        return inside & central, (inside | central).any(dim=1)


def assign(cost: Tensor, overlaps: Tensor, num_candidates: int) -> Tensor:
    """Give every object its queries.

    Args:
        cost: ``(Q, G)``; changed in place when an object found no query at first.
        overlaps: ``(Q, G)`` IoU.
        num_candidates: Number of largest IoUs that are summed to the number of queries.

    Returns:
        ``(Q, G)`` booleans. Every object has a query. A query has one object, except where the
        last resort for objects without a query left it with more: identical objects, or more
        objects than queries.
    """
    matched = torch.zeros_like(cost, dtype=torch.bool)
    if not cost.numel():
        return matched
    for column, count in enumerate(_sample_counts(overlaps, num_candidates).tolist()):
        matched[cost[:, column].topk(count, largest=False).indices, column] = True
    contested = matched.sum(dim=1) > 1
    _keep_cheapest(matched, cost, contested)
    while not matched.any(dim=0).all():
        all_taken = bool(matched.any(dim=1).all())
        cost[matched.any(dim=1)] += TAKEN
        missing = (~matched.any(dim=0)).nonzero()[:, 0]
        matched[cost[:, missing].argmin(dim=0), missing] = True
        if all_taken:
            break
        if (matched.sum(dim=1) > 1).any():
            _keep_cheapest(matched, cost, contested)
    return matched


def _sample_counts(overlaps: Tensor, num_candidates: int) -> Tensor:
    """Return the sum of the largest IoUs of every object, a whole number of at least 1."""
    largest = overlaps.topk(min(num_candidates, len(overlaps)), dim=0).values
    return largest.sum(dim=0).int().clamp(min=1)


def _keep_cheapest(matched: Tensor, cost: Tensor, rows: Tensor) -> None:
    cheapest = cost[rows].argmin(dim=1)
    matched[rows] = torch.nn.functional.one_hot(cheapest, cost.shape[1]).bool()


def _class_cost(probability: Tensor) -> Tensor:
    eps = 1e-8
    positive = -FOCAL_ALPHA * (1 - probability) ** FOCAL_GAMMA * (probability + eps).log()
    negative = -(1 - FOCAL_ALPHA) * probability**FOCAL_GAMMA * (1 - probability + eps).log()
    return positive - negative


def _overlaps(boxes: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    boxes, others = (box_convert(value, "cxcywh", "xyxy") for value in (boxes, others))
    low = torch.maximum(boxes[:, None, :2], others[:, :2])
    high = torch.minimum(boxes[:, None, 2:], others[:, 2:])
    intersection = (high - low).clamp(min=0).prod(dim=-1)
    union = box_area(boxes)[:, None] + box_area(others) - intersection
    low = torch.minimum(boxes[:, None, :2], others[:, :2])
    high = torch.maximum(boxes[:, None, 2:], others[:, 2:])
    hull = (high - low).prod(dim=-1)
    overlaps = intersection / union
    return overlaps, overlaps - (hull - union) / (hull + 1e-7)


class SampleSelection(NamedTuple):
    """Which queries of the reference frame an object's key embedding is compared with.

    Attributes:
        positive: ``(G, Q)`` booleans.
        negative: ``(G, Q)`` booleans. A query can be both where objects have the same box.
    """

    positive: Tensor
    negative: Tensor


@TASK_UTILS.register_module()
class OptimalTransportSelection:
    """Samples of the contrastive loss by cost (fact sheet, section 5.4).

    Positive for an object are the queries that the matcher gives it; negative are all but those
    that it would give with a larger number of candidates.

    Args:
        num_positive: Candidates whose summed IoU is the number of positives.
        num_kept: Candidates whose summed IoU is the number of queries that are not negative.
        matcher: Config of a :class:`SimOTAMatcher` for the cost.
    """

    def __init__(
        self, num_positive: int = 10, num_kept: int = 100, matcher: dict | None = None
    ) -> None:
        self.num_positive = num_positive
        self.num_kept = num_kept
        self.matcher = TASK_UTILS.build(matcher or {"type": "visbench.SimOTAMatcher"})

    @torch.no_grad()
    def __call__(
        self, logits: Tensor, boxes: Tensor, labels: Tensor, gt_boxes: Tensor
    ) -> SampleSelection:
        """Select samples among the queries of one frame; see :class:`SimOTAMatcher`."""
        cost, overlaps = self.matcher.costs(logits, boxes, labels, gt_boxes)
        positive = assign(cost, overlaps, self.num_positive)
        # The reference implementation goes on with the cost that the first call has changed.
        kept = assign(cost, overlaps, self.num_kept)
        return SampleSelection(positive.T.to(logits.device), ~kept.T.to(logits.device))


@TASK_UTILS.register_module()
class CostRankSelection(OptimalTransportSelection):
    """Samples of the contrastive loss by cost as the supplementary words it (section 4).

    Every object by itself takes the queries of lowest cost as positives and those of highest cost
    as negatives, whatever other objects take. Numbers are those of OptimalTransportSelection.
    """

    @torch.no_grad()
    def __call__(
        self, logits: Tensor, boxes: Tensor, labels: Tensor, gt_boxes: Tensor
    ) -> SampleSelection:
        """Select samples among the queries of one frame; see :class:`SimOTAMatcher`."""
        cost, overlaps = self.matcher.costs(logits, boxes, labels, gt_boxes)
        rank = cost.argsort(dim=0, stable=True).argsort(dim=0)
        positive, kept = (
            (rank < _sample_counts(overlaps, number)).T
            for number in (self.num_positive, self.num_kept)
        )
        return SampleSelection(positive.to(logits.device), ~kept.to(logits.device))


@TASK_UTILS.register_module()
class IoUSelection:
    """Samples of the contrastive loss by fixed IoUs, as a baseline (supplementary, section 4).

    An object that no predicted box overlaps enough has no positive.

    Args:
        positive_iou: A query is positive above this IoU.
        negative_iou: A query is negative below this IoU.

    Raises:
        ValueError: If the two overlap or leave 0 to 1.
    """

    def __init__(self, positive_iou: float = 0.7, negative_iou: float = 0.3) -> None:
        if not 0 <= negative_iou <= positive_iou <= 1:
            raise ValueError(
                f"negative_iou={negative_iou} and positive_iou={positive_iou} must satisfy "
                "0 <= negative_iou <= positive_iou <= 1"
            )
        self.positive_iou = positive_iou
        self.negative_iou = negative_iou

    @torch.no_grad()
    def __call__(
        self, logits: Tensor, boxes: Tensor, labels: Tensor, gt_boxes: Tensor
    ) -> SampleSelection:
        """Select samples among the queries of one frame; classes play no role."""
        overlaps, _ = _overlaps(gt_boxes.float(), boxes.float())
        return SampleSelection(overlaps > self.positive_iou, overlaps < self.negative_iou)
