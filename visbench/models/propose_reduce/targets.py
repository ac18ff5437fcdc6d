# SPDX-License-Identifier: Apache-2.0
"""Which objects are propagated in training, and what they look like in the other frame."""

from __future__ import annotations

from typing import NamedTuple

import torch
from mmengine.structures import InstanceData
from torch import Tensor


class PropagationTargets(NamedTuple):
    """Objects that are propagated from the guidance to the query frame.

    Attributes:
        boxes: ``(O, 4)`` xyxy in the guidance frame.
        labels: ``(O,)`` 0-based labels.
        masks: ``(O, H, W)`` masks in the query frame, 0 or 1.
        sources: ``(O,)`` rows of the guidance frame's ground truth.
        targets: ``(O,)`` rows of the query frame's ground truth.
    """

    boxes: Tensor
    labels: Tensor
    masks: Tensor
    sources: Tensor
    targets: Tensor


def propagation_targets(
    guidance: InstanceData, query: InstanceData, max_objects: int = 5
) -> PropagationTargets:
    """Choose the objects of the guidance frame that are visible in the query frame.

    Args:
        guidance: Ground truth with ``bboxes``, ``labels`` and ``instances_ids``.
        query: Ground truth with ``masks`` and ``instances_ids``.
        max_objects: Of more, so many are drawn at random (reference code).

    Returns:
        The objects in the order of the guidance frame.
    """
    same = guidance.instances_ids[:, None] == query.instances_ids[None]
    visible = torch.as_tensor(query.masks.areas > 0, device=same.device)
    sources, targets = (same & visible).nonzero(as_tuple=True)
    if len(sources) > max_objects:
        drawn = torch.randperm(len(sources))[:max_objects].sort().values.to(sources.device)
        sources, targets = sources[drawn], targets[drawn]
    masks = query.masks[targets.cpu().numpy()]
    return PropagationTargets(
        guidance.bboxes[sources],
        guidance.labels[sources],
        masks.to_tensor(torch.float32, guidance.bboxes.device),
        sources,
        targets,
    )
