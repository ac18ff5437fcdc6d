# SPDX-License-Identifier: Apache-2.0
"""Mask2Former's head for images that also hands out its queries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from mmdet.models import Mask2FormerHead
from torch import Tensor, nn

from visbench.registry import MODELS


class FrameQueries(NamedTuple):
    """What the last decoder layer says of n frames with N queries each.

    Args:
        logits: ``(n, N, K + 1)`` of the classes; the last one is "no object".
        masks: ``(n, N, h, w)`` mask logits at a quarter of the frame's size.
        embeddings: ``(n, N, C)`` of the queries.
    """

    logits: Tensor
    masks: Tensor
    embeddings: Tensor


@MODELS.register_module()
class MinVISHead(Mask2FormerHead):
    """MMDetection's Mask2Former head for instances.

    Args:
        num_classes: K, the number of classes.
        settings: All else that ``Mask2FormerHead`` takes.
    """

    def __init__(self, num_classes: int, **settings: Any) -> None:
        super().__init__(num_things_classes=num_classes, num_stuff_classes=0, **settings)

    def decode(self, features: Sequence[Tensor]) -> FrameQueries:
        """Return classes, masks and embeddings of all queries.

        Args:
            features: Levels of the backbone, each ``(n, C, h, w)``.
        """
        queries: list[Tensor] = []

        def keep(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            queries.append(inputs[0])

        # MMDetection's forward returns no queries, but each layer's go through the classifier.
        handle = self.cls_embed.register_forward_pre_hook(keep)
        try:
            logits, masks = self(features, [])
        finally:
            handle.remove()
        return FrameQueries(logits[-1], masks[-1], queries[-1])
