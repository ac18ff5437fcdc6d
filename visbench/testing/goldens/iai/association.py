# SPDX-License-Identifier: Apache-2.0
"""Golden cases of IAI: attention, association block, id bank and memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from visbench.models.iai.association_module import AssociationModule
from visbench.models.iai.checkpoint import ASSOCIATION_RULES
from visbench.models.iai.identification import id_mask_of
from visbench.testing.golden_parts import GoldenPart
from visbench.testing.goldens.iai.model import build_model, fill, fill_model
from visbench.testing.goldens.iai.reference import CHANNELS, seeded
from visbench.testing.parity import EXACT, GoldenCase, Tolerance

STRIDE = 32
CLOSE = Tolerance(1e-4, 1e-4)


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
        encoded = seeded(golden, f"association/enc{index}", shape)
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
        _tokens(seeded(golden, f"local_attention/{name}", (1, CHANNELS, *size))) for name in "qkv"
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
    tokens = seeded(golden, "ffn_activation/x", shape).transpose(0, 1)
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
        "emb_soft": bank(seeded(golden, "id_embedding/soft", soft, 0, 1)),
    }


@torch.no_grad()
def _clip_memory(golden: GoldenCase) -> dict[str, Any]:
    model = build_model(golden)
    fill_model(golden, model)
    length = int(golden.setting("num_frames"))
    images = seeded(golden, "clip_memory/img", (length, 3, *golden.setting("image_hw")))
    association, memory = model.association, model.new_memory()
    assert association is not None
    results: dict[str, Any] = {"assoc": [], "id": [], "global_frames_after": [], "local_v": []}
    classes = []
    for index, image in enumerate(images):
        levels = model.backbone(image[None])
        associated, _ = association.associate(association.encoder_projector(levels[-1]), memory)
        features, frame = model.pyramid(levels, memory)
        predictions, _ = model.segmenter(features)
        label_map = torch.from_numpy(golden["id_label_maps"][index])[None]
        model.remember(frame, label_map, memory, bool(golden["new_flags"][index]))
        assert memory.local_value is not None
        results["assoc"].append(associated[0])
        results["id"].append(predictions.id_logits[0])
        results["global_frames_after"].append(torch.tensor(memory.num_global))
        results["local_v"].append(memory.local_value[0].T.unflatten(1, associated.shape[2:]))
        classes.append(predictions.class_logits[0])
    assert memory.global_key is not None and memory.global_value is not None
    return {
        **{name: torch.stack(values) for name, values in results.items()},
        "cls_frames_1_2": torch.stack(classes[1:3]),
        "global_k": memory.global_key[0],
        "global_v": memory.global_value[0],
    }


PART = GoldenPart(
    inputs={
        "clip_memory": ("id_label_maps", "new_flags"),
        "association_block": ("id_label_maps",),
        "local_attention": (),
        "ffn_activation": (),
        "position_embedding": (),
        "id_embedding": ("id_label_maps",),
    },
    tolerances={
        "clip_memory": {"global_frames_after": EXACT, "*": CLOSE},
        "association_block": {"global_frames_after": EXACT, "*": CLOSE},
        "local_attention": {"*": CLOSE},
        "ffn_activation": {"*": CLOSE},
        "position_embedding": {"*": CLOSE},
        "id_embedding": {"*": CLOSE},
    },
    computes={
        "clip_memory": _clip_memory,
        "association_block": _association_block,
        "local_attention": _local_attention,
        "ffn_activation": _ffn_activation,
        "position_embedding": _position_embedding,
        "id_embedding": _id_embedding,
    },
    whole_models=("clip_memory",),
)
