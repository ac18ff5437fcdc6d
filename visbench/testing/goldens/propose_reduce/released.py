# SPDX-License-Identifier: Apache-2.0
"""Models of the released configs with the seeded weights of the golden cases.

Weights are filled under the names of the released checkpoints and come in through the converter
that real checkpoints take.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from torch import Tensor

from visbench.engine.config_files import config_folder
from visbench.models import VISModel
from visbench.models.conversion import SourceWeights
from visbench.models.propose_reduce.checkpoint import from_released
from visbench.registry import MODELS
from visbench.testing.parity import GoldenCase, GoldenError
from visbench.testing.seeded_weights import seeded_tensor

DEAD_LAYERS = ("prop_head.convs.", "prop_head.upsample.", "prop_head.conv_logits.")
"""Stored in the released checkpoints, read by nothing."""


class Network(NamedTuple):
    """A released model: its config and what the shapes of its weights follow from.

    Attributes:
        config: Base config.
        blocks: Blocks of the four stages of the backbone.
        width: Channels of the first stage's 3x3 convolutions.
        groups: Groups of the 3x3 convolutions.
        classes: Foreground classes.
    """

    config: str
    blocks: tuple[int, int, int, int]
    width: int
    groups: int
    classes: int


NETWORKS = {
    "r50": Network("seq_mask_rcnn_reference_r50.py", (3, 4, 6, 3), 64, 1, 40),
    "r101": Network("seq_mask_rcnn_reference_r101.py", (3, 4, 23, 3), 64, 1, 40),
    "r101_davis": Network("seq_mask_rcnn_reference_r101.py", (3, 4, 23, 3), 64, 1, 1),
    "x101": Network("seq_mask_rcnn_reference_x101.py", (3, 4, 23, 3), 256, 64, 1),
}
"""The configs that the README of the goldens names; that of X101 is for DAVIS."""


def released_shapes(network: Network) -> dict[str, tuple[int, ...]]:
    """Return names and shapes of a released checkpoint's weights, the unused ones included."""
    rows = network.classes + 1
    return {
        **_backbone(network),
        **_layers("neck.lateral_convs.{}.conv", *((256, 256 << i, 1, 1) for i in range(4))),
        **_layers("neck.fpn_convs.{}.conv", *[(256, 256, 3, 3)] * 4),
        **_layer("rpn_head.rpn_conv", 256, 256, 3, 3),
        **_layer("rpn_head.rpn_cls", 3, 256, 1, 1),
        **_layer("rpn_head.rpn_reg", 12, 256, 1, 1),
        **_layers("bbox_head.shared_fcs.{}", (1024, 12544), (1024, 1024)),
        **_layer("bbox_head.fc_cls", rows, 1024),
        **_layer("bbox_head.fc_reg", 4 * rows, 1024),
        **_mask_layers("mask_head", rows),
        **_mask_layers("prop_head", rows),
        **_propagation(),
    }


def seeded_model(
    name: str, golden: GoldenCase, pred2_bias_add: float = 0.0, **settings: Any
) -> VISModel:
    """Build a released model with seeded weights, in evaluation mode.

    Args:
        name: A key of :data:`NETWORKS`.
        golden: The case, whose weights, if it has any, take the place of the seeded ones.
        pred2_bias_add: Added to the bias of the foreground of the propagation head.
        **settings: Fields of ``model``, merged into the config.

    Raises:
        GoldenError: A weight of the checkpoint that is in use was not taken.
    """
    network = NETWORKS[name]
    model: VISModel = MODELS.build(model_config(network, **settings))
    if not golden.load_weights(model):
        _fill(model, SourceWeights(seeded_weights(network), f"seeded {name}"))
    with torch.no_grad():
        model.prop_head.predictor.bias[1] += pred2_bias_add
    return model.eval()


def _fill(model: VISModel, source: SourceWeights) -> None:
    model.load_state_dict(from_released(source, model), strict=True)
    left = [name for name in source.left if not name.startswith(DEAD_LAYERS)]
    if left:
        raise GoldenError(f"weights that the model does not take: {', '.join(left)}")


def model_config(network: Network, **settings: Any) -> Any:
    """Return the model's config for the network's classes, without pre-trained weights."""
    config = Config.fromfile(config_folder() / "_base_" / "models" / network.config)
    heads = {head: {"num_classes": network.classes} for head in ("bbox_head", "mask_head")}
    detector = {"backbone": {"init_cfg": None}, "roi_head": heads}
    config.merge_from_dict({"model": {"detector": detector}})
    config.merge_from_dict({"model": settings})
    return config.model


def seeded_weights(network: Network) -> dict[str, Tensor]:
    """Return the seeded weights of a released checkpoint."""
    weights = {}
    for name, shape in released_shapes(network).items():
        kind = torch.int64 if name.endswith("num_batches_tracked") else torch.float32
        weights[name] = seeded_tensor(name, torch.empty(shape, dtype=kind))
    return weights


def _layer(name: str, *shape: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def _layers(name: str, *shapes: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    return {
        key: value
        for index, shape in enumerate(shapes)
        for key, value in _layer(name.format(index), *shape).items()
    }


def _norm(name: str, channels: int) -> dict[str, tuple[int, ...]]:
    parts = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{part}": (channels,) for part in parts} | {f"{name}.num_batches_tracked": ()}


def _backbone(network: Network) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {"backbone.conv1.weight": (64, 3, 7, 7)}
    shapes |= _norm("backbone.bn1", 64)
    entering = 64
    for stage, blocks in enumerate(network.blocks):
        width, leaving = network.width << stage, 256 << stage
        for block in range(blocks):
            name = f"backbone.layer{stage + 1}.{block}"
            shapes |= {
                f"{name}.conv1.weight": (width, entering, 1, 1),
                f"{name}.conv2.weight": (width, width // network.groups, 3, 3),
                f"{name}.conv3.weight": (leaving, width, 1, 1),
            }
            for index, channels in enumerate((width, width, leaving), start=1):
                shapes |= _norm(f"{name}.bn{index}", channels)
            if block == 0:
                shapes[f"{name}.downsample.0.weight"] = (leaving, entering, 1, 1)
                shapes |= _norm(f"{name}.downsample.1", leaving)
            entering = leaving
    return shapes


def _mask_layers(head: str, rows: int) -> dict[str, tuple[int, ...]]:
    return {
        **_layers(f"{head}.convs.{{}}.conv", *[(256, 256, 3, 3)] * 4),
        **_layer(f"{head}.upsample", 256, 256, 2, 2),
        **_layer(f"{head}.conv_logits", rows, 256, 1, 1),
    }


def _propagation() -> dict[str, tuple[int, ...]]:
    shapes = _layer("prop_head.enc_pos", 256, 1, 7, 7)
    for encoder in ("prop_head.enc_fuse", "prop_head.qry_fuse"):
        for part in ("downsample", "conv1", "conv2"):
            shapes |= _layer(f"{encoder}.0.{part}", 256, 256, 3, 3)
            shapes |= _layer(f"{encoder}.1.{part}", 512, 512 if part == "conv2" else 256, 3, 3)
    for prefix in ("prop_head.atn", "prop_head.qry_atn"):
        shapes |= _layer(f"{prefix}_key", 64, 512, 1, 1)
        shapes |= _layer(f"{prefix}_value", 256, 512, 1, 1)
    shapes |= _layer("prop_head.convFM", 256, 512, 3, 3)
    shapes |= _layer("prop_head.RF3.convFS", 256, 512, 3, 3)
    shapes |= _layer("prop_head.RF2.convFS", 256, 256, 3, 3)
    blocks = ("ResMM", "RF3.ResFS", "RF3.ResMM", "RF2.ResFS", "RF2.ResMM")
    for block in (f"prop_head.{block}.{conv}" for block in blocks for conv in ("conv1", "conv2")):
        shapes |= _layer(block, 256, 256, 3, 3)
    return shapes | _layer("prop_head.pred2", 2, 256, 3, 3)
