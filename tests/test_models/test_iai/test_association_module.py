# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
import torch

from visbench.models.iai.association_module import AssociationModule
from visbench.models.iai.hybrid_association import ChannelGate, TokenDropPath, TokenPosition
from visbench.models.iai.identification import id_mask_of

CPU = torch.device("cpu")
NUM_IDS = 4
SIZE = (3, 5)
BLOCK: dict[str, Any] = {
    "self_heads": 2,
    "memory_heads": 2,
    "window": 3,
    "hidden_channels": 16,
    "num_groups": 4,
}


def module(block: dict | None = None, **fields: Any) -> AssociationModule:
    torch.manual_seed(0)
    built = AssociationModule(
        in_channels=6,
        stride=8,
        num_ids=NUM_IDS,
        **{"channels": 8, "classification_channels": 4, **fields},
        block={**BLOCK, **(block or {})},
    )
    built.init_weights()
    return built.eval()


def frames(number: int = 5, batch: int = 1) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    pixels = (batch, SIZE[0] * 8, SIZE[1] * 8)
    return [
        (
            torch.randn(batch, 6, *SIZE, generator=generator),
            torch.randint(0, NUM_IDS + 1, pixels, generator=generator),
        )
        for _ in range(number)
    ]


def run(built: AssociationModule, clip: list[tuple[torch.Tensor, torch.Tensor]]) -> Any:
    memory, outputs = built.new_memory(), []
    with torch.no_grad():
        for features, label_map in clip:
            fused, tokens = built.read(features, memory)
            built.write(tokens, label_map, memory)
            outputs.append(fused)
    return torch.stack(outputs), memory


def test_what_was_in_earlier_frames_reaches_later_ones() -> None:
    built, clip = module(), frames()
    outputs, memory = run(built, clip)
    assert outputs.shape == (5, 1, built.out_channels, *SIZE)
    assert memory.num_global == 2
    other = [(features, label_map.clone()) for features, label_map in clip]
    other[1][1].fill_(2)
    changed, _ = run(built, other)
    same = [torch.equal(ours, theirs) for ours, theirs in zip(outputs, changed, strict=True)]
    # Frame 1 is in the local memory of frame 2 alone.
    assert same == [True, True, False, False, False] or same == [True, True, False, True, True]


def test_without_an_earlier_frame_the_association_is_that_of_an_empty_id_mask() -> None:
    built = module()
    nothing = torch.full((1, SIZE[0] * 8, SIZE[1] * 8), -1)
    blank = built.bank(id_mask_of(nothing, NUM_IDS))
    torch.testing.assert_close(blank, built.bank.blank(SIZE))


@pytest.mark.parametrize("name", ["local_memory", "global_memory"])
def test_a_memory_that_is_off_is_not_read(name: str) -> None:
    clip = frames()
    outputs, memory = run(module({name: False}), clip)
    both, _ = run(module(), clip)
    assert not torch.equal(outputs[1], both[1])
    assert (memory.num_global == 0) == (name == "global_memory")
    parameters = [key for key, _ in module({name: False}).named_parameters()]
    assert not any(
        key.startswith(f"block.{name.replace('memory', 'attention')}") for key in parameters
    )


def test_a_block_without_memories_is_refused() -> None:
    with pytest.raises(ValueError, match="neither local_memory nor global_memory"):
        module({"local_memory": False, "global_memory": False})


def test_classification_projector_can_be_left_out() -> None:
    built = module(classification_channels=0)
    outputs, _ = run(built, frames(1))
    assert built.classification_projector is None
    assert outputs.shape[2] == built.out_channels == 16


def test_samples_of_a_batch_do_not_mix() -> None:
    built = module()
    clip = frames(3, batch=2)
    together, _ = run(built, clip)
    alone, _ = run(built, [(features[1:], label_map[1:]) for features, label_map in clip])
    torch.testing.assert_close(together[:, 1:], alone)


def test_bound_of_the_global_memory() -> None:
    built = module(global_interval=1, max_global_frames=2)
    _, memory = run(built, frames(6))
    assert memory.num_global == 2
    with pytest.raises(ValueError, match="max_global_frames=0 of the association memory"):
        module(max_global_frames=0)
    with pytest.raises(ValueError, match="global_interval=None must be a number of frames"):
        module(global_interval=None)


def test_sizes_that_do_not_fit_are_refused() -> None:
    built, ((features, label_map),) = module(), frames(1)
    memory = built.new_memory()
    _, tokens = built.read(features, memory)
    with pytest.raises(ValueError, match="correct 'stride' of the association module"):
        built.write(tokens, label_map[:, :16], memory)
    built.write(tokens, label_map, memory)
    with pytest.raises(ValueError, match=r"association\.in_channels=6, but the last level"):
        built.read(features[:, :4], memory)
    with pytest.raises(ValueError, match="all frames of a video must have one size"):
        built.read(features[:, :, :2], memory)


def test_reference_draws_gate_and_value_bias_too() -> None:
    def drawn(built: AssociationModule) -> list[bool]:
        gate = built.block.feed_forward.activation.gate
        assert built.block.local_attention is not None
        constants = (gate.alpha, gate.gamma, gate.beta, built.block.local_attention.value_bias)
        return [bool((value != value.flatten()[0]).any()) for value in constants]

    assert drawn(module()) == [False] * 4
    assert drawn(module(xavier_everywhere=True)) == [True] * 4


def test_new_gate_changes_nothing() -> None:
    maps = torch.randn(2, 6, 3, 4)
    torch.testing.assert_close(ChannelGate(6)(maps), maps)


def test_drop_path_drops_tokens_of_the_whole_batch() -> None:
    torch.manual_seed(0)
    drop, tokens = TokenDropPath(0.5), torch.ones(3, 200, 2)
    dropped = drop(tokens)
    kept = dropped[0, :, 0] > 0
    assert 60 < kept.sum() < 140
    assert torch.equal(dropped, torch.where(kept[None, :, None], 2.0, 0.0).expand_as(tokens))
    assert drop.eval()(tokens) is tokens
    with pytest.raises(ValueError, match=r"drop_path=1\.0 must be from 0 to below 1"):
        TokenDropPath(1.0)


def test_position_is_from_zero_to_two_pi() -> None:
    position = TokenPosition(8)
    embedded = position((3, 1), CPU)
    rows = torch.arange(3) / 2 * 2 * torch.pi
    torch.testing.assert_close(embedded[0, 0, :, 0], rows.sin(), atol=1e-5, rtol=0)
    torch.testing.assert_close(embedded[0, 1, :, 0], rows.cos(), atol=1e-5, rtol=0)
    assert torch.equal(embedded[0, 4::2], torch.zeros(2, 3, 1))
    with pytest.raises(ValueError, match="not divisible by 4"):
        TokenPosition(6)


def test_a_linear_bank_embeds_the_share_of_a_token_that_an_id_covers() -> None:
    bank = module(linear_bank_start=True).bank
    vectors = bank.conv.weight.sum(dim=(2, 3))
    assert 0.5 < vectors.std() < 1.5
    labels = torch.full((1, SIZE[0] * 8, SIZE[1] * 8), NUM_IDS)
    labels[0, 9:14, 17:23] = 1
    # The kernel of the token in row 1, column 2 covers the pixels 4 to 12 and 12 to 20.
    share = labels[0, 4:13, 12:21].eq(1).float().mean()
    expected = bank.conv.bias + share * vectors[:, 1] + (1 - share) * vectors[:, NUM_IDS]
    torch.testing.assert_close(bank(id_mask_of(labels, NUM_IDS))[0, :, 1, 2], expected)
