# SPDX-License-Identifier: Apache-2.0
"""Golden cases of IAI: attention, association block, id bank and memory."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor, nn

from visbench.models.conversion import Rule, SourceWeights
from visbench.models.iai.association_module import AssociationModule
from visbench.models.iai.checkpoint import ASSOCIATION_RULES
from visbench.models.iai.identification import id_mask_of
from visbench.testing.golden_parts import GoldenPart
from visbench.testing.parity import EXACT, GoldenCase, Tolerance
from visbench.testing.seeded_weights import fill_state_dict, seeded_input

CHANNELS = 256
STRIDE = 32
CLOSE = Tolerance(1e-4, 1e-4)


def fill(module: nn.Module, rules: list[Rule]) -> None:
    """Give a module the weights that are seeded by the reference's names.

    Args:
        module: Ours.
        rules: Our names and the reference's.
    """
    theirs = {}
    for name, like in module.state_dict().items():
        matches = (re.fullmatch(pattern, name) for pattern, _ in rules)
        found = next((i for i, match in enumerate(matches) if match), None)
        if found is not None:
            theirs[re.sub(rules[found][0], rules[found][1], name)] = like
    weights = SourceWeights(fill_state_dict(theirs), "seeded weights").take(module, rules)
    module.load_state_dict(weights)


def _module(golden: GoldenCase) -> AssociationModule:
    """Return an association module whose projectors, which no case here uses, are small."""
    module = AssociationModule(
        in_channels=1,
        stride=STRIDE,
        num_ids=int(golden.setting("num_ids")),
        channels=CHANNELS,
        classification_channels=0,
    )
    fill(module, ASSOCIATION_RULES)
    return module.eval()


def _seeded(golden: GoldenCase, name: str, shape: Any, low: float = -2, high: float = 2) -> Tensor:
    return seeded_input(golden.meta.get("input_prefix", "") + name, shape, low, high)


def _size(golden: GoldenCase) -> tuple[int, int]:
    height, width = golden.setting("map_hw")
    return int(height), int(width)


def _tokens(maps: Tensor) -> Tensor:
    return maps.flatten(2).transpose(1, 2)


@torch.no_grad()
def _association_block(golden: GoldenCase) -> dict[str, Any]:
    module = _module(golden)
    memory = module.new_memory()
    shape = (int(golden.setting("batch")), CHANNELS, *_size(golden))
    new_after = golden.setting("new_after_frames")
    outputs, held = [], []
    for index, label_map in enumerate(torch.from_numpy(golden["id_label_maps"])):
        encoded = _seeded(golden, f"association/enc{index}", shape)
        associated, frame = module.associate(encoded, memory)
        module.write(frame, label_map, memory, index in new_after)
        outputs.append(_tokens(associated).transpose(0, 1))
        held.append(memory.num_global)
    return {"out": torch.stack(outputs), "global_frames_after": torch.tensor(held)}


@torch.no_grad()
def _local_attention(golden: GoldenCase) -> dict[str, Any]:
    attention = _module(golden).block.local_attention
    assert attention is not None
    size = _size(golden)
    query, key, value = (
        _tokens(_seeded(golden, f"local_attention/{name}", (1, CHANNELS, *size))) for name in "qkv"
    )
    return {
        "out": attention(query, key, value, size)[0],
        "attn_head0": attention.weights(query, key, size)[0, 0].T,
    }


@torch.no_grad()
def _ffn_activation(golden: GoldenCase) -> dict[str, Any]:
    activation = _module(golden).block.feed_forward.activation
    size = _size(golden)
    shape = (size[0] * size[1], 1, activation.conv.in_channels)
    tokens = _seeded(golden, "ffn_activation/x", shape).transpose(0, 1)
    return {"out": activation(tokens, size)[0]}


@torch.no_grad()
def _position_embedding(golden: GoldenCase) -> dict[str, Any]:
    return {"pos": _module(golden).position(_size(golden), torch.device("cpu"))[0]}


@torch.no_grad()
def _id_embedding(golden: GoldenCase) -> dict[str, Any]:
    bank = _module(golden).bank
    label_maps = torch.from_numpy(golden["id_label_maps"])
    soft = (1, bank.num_ids + 1, *label_maps.shape[1:])
    embedded = bank(id_mask_of(label_maps, bank.num_ids))
    return {
        "emb": embedded,
        "emb_zero": bank.blank(embedded.shape[2:]),
        "emb_soft": bank(_seeded(golden, "id_embedding/soft", soft, 0, 1)),
    }


PART = GoldenPart(
    inputs={
        "association_block": ("id_label_maps",),
        "local_attention": (),
        "ffn_activation": (),
        "position_embedding": (),
        "id_embedding": ("id_label_maps",),
    },
    tolerances={
        "association_block": {"global_frames_after": EXACT, "*": CLOSE},
        "local_attention": {"*": CLOSE},
        "ffn_activation": {"*": CLOSE},
        "position_embedding": {"*": CLOSE},
        "id_embedding": {"*": CLOSE},
    },
    computes={
        "association_block": _association_block,
        "local_attention": _local_attention,
        "ffn_activation": _ffn_activation,
        "position_embedding": _position_embedding,
        "id_embedding": _id_embedding,
    },
)
