# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from visbench.models.propose_reduce import SeqMaskHead


@pytest.mark.parametrize("agnostic", [False, True])
def test_soft_masks_are_those_that_detection_decides_on(agnostic: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    head = SeqMaskHead(num_convs=1, in_channels=4, conv_out_channels=4, num_classes=3)
    head.class_agnostic = agnostic
    logits = torch.randn(3, 1 if agnostic else 3, 6, 6, generator=generator) * 3
    boxes = torch.tensor([[3.9, 4.2, 20.9, 17.1], [-3.0, 10.0, 40.0, 30.0], [5.0, 5.0, 7.0, 9.0]])
    labels = torch.tensor([2, 0, 1])
    soft = head.paste_soft(logits.sigmoid(), boxes, labels, (24, 32))
    assert soft.shape == (3, 24, 32)
    assert soft.dtype == torch.float32
    meta = {"img_shape": (24, 32), "ori_shape": (24, 32), "scale_factor": (1.0, 1.0)}
    hard = head._predict_by_feat_single(
        logits, boxes, labels, meta, type("Cfg", (), {"mask_thr_binary": 0.5})
    )
    assert torch.equal(soft >= 0.5, hard)
    rows, columns = soft[2].nonzero().T
    assert rows.min() >= 3
    assert rows.max() <= 10
    assert columns.max() <= 8


def test_nothing_is_pasted_without_boxes() -> None:
    head = SeqMaskHead(num_convs=1, in_channels=4, conv_out_channels=4, num_classes=3)
    pasted = head.paste_soft(
        torch.zeros(0, 3, 6, 6), torch.zeros(0, 4), torch.zeros(0, dtype=torch.long), (24, 32)
    )
    assert pasted.shape == (0, 24, 32)
