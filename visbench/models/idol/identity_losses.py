# SPDX-License-Identifier: Apache-2.0
"""What makes embeddings tell objects apart: contrastive learning, or classifying instances."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from visbench.models.idol.matching import Match, SampleSelection
from visbench.models.idol.targets import PairTargets
from visbench.registry import MODELS, TASK_UTILS


class FrameQueries(NamedTuple):
    """What the last decoder layer says of the reference frames.

    Attributes:
        logits: ``(B, Q, K)``.
        boxes: ``(B, Q, 4)`` cxcywh, divided by the valid size of each frame.
        embeddings: ``(B, Q, C)``.
    """

    logits: Tensor
    boxes: Tensor
    embeddings: Tensor


Sampler = Callable[[int, int], Sequence[int]]


def _random(number: int, wanted: int) -> Sequence[int]:
    return random.sample(range(number), wanted)


def _first(number: int, wanted: int) -> Sequence[int]:
    return range(wanted)


NEGATIVE_SAMPLERS: dict[str, Sampler] = {"random": _random, "first": _first}
"""How so many of a number of negatives are drawn: without replacement by Python's generator, or
the first ones, for tests without randomness."""


class ContrastiveItem(NamedTuple):
    """One object of a pair: its key embedding against queries of the reference frame.

    Attributes:
        contrast: ``(p + n,)`` dot products with the positives, then with the negatives, each in
            ascending order of the query.
        labels: ``(p + n,)``, 1 and 0.
        cosine: ``(p + k,)`` cosines with the positives, then with the sampled negatives.
        cosine_labels: ``(p + k,)``, 1 and 0.
        sampled: ``(k,)`` positions of the sampled negatives among the n.
    """

    contrast: Tensor
    labels: Tensor
    cosine: Tensor
    cosine_labels: Tensor
    sampled: Tensor


def contrastive_item(
    key: Tensor, embeddings: Tensor, positive: Tensor, negative: Tensor, sampler: Sampler
) -> ContrastiveItem:
    """Compare a key embedding with queries of the reference frame (fact sheet, section 5.4).

    Args:
        key: ``(C,)``.
        embeddings: ``(Q, C)``.
        positive: ``(Q,)`` booleans.
        negative: ``(Q,)`` booleans.
        sampler: Draws the negatives of the cosines: ten for every positive, ten without any, at
            most all.
    """
    positives, negatives = embeddings[positive], embeddings[negative]
    wanted = min(10 * max(len(positives), 1), len(negatives))
    sampled = torch.as_tensor(
        list(sampler(len(negatives), wanted)), dtype=torch.long, device=key.device
    )
    compared = torch.cat([positives, negatives])
    contrasted = torch.cat([positives, negatives[sampled]])
    return ContrastiveItem(
        contrast=compared @ key,
        labels=_labels(len(positives), len(compared), key),
        cosine=F.cosine_similarity(contrasted, key[None], dim=1),
        cosine_labels=_labels(len(positives), len(contrasted), key),
        sampled=sampled,
    )


def item_queries(targets: Sequence[PairTargets], key_queries: Sequence[Tensor]) -> Tensor:
    """Return image and key query ``(n, 2)`` of every object that is in both frames.

    Args:
        targets: The objects.
        key_queries: The query ``(G,)`` of every object in the key frame, for every image.
    """
    rows = []
    for image, (pair, queries) in enumerate(zip(targets, key_queries, strict=True)):
        found = queries[pair.valid]
        rows.append(torch.stack([torch.full_like(found, image), found], dim=1))
    return torch.cat(rows)


def _labels(positives: int, length: int, like: Tensor) -> Tensor:
    return (torch.arange(length, device=like.device) < positives).to(like.dtype)


def reid_loss(item: ContrastiveItem) -> Tensor:
    """Return ``ln(1 + sum over positives p and negatives n of exp(n - p))`` of the dot products.

    Without a positive or without a negative it is 0.
    """
    positive = item.labels > 0
    excess = item.contrast[~positive].logsumexp(0) + (-item.contrast[positive]).logsumexp(0)
    return F.softplus(excess)


def reid_aux_loss(item: ContrastiveItem) -> Tensor:
    """Return the mean squared distance of the cosines from their labels; 0 without any."""
    return (item.cosine - item.cosine_labels).square().sum() / max(len(item.cosine), 1)


@MODELS.register_module()
class ContrastiveIdentityLoss(nn.Module):
    """Contrastive learning of embeddings between key and reference frame.

    Args:
        selection: Config of what selects positives and negatives in the reference frame: an
            :class:`OptimalTransportSelection` (the default) or an :class:`IoUSelection`.
        reid_weight: Weight of the contrastive loss.
        aux_weight: Weight of the auxiliary loss of cosines.
        negative_sampling: A name in :data:`NEGATIVE_SAMPLERS`.

    Raises:
        ValueError: If ``negative_sampling`` is another word.
    """

    def __init__(
        self,
        selection: dict | None = None,
        reid_weight: float = 2.0,
        aux_weight: float = 3.0,
        negative_sampling: str = "random",
    ) -> None:
        super().__init__()
        if negative_sampling not in NEGATIVE_SAMPLERS:
            raise ValueError(
                f"negative_sampling={negative_sampling!r} is not one of {sorted(NEGATIVE_SAMPLERS)}"
            )
        self.selection = TASK_UTILS.build(
            selection or {"type": "visbench.OptimalTransportSelection"}
        )
        self.reid_weight = reid_weight
        self.aux_weight = aux_weight
        self.sampler = NEGATIVE_SAMPLERS[negative_sampling]

    def forward(
        self,
        key_embeddings: Tensor,
        reference: FrameQueries,
        targets: Sequence[PairTargets],
        key_queries: Sequence[Tensor],
    ) -> dict[str, Tensor]:
        """Return ``loss_reid`` and ``loss_reid_aux``, means over items; 0 without an item.

        Args:
            key_embeddings: ``(B, Q, C)`` of the key frames.
            reference: Outputs for the reference frames.
            targets: The objects.
            key_queries: B tensors ``(G,)``, the query of every object in the key frame.
        """
        items = self.items(key_embeddings, reference, targets, key_queries)
        nothing = _no_loss(key_embeddings, reference)
        number = max(len(items), 1)
        reid = sum((reid_loss(item) for item in items), nothing)
        aux = sum((reid_aux_loss(item) for item in items), nothing)
        return {
            "loss_reid": reid * (self.reid_weight / number),
            "loss_reid_aux": aux * (self.aux_weight / number),
        }

    def items(
        self,
        key_embeddings: Tensor,
        reference: FrameQueries,
        targets: Sequence[PairTargets],
        key_queries: Sequence[Tensor],
    ) -> list[ContrastiveItem]:
        """Return an item for every object that is in both frames, image by image."""
        images, queries = item_queries(targets, key_queries).T
        keys = iter(key_embeddings.float()[images, queries])
        items = []
        for image, pair in enumerate(targets):
            embeddings = reference.embeddings[image].float()
            selection = self.select(image, reference, pair)
            items += [
                contrastive_item(next(keys), embeddings, positive, negative, self.sampler)
                for positive, negative in zip(*selection, strict=True)
            ]
        return items

    def select(self, image: int, reference: FrameQueries, pair: PairTargets) -> SampleSelection:
        """Return the samples of the valid objects of one image."""
        selected: SampleSelection = self.selection(
            reference.logits[image].detach(),
            reference.boxes[image].detach(),
            pair.labels[pair.valid],
            pair.reference_boxes[pair.valid],
        )
        return selected


@MODELS.register_module()
class InstanceClassificationLoss(nn.Module):
    """Embeddings as an instance classifier: "ID head" in the supplementary's Table 1.

    As in MaskTrack R-CNN an object of the key frame is classified among the objects of the
    reference frame and "new": the logits are dot products of embeddings, and 0 for "new", which is
    right for objects that are not in the reference frame. An object is represented by its one
    cheapest query in either frame. The supplementary says no more of its ID head than the name.

    Args:
        loss_weight: Weight of the cross-entropy, a mean over the objects of key frames.
        matcher: Config of the :class:`SimOTAMatcher` that finds the queries in reference frames.
    """

    def __init__(self, loss_weight: float = 2.0, matcher: dict | None = None) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        self.matcher = TASK_UTILS.build(matcher or {"type": "visbench.SimOTAMatcher"})

    def forward(
        self,
        key_embeddings: Tensor,
        reference: FrameQueries,
        targets: Sequence[PairTargets],
        key_queries: Sequence[Tensor],
    ) -> dict[str, Tensor]:
        """Return ``loss_id``; see :meth:`ContrastiveIdentityLoss.forward`."""
        loss = _no_loss(key_embeddings, reference)
        number = 0
        for image, (pair, queries) in enumerate(zip(targets, key_queries, strict=True)):
            match: Match = self.matcher(
                reference.logits[image].detach(),
                reference.boxes[image].detach(),
                pair.labels[pair.valid],
                pair.reference_boxes[pair.valid],
            )
            candidates = reference.embeddings[image].float()[match.key_queries]
            keys = key_embeddings[image].float()[queries]
            logits = F.pad(keys @ candidates.T, (1, 0))
            column = torch.where(pair.valid, pair.valid.cumsum(0), 0)
            loss = loss + F.cross_entropy(logits, column, reduction="sum")
            number += len(keys)
        return {"loss_id": loss * (self.loss_weight / max(number, 1))}


def _no_loss(key_embeddings: Tensor, reference: FrameQueries) -> Tensor:
    """Return 0, tied to the embeddings: distributed training misses no parameter."""
    return (key_embeddings.float().sum() + reference.embeddings.float().sum()) * 0
