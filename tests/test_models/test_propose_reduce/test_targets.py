# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import torch
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import InstanceData

from visbench.models.propose_reduce.targets import propagation_targets


def instances(ids: list[int], empty: tuple[int, ...] = ()) -> InstanceData:
    """Return objects whose masks and boxes tell their ids."""
    masks = np.zeros((len(ids), 4, 16), dtype=np.uint8)
    for row, value in enumerate(ids):
        if value not in empty:
            masks[row, 0, value] = 1
    return InstanceData(
        bboxes=torch.tensor(ids, dtype=torch.float32)[:, None].expand(-1, 4).reshape(-1, 4),
        labels=torch.tensor(ids, dtype=torch.long) + 100,
        masks=BitmapMasks(masks, 4, 16),
        instances_ids=torch.tensor(ids, dtype=torch.long),
    )


def shown(masks: torch.Tensor) -> list[int]:
    return masks[:, 0].argmax(dim=1).tolist()


def test_objects_of_both_frames_in_the_order_of_the_guidance() -> None:
    targets = propagation_targets(instances([7, 3, 5]), instances([5, 9, 7]))
    assert targets.boxes[:, 0].tolist() == [7, 5]
    assert targets.labels.tolist() == [107, 105]
    assert shown(targets.masks) == [7, 5]
    assert targets.masks.shape == (2, 4, 16)


def test_an_object_without_pixels_in_the_query_is_left_out() -> None:
    targets = propagation_targets(instances([1, 2]), instances([1, 2], empty=(1,)))
    assert targets.labels.tolist() == [102]


def test_no_object_in_common() -> None:
    for guidance, query in (([1], [2]), ([], [2]), ([1], [])):
        targets = propagation_targets(instances(guidance), instances(query))
        assert targets.masks.shape == (0, 4, 16)
        assert targets.boxes.shape == (0, 4)


def test_of_many_objects_some_are_drawn() -> None:
    ids = list(range(9))
    drawn = set()
    for seed in range(8):
        torch.manual_seed(seed)
        targets = propagation_targets(instances(ids), instances(ids[::-1]), max_objects=5)
        chosen = targets.boxes[:, 0].int().tolist()
        assert len(chosen) == 5
        assert chosen == sorted(chosen) == shown(targets.masks)
        drawn |= set(chosen)
    assert drawn == set(ids)
