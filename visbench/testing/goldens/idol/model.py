# SPDX-License-Identifier: Apache-2.0
"""The networks of IDOL's golden cases.

They have the sizes of the reference implementation, are filled under its names and loaded through
the converter of its checkpoints.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from visbench.models.conversion import SourceWeights, source_names
from visbench.models.idol.checkpoint import VNEXT_RULES, from_vnext
from visbench.models.idol.detector import IDOL
from visbench.registry import MODELS
from visbench.testing.parity import GoldenCase, GoldenError
from visbench.testing.seeded_weights import fill_state_dict

CHANNELS = 256
"""Not to be seen in any shape; the group's README fixes it."""

# Integers, which the seeded fill would set to 0; they keep their own values.
OWN_VALUES = ("num_batches_tracked", "relative_position_index")


def _resnet(depth: int) -> dict[str, Any]:
    return {
        "type": "mmdet.ResNet",
        "depth": depth,
        "out_indices": (1, 2, 3),
        "frozen_stages": 1,
        "norm_cfg": {"type": "BN", "requires_grad": False},
    }


def swin(embed_dim: int, depths: list[int], num_heads: list[int], window: int) -> dict[str, Any]:
    """Return the config of a Swin Transformer that puts out all four levels."""
    return {
        "type": "mmdet.SwinTransformer",
        "embed_dims": embed_dim,
        "depths": depths,
        "num_heads": num_heads,
        "window_size": window,
    }


BACKBONES = {
    "r50": ([512, 1024, 2048], _resnet(50)),
    "r101": ([512, 1024, 2048], _resnet(101)),
    "swinl": (
        [384, 768, 1536],
        {**swin(192, [2, 2, 18, 2], [6, 12, 24, 48], 12), "out_indices": (1, 2, 3)},
    ),
}


def fill(model: nn.Module) -> None:
    """Fill a model, or parts of one under the names of the whole, with the seeded weights.

    Raises:
        GoldenError: If the converter leaves something without a value.
    """
    ours = model.state_dict()
    names = {
        source: ours[name] for name, source in source_names(model.state_dict(), VNEXT_RULES).items()
    }
    weights = from_vnext(SourceWeights(fill_state_dict(names), "seeded weights"), model)
    missing = model.load_state_dict(weights, strict=False).missing_keys
    missing = [name for name in missing if not name.endswith(OWN_VALUES)]
    if missing:
        raise GoldenError(f"the converter of IDOL gives no value for {missing[:3]}")


def build(golden: GoldenCase, **options: Any) -> IDOL:
    """Return the filled model of a case.

    Raises:
        GoldenError: If the case's config names a backbone that the method has not.
    """
    config = str(golden.setting("config"))
    backbone = config.rsplit("_", 1)[-1].lower()
    if backbone not in BACKBONES:
        raise GoldenError(f"{golden.path}: config {config!r} names none of {sorted(BACKBONES)}")
    in_channels, backbone_config = BACKBONES[backbone]
    model: IDOL = MODELS.build(
        {
            "type": "visbench.IDOL",
            "data_preprocessor": {"type": "visbench.ClipPreprocessor", "bgr_to_rgb": False},
            "backbone": backbone_config,
            "neck": {
                "type": "mmdet.ChannelMapper",
                "in_channels": in_channels,
                "kernel_size": 1,
                "out_channels": CHANNELS,
                "bias": True,
                "act_cfg": None,
                "norm_cfg": {"type": "GN", "num_groups": 32},
                "num_outs": len(in_channels) + 1,
            },
            "transformer": {"dropout": 0.0},
            "head": {"type": "visbench.IDOLHead", "num_classes": golden.setting("num_classes")},
            **options,
        }
    )
    if not golden.load_weights(model):
        fill(model)
    return model.eval()
