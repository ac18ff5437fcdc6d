# SPDX-License-Identifier: Apache-2.0
"""Golden cases of IDOL: network. Frames, queries and classes come from the stored arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from visbench.models.idol.head import IDOLHead
from visbench.models.idol.image_results import (
    StillImageAssociation,
    best_pairs,
    boxes_within,
    pixel_boxes,
)
from visbench.models.idol.masks import binary_masks
from visbench.models.idol.targets import MASK_STRIDE
from visbench.models.idol.transformer import DeformableAttention, IDOLTransformer
from visbench.models.layers import aligned_bilinear
from visbench.registry import MODELS, TRANSFORMS
from visbench.testing.golden_parts import GoldenPart
from visbench.testing.goldens.idol.learning import (
    LOSS_INPUTS,
    LOSS_TOLERANCES,
    loss_components,
)
from visbench.testing.goldens.idol.model import CHANNELS, build, fill, swin
from visbench.testing.parity import EXACT, GoldenCase, Tolerance
from visbench.testing.seeded_weights import seeded_input

Results = dict[str, Any]

ENCODER_TOKEN_STEP = 4
TRANSFORMER_PREFIX = "detr.detr.transformer."


def _tensor(golden: GoldenCase, name: str) -> Tensor:
    return torch.from_numpy(golden[name])


def _thinned(value: Tensor, golden: GoldenCase, name: str) -> Tensor:
    """Return every so many channels that as many remain as are stored."""
    return value[:, :: value.shape[1] // golden[name].shape[1]]


@torch.no_grad()
def _forward_r50(golden: GoldenCase) -> Results:
    model = build(golden)
    sizes = [(height, width) for height, width in golden["image_sizes"].tolist()]
    names = golden["input_names"].tolist()
    images = [
        seeded_input(name, (3, *size), 0, 255) for name, size in zip(names, sizes, strict=True)
    ]
    inputs = model.data_preprocessor({"inputs": [images]})["inputs"][:, 0]
    seen: Results = {}
    encoded: list[tuple[Tensor, Tensor]] = []
    model.neck.register_forward_hook(lambda _, given, out: seen.update(res=given[0], proj=out))
    model.transformer.positional_encoding.register_forward_hook(
        lambda _, given, out: encoded.append((given[0], out))
    )
    decoded = model.decode(inputs, sizes)
    outputs = model.head(decoded.hidden, decoded.references)
    mask_features = model.head.mask_branch(decoded.memory)
    queries, tokens = _tensor(golden, "query_idx"), _tensor(golden, "token_idx")
    frames = torch.arange(len(sizes)).repeat_interleave(len(queries))
    mask_logits = model.head.mask_logits(
        mask_features, outputs, frames, queries.repeat(len(sizes)), torch.tensor(sizes)
    )
    memory = torch.cat([level.flatten(2) for level in decoded.memory], dim=2).transpose(1, 2)
    hidden = decoded.hidden[:, :, queries]
    return {
        "pred_logits": outputs.logits,
        "pred_boxes": outputs.boxes,
        "reference_points": outputs.references,
        "inter_references": torch.stack(decoded.references[1:]),
        "init_reference": decoded.references[0][0],
        "pred_inst_embed": model.head.embed_head(hidden[-1]),
        "controller_params": model.head.controller(hidden[-1]),
        "pred_masks": mask_logits.unflatten(0, (len(sizes), -1)).unsqueeze(2),
        "mask_feats": mask_features,
        "memory": memory[:, tokens],
        "hs_first": hidden[0],
        "hs_last": hidden[-1],
        **_levels(golden, seen, encoded),
    }


def _levels(golden: GoldenCase, seen: Results, encoded: list[tuple[Tensor, Tensor]]) -> Results:
    """Return the levels of backbone and neck, with positions and padding, thinned as stored."""
    levels = {
        f"{kind}{first + index}": value
        for kind, first in (("res", 3), ("proj", 0))
        for index, value in enumerate(seen[kind])
    }
    levels["pos0"] = encoded[0][1]
    return {
        **{name: _thinned(value, golden, name) for name, value in levels.items()},
        **{f"res{3 + level}_padmask": encoded[level][0] for level in range(len(seen["res"]))},
    }


@torch.no_grad()
def _mask_head(golden: GoldenCase) -> Results:
    head = IDOLHead(1, CHANNELS, num_layers=1)
    fill(nn.ModuleDict({"head": head}))
    shapes = golden["spatial_shapes"].tolist()
    counts = golden["num_insts"].tolist()
    size = sum(height * width for height, width in shapes)
    memory = seeded_input(str(golden["memory_name"]), (len(counts), size, CHANNELS), -2, 2)
    parts = memory.transpose(1, 2).split([height * width for height, width in shapes], dim=2)
    levels = [part.unflatten(2, shape) for part, shape in zip(parts, shapes, strict=True)]
    features = head.mask_branch(levels)
    centres, parameters = _tensor(golden, "ref_points_px"), _tensor(golden, "params")
    frames = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    logits = head.dynamic_masks(features, parameters, centres, frames).split(counts)
    weights, biases = head.mask_head.split(parameters)
    enlarged = _tensor(golden, "up_in")
    width, height = (len(set(column)) for column in golden["locations"].T.tolist())
    grid = features.new_zeros((1, height, width))
    return {
        "mask_feats": features,
        **{f"mask_logits_img{image}": value[:, None] for image, value in enumerate(logits)},
        "weight_nums": torch.tensor([weight[0].numel() for weight in weights]),
        "bias_nums": torch.tensor([bias[0].numel() for bias in biases]),
        **{f"up_out{factor}": aligned_bilinear(enlarged, factor) for factor in (2, 4)},
        "locations": head.mask_head.locations(grid).flatten(1).T,
    }


def _transformer(golden: GoldenCase) -> IDOLTransformer:
    transformer = IDOLTransformer(CHANNELS, num_levels=len(golden["msda_shapes"]), dropout=0.0)
    fill(nn.ModuleDict({"transformer": transformer}))
    return transformer.eval()


def _tokens(golden: GoldenCase, name: str, number: int) -> Tensor:
    batch = len(golden["msda_padmask"])
    return seeded_input(str(golden[name]), (batch, number, CHANNELS), -1, 1)


def _attention(golden: GoldenCase, transformer: IDOLTransformer) -> Results:
    place = str(golden["msda_weight_prefix"]).removeprefix(TRANSFORMER_PREFIX).strip(".")
    module = transformer.get_submodule(place)
    assert isinstance(module, DeformableAttention)
    padding, shapes = _tensor(golden, "msda_padmask"), golden["msda_shapes"].tolist()
    value = _tokens(golden, "msda_value_name", padding.shape[1])
    query = _tokens(golden, "msda_query_name", golden["msda_ref2"].shape[1])
    nothing = torch.zeros_like(query)
    results = {}
    for kind in "24":
        references = _tensor(golden, f"msda_ref{kind}")
        results[f"msda_out{kind}"] = module(
            query, value, references, shapes, identity=nothing, key_padding_mask=padding
        )
    few = golden["msda_loc2"].shape[1]
    locations, weights = module.sampling(
        query[:, :few], _tensor(golden, "msda_ref2")[:, :few], shapes
    )
    return {**results, "msda_loc2": locations, "msda_weights": weights}


def _encoder_layer(golden: GoldenCase, transformer: IDOLTransformer) -> Results:
    padding, shapes = _tensor(golden, "msda_padmask"), golden["msda_shapes"].tolist()
    ratios = _tensor(golden, "enc_valid_ratios")
    references = transformer.encoder.get_encoder_reference_points(shapes, ratios, ratios.device)
    output = transformer.encoder.layers[0](
        query=_tokens(golden, "msda_value_name", padding.shape[1]),
        query_pos=_tokens(golden, "enc_pos_name", padding.shape[1]),
        key_padding_mask=padding,
        reference_points=references,
        spatial_shapes=shapes,
    )
    return {"enc_reference_points": references, "enc_layer0_out": output[:, ::ENCODER_TOKEN_STEP]}


def _resized(golden: GoldenCase) -> Tensor:
    """Resize images of the listed sizes as the pipelines do."""
    rows = []
    for height, width, short, longest in golden["resize_table"][:, :4].tolist():
        resize = TRANSFORMS.build(
            {"type": "mmdet.Resize", "scale": (longest, short), "keep_ratio": True}
        )
        image = np.zeros((height, width, 1), np.uint8)
        new = resize({"img": image, "img_shape": (height, width)})["img_shape"]
        rows.append([height, width, short, longest, *new])
    return torch.tensor(rows)


@torch.no_grad()
def _components(golden: GoldenCase) -> Results:
    transformer = _transformer(golden)
    return {
        "pos_encoding": transformer.positional_encoding(_tensor(golden, "pos_padmask")),
        **_attention(golden, transformer),
        **_encoder_layer(golden, transformer),
        "resize_table": _resized(golden),
        **loss_components(golden),
    }


@torch.no_grad()
def _backbone_swin(golden: GoldenCase) -> Results:
    sizes = {
        "embed_dim": golden.setting("swin", "embed_dim"),
        "depths": golden.setting("swin", "depths"),
        "num_heads": golden.setting("swin", "num_heads"),
        "window": golden.setting("swin", "window_size"),
    }
    backbone = MODELS.build(swin(**sizes))
    backbone.eval()
    fill(nn.ModuleDict({"backbone": backbone}))
    low, high = golden["input_range"].tolist()
    image = seeded_input(str(golden["input_name"]), golden["input_shape"].tolist(), low, high)
    step = int(golden["channel_step"])
    results: Results = {}
    for index, level in enumerate(backbone(image), start=2):
        results[f"res{index}"] = level[:, ::step]
        results[f"res{index}_shape"] = torch.tensor(level.shape)
    return results


@torch.no_grad()
def _coco_inference(golden: GoldenCase) -> Results:
    results: Results = {}
    association = StillImageAssociation()
    scale = float(golden["mask_scale"])
    sizes, originals = (golden[f"{name}_sizes"].tolist() for name in ("image", "output"))
    for image, (size, original) in enumerate(zip(sizes, originals, strict=True)):
        boxes = _tensor(golden, "pred_boxes")[image]
        probabilities = _tensor(golden, "pred_logits")[image].sigmoid()
        queries = association.select(probabilities, boxes)
        boxes = boxes[queries]
        found = best_pairs(probabilities[queries], association.top_k)
        pixels = pixel_boxes(boxes[found.queries], size)
        final, left = boxes_within(pixel_boxes(boxes[found.queries], original), original)
        few = len(golden[f"img{image}_final_masks_packed"])
        logits = _tensor(golden, "pred_masks")[image, queries[found.queries[left][:few]], 0]
        masks = binary_masks(logits / scale, MASK_STRIDE, size, original)
        results |= {
            f"img{image}_scores": found.scores,
            f"img{image}_labels": found.labels,
            f"img{image}_boxes_xyxy": pixels,
            f"img{image}_final_boxes": final[left],
            f"img{image}_final_scores": found.scores[left],
            f"img{image}_final_labels": found.labels[left],
            f"img{image}_final_masks_packed": np.packbits(masks.flatten(1).numpy(), axis=-1),
        }
    return results


PART = GoldenPart(
    inputs={
        "forward_r50": ("input_names", "image_sizes", "query_idx", "token_idx"),
        "mask_head": (
            "memory_name",
            "spatial_shapes",
            "num_insts",
            "ref_points_px",
            "params",
            "up_in",
        ),
        "components": (
            "pos_padmask",
            "msda_ref?",
            "msda_padmask",
            "msda_shapes",
            "*_name",
            "msda_weight_prefix",
            "enc_valid_ratios",
            *LOSS_INPUTS,
        ),
        "backbone_swin": ("input_*", "channel_step"),
        "coco_inference": ("pred_*", "mask_scale", "*_sizes"),
    },
    tolerances={
        "forward_r50": {
            "pred_masks": Tolerance(atol=2e-3),
            "*_padmask": EXACT,
            "*": Tolerance(atol=5e-5),
        },
        "mask_head": {"*_nums": EXACT, "locations": EXACT, "*": Tolerance(atol=1e-5)},
        "components": {
            "pos_encoding": Tolerance(atol=2e-5),
            **LOSS_TOLERANCES,
            "resize_table": EXACT,
            "*": Tolerance(atol=1e-5),
        },
        "backbone_swin": {"*_shape": EXACT, "*": Tolerance(atol=1e-4)},
        "coco_inference": {
            "*_boxes*": Tolerance(atol=1e-3),
            "*_scores": Tolerance(atol=1e-5),
            "*": EXACT,
        },
    },
    computes={
        "forward_r50": _forward_r50,
        "mask_head": _mask_head,
        "components": _components,
        "backbone_swin": _backbone_swin,
        "coco_inference": _coco_inference,
    },
    whole_models=("forward_r50",),
)
