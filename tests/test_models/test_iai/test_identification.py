# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
import torch

from visbench.models.iai.identification import (
    ConvIdentityBranch,
    FCIdentityBranch,
    IdentityBank,
    id_mask_of,
)

NUM_IDS = 5
SOFTMAX = {"type": "mmdet.CrossEntropyLoss", "use_sigmoid": False, "loss_weight": 1.0}
NORM = {"type": "GN", "num_groups": 2}


def conv_branch(**fields: Any) -> ConvIdentityBranch:
    branch = ConvIdentityBranch(NUM_IDS, 8, 4, norm_cfg=NORM, **fields)
    branch.init_weights()
    return branch


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_number_of_convolutions_counts_the_predictor(number: int) -> None:
    branch = conv_branch(num_convs=number)
    assert sum(isinstance(part, torch.nn.Conv2d) for part in branch.modules()) == number
    assert branch(torch.randn(2, 8, 3, 4)).shape == (2, NUM_IDS, 3, 4)


def test_ids_start_improbable() -> None:
    branch = conv_branch()
    scores = branch.scores(branch(torch.randn(1, 8, 3, 4)).movedim(1, -1))
    torch.testing.assert_close(scores, torch.full_like(scores, 0.01), atol=5e-3, rtol=0)


@pytest.mark.parametrize("loss_id", [None, SOFTMAX])
def test_loss_falls_towards_the_targets(loss_id: dict | None) -> None:
    branch = conv_branch(loss_id=loss_id)
    targets = torch.tensor([0, NUM_IDS - 1, NUM_IDS])
    right = torch.full((3, branch.num_outputs), -4.0)
    for row, target in enumerate(targets.tolist()):
        if target < branch.num_outputs:
            right[row, target] = 4.0
    good, bad = branch.loss(right, targets, 3.0), branch.loss(-right, targets, 3.0)
    assert good < 0.1 < bad
    scores = branch.scores(right)
    assert scores.shape == (3, NUM_IDS)
    assert (scores > 0.5).sum(dim=1).tolist() == [1, 1, 0]
    half = branch.loss(-right, targets, 6.0)
    torch.testing.assert_close(half, bad / 2)


def test_loss_without_rows_is_zero_and_in_the_graph() -> None:
    branch = FCIdentityBranch(NUM_IDS, 8, 4, num_fcs=2)
    loss = branch.loss(branch(torch.zeros(0, 8)), torch.zeros(0, dtype=torch.long), 1.0)
    loss.backward()
    assert loss == 0 and branch.predictor.weight.grad is not None


def test_branch_of_regions_has_a_background() -> None:
    branch = FCIdentityBranch(NUM_IDS, 8, 4, num_fcs=2)
    logits = branch(torch.randn(3, 8))
    assert logits.shape == (3, NUM_IDS + 1)
    torch.testing.assert_close(branch.scores(logits), logits.softmax(1)[:, :NUM_IDS])


def test_branches_without_layers_are_refused() -> None:
    with pytest.raises(ValueError, match="num_convs=0 of the id branch"):
        conv_branch(num_convs=0)
    with pytest.raises(ValueError, match="num_fcs=0 of the id branch"):
        FCIdentityBranch(NUM_IDS, num_fcs=0)


def test_id_mask_is_one_hot_where_a_pixel_has_an_id() -> None:
    label_map = torch.tensor([[[0, NUM_IDS, -1, NUM_IDS + 1]]])
    mask = id_mask_of(label_map, NUM_IDS)
    assert mask.shape == (1, NUM_IDS + 1, 1, 4)
    assert mask.sum(dim=1).flatten().tolist() == [1, 1, 0, 0]
    assert mask[0, 0, 0, 0] == mask[0, NUM_IDS, 0, 1] == 1


def test_bank_embeds_every_cell_from_its_pixels_and_half_a_cell_around() -> None:
    bank = IdentityBank(NUM_IDS, 4, stride=8)
    label_map = torch.full((1, 24, 32), NUM_IDS)
    before = bank(id_mask_of(label_map, NUM_IDS))
    assert before.shape == (1, 4, 3, 4)
    label_map[0, 9, 17] = 2
    changed = (bank(id_mask_of(label_map, NUM_IDS)) != before).any(dim=1)[0]
    assert changed.nonzero().tolist() == [[1, 2]]
    with pytest.raises(ValueError, match="stride=7 of the id bank must be even"):
        IdentityBank(NUM_IDS, 4, stride=7)
