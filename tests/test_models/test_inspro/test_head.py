# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from visbench.models import InsPro
from visbench.models.inspro.head import InsProHead, grid_boxes, whole_frame_boxes
from visbench.models.inspro.stage import IntraQueryAttention, StageOutput, decode_boxes

WHWH = torch.tensor([[96.0, 64.0, 96.0, 64.0]])


def make_head(**fields: object) -> InsProHead:
    head = InsProHead(
        2,
        num_queries=4,
        num_stages=1,
        channels=8,
        stage={"num_heads": 2, "feedforward_channels": 8, "dynamic_channels": 2, "roi_size": 2},
        **{"bank_size": 3, **fields},
    )
    head.init_weights()
    return head


def output(boxes: torch.Tensor, value: float = 1.0) -> StageOutput:
    return StageOutput(torch.zeros(1, 4, 2), boxes[None], torch.full((1, 4, 8), value), boxes[None])


@pytest.mark.parametrize("eps_dim", [1, 5])
def test_intra_query_attention_follows_the_equation(eps_dim: int) -> None:
    attention = IntraQueryAttention(5, eps_dim)
    bank = torch.randn(4, 3, 5)
    weight = attention.epsilon.weight.detach().numpy().astype(np.float64)
    expected = np.zeros((3, 5))
    for slot in range(3):
        entries = bank[:, slot].numpy().astype(np.float64)
        energies = np.exp(entries @ weight.T)
        expected[slot] = (energies / energies.sum(0) * entries).sum(0) + entries[-1]
    np.testing.assert_allclose(attention(list(bank)).detach().numpy(), expected, atol=1e-5)


def test_one_entry_gives_twice_that_entry() -> None:
    entry = torch.randn(3, 5)
    torch.testing.assert_close(IntraQueryAttention(5)([entry]), 2 * entry)


def test_large_energies_stay_finite() -> None:
    attention = IntraQueryAttention(2)
    torch.nn.init.constant_(attention.epsilon.weight, 1e4)
    assert torch.isfinite(attention([torch.ones(1, 2), torch.full((1, 2), 3.0)])).all()


def test_bank_of_one_switches_attention_off() -> None:
    head = make_head(bank_size=1)
    entry = torch.randn(1, 4, 8)
    assert torch.equal(head.enhance([entry]), entry)


def test_decoding_is_bounded_from_above_only() -> None:
    boxes = torch.tensor([[10.0, 10, 30, 20], [0, 0, 10, 10], [5, 5, 5, 9]])
    deltas = torch.tensor([[1.0, -1, 0, 0], [0, 0, 20, -20], [0, 0, 3, 0]])
    decoded = decode_boxes(boxes, deltas)
    torch.testing.assert_close(decoded[0], torch.tensor([20.0, 5, 40, 15]))
    assert decoded[1, 2] - decoded[1, 0] == pytest.approx(10 * 100000 / 16, rel=1e-4)
    assert decoded[1, 3] - decoded[1, 1] < 1e-6
    assert decoded[2, 0] == decoded[2, 2] == 5


def test_box_outside_the_frame_recovers_a_positive_size() -> None:
    head = make_head()
    boxes = torch.tensor(
        [[-50.0, 10, -20, 30], [90, 60, 130, 90], [200, 200, 300, 300], [5, 5, 9, 9]]
    )
    carry = head.hand_over(output(boxes), head.start(1), WHWH)
    handed = carry.proposals[0] * WHWH
    sides = handed[:, 2:] - handed[:, :2]
    assert (sides >= 1 - 1e-4).all()
    assert (handed >= -1e-4).all() and (handed <= WHWH + 1e-4).all()
    torch.testing.assert_close(handed[3], boxes[3])


def test_clipping_can_be_switched_off() -> None:
    boxes = torch.tensor([[-50.0, 10, -20, 30]] * 4)
    head = make_head(clip_proposals="none")
    handed = head.hand_over(output(boxes), head.start(1), WHWH).proposals[0] * WHWH
    torch.testing.assert_close(handed, boxes)


def test_proposals_follow_a_change_of_frame_size(build: Callable[..., InsPro]) -> None:
    head = make_head()
    boxes = torch.tensor([[48.0, 32, 96, 64]] * 4)
    carry = head.hand_over(output(boxes), head.start(1), WHWH)
    torch.testing.assert_close(carry.proposals[0], torch.tensor([[0.5, 0.5, 1, 1]] * 4))


def test_frames_of_a_clip_may_differ_in_size() -> None:
    head = make_head()
    maps = [torch.randn(3, 8, 64 // s, 96 // s) for s in (4, 8, 16, 32)]
    sizes = torch.tensor([[96.0, 64, 96, 64], [48, 64, 48, 64], [80, 20, 80, 20]])
    outputs = head(maps, sizes, num_clips=1)
    for before, after in ((0, 1), (1, 2)):
        reported = head.reported_boxes(outputs.boxes[-1, before], sizes[before])
        started = outputs.sources[0, after] / sizes[after]
        torch.testing.assert_close(started, (reported / sizes[before]).detach())


@pytest.mark.parametrize(("query", "proposal"), [(True, False), (False, True), (False, False)])
def test_what_is_not_propagated_starts_afresh(query: bool, proposal: bool) -> None:
    head = make_head(propagate_query=query, propagate_proposal=proposal)
    start = head.start(1)
    carry = head.hand_over(output(torch.rand(4, 4).sort().values * 50), start, WHWH)
    assert torch.equal(carry.queries, start.queries) is not query
    assert torch.equal(carry.proposals, start.proposals) is not proposal


def test_handed_proposals_are_detached_and_queries_are_not() -> None:
    head = make_head()
    boxes = (torch.rand(4, 4).sort().values * 50).requires_grad_()
    features = torch.randn(1, 4, 8, requires_grad=True)
    stage = StageOutput(torch.zeros(1, 4, 2), boxes[None], features, boxes[None])
    carry = head.hand_over(stage, head.start(1), WHWH)
    assert not carry.proposals.requires_grad
    assert carry.queries.requires_grad
    cut = make_head(detach_query_between_frames=True)
    assert not cut.hand_over(stage, cut.start(1), WHWH).queries.requires_grad


def test_only_the_first_stage_of_the_first_frame_moves_the_start(
    build: Callable[..., InsPro],
) -> None:
    head = make_head()
    maps = [torch.randn(2, 8, 64 // s, 96 // s) for s in (4, 8, 16, 32)]
    outputs = head(maps, WHWH.expand(2, 4), num_clips=1)
    (gradient,) = torch.autograd.grad(
        outputs.boxes[0, 1].sum(), head.init_proposals.weight, retain_graph=True, allow_unused=True
    )
    assert gradient is None or not gradient.any()
    (gradient,) = torch.autograd.grad(outputs.boxes[0, 0].sum(), head.init_proposals.weight)
    assert gradient.any()


def test_divisors_follow_the_level_of_the_box() -> None:
    sides = torch.tensor([10.0, 111, 113, 225, 449, 2000])
    boxes = torch.stack([sides * 0, sides * 0, sides, sides], dim=1)
    assert make_head().divisors(boxes).tolist() == [64, 64, 128, 256, 512, 512]
    assert make_head(rel_coord_norm="none").divisors(boxes).tolist() == [1.0] * 6
    assert make_head(rel_coord_norm="fixed:20").divisors(boxes).tolist() == [20.0] * 6


def test_mask_parameters_use_the_generator_of_the_stage() -> None:
    sizes = {"num_heads": 2, "roi_size": 2}
    head = InsProHead(2, 4, num_stages=3, channels=8, stage=sizes, mask_head={})
    features, stage = torch.randn(4, 8), torch.tensor([0, 0, 2, 2])
    ours = head.mask_parameters(features, stage)
    expected = torch.cat(
        [head.stages[int(s)].controller(f[None]) for s, f in zip(stage, features, strict=True)]
    )
    torch.testing.assert_close(ours, expected)


def test_start_boxes() -> None:
    assert whole_frame_boxes(2).tolist() == [[0.5, 0.5, 1, 1]] * 2
    boxes = grid_boxes(7)
    assert boxes.shape == (7, 4)
    assert len(boxes[:, :2].unique(dim=0)) == 7
    assert ((boxes > 0) & (boxes <= 1)).all()
    assert make_head(start_boxes="grid").init_proposals.weight.tolist() == grid_boxes(4).tolist()


def test_queries_can_start_from_one_draw() -> None:
    shared = make_head(start_queries="shared").init_queries.weight
    drawn = make_head(start_queries="normal").init_queries.weight
    assert len(shared.unique(dim=0)) == 1
    assert shared.std() > 0.5
    assert len(drawn.unique(dim=0)) == len(drawn)


@pytest.mark.parametrize("zero", [False, True])
def test_regression_can_start_at_zero(zero: bool) -> None:
    sizes = {"num_heads": 2, "roi_size": 2, "zero_init_regression": zero}
    head = InsProHead(2, 4, num_stages=2, channels=8, stage=sizes)
    head.init_weights()
    maps = [torch.randn(1, 8, 64 // s, 96 // s) for s in (4, 8, 16, 32)]
    outputs = head(maps, WHWH, num_clips=1)
    assert torch.allclose(outputs.boxes[-1, 0], WHWH * torch.tensor([0.0, 0, 1, 1])) is zero
