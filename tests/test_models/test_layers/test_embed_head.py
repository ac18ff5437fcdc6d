# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from mmdet.models.tracking_heads import RoIEmbedHead

from visbench.models.layers import SignedRoIEmbedHead


@pytest.mark.parametrize("with_avg_pool", [False, True])
@pytest.mark.parametrize("num_convs", [0, 1])
@pytest.mark.parametrize("num_fcs", [1, 2])
@torch.no_grad()
def test_only_the_last_relu_is_left_out(with_avg_pool: bool, num_convs: int, num_fcs: int) -> None:
    torch.manual_seed(0)
    options = {
        "num_convs": num_convs,
        "num_fcs": num_fcs,
        "roi_feat_size": 3,
        "in_channels": 4,
        "conv_out_channels": 5,
        "fc_out_channels": 6,
        "with_avg_pool": with_avg_pool,
    }
    theirs, ours = RoIEmbedHead(**options), SignedRoIEmbedHead(**options)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    features = torch.randn(5, 4, 3, 3)
    signed = ours.extract_feat(features, [2, 3])
    for one, expected in zip(signed, theirs.extract_feat(features, [2, 3]), strict=True):
        torch.testing.assert_close(one.relu(), expected)
    assert torch.cat(signed).min() < 0


@torch.no_grad()
def test_a_new_object_can_win() -> None:
    torch.manual_seed(0)
    options = {"num_fcs": 1, "roi_feat_size": 1, "in_channels": 8, "fc_out_channels": 8}
    features, previous = torch.randn(20, 8, 1, 1), torch.randn(3, 8, 1, 1)
    wins = {}
    for kind in (RoIEmbedHead, SignedRoIEmbedHead):
        head = kind(**options)
        torch.nn.init.eye_(head.fcs[0].weight)
        torch.nn.init.zeros_(head.fcs[0].bias)
        (logits,) = head.predict(features, previous)
        wins[kind] = int((logits[:, 0] > logits[:, 1:].amax(dim=1)).sum())
    assert wins[RoIEmbedHead] == 0
    assert wins[SignedRoIEmbedHead] > 0
