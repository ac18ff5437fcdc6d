# SPDX-License-Identifier: Apache-2.0
"""The whole reference model of IAI's golden cases, and clips of their ground truth."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from mmdet.structures import DetDataSample, TrackDataSample
from mmengine.config import ConfigDict
from torch import nn

from visbench.models.conversion import Rule, SourceWeights
from visbench.models.iai.checkpoint import REFERENCE_RULES
from visbench.models.iai.detector import IAI
from visbench.registry import MODELS
from visbench.testing.goldens.iai.reference import CHANNELS, ground_truth, segmenter_config
from visbench.testing.parity import GoldenCase, GoldenError
from visbench.testing.seeded_weights import fill_state_dict

BACKBONE_CHANNELS = [256, 512, 1024, 2048]


def build_model(golden: GoldenCase, test_cfg: dict | None = None, **fields: Any) -> IAI:
    """Return the model of a case in evaluation mode, with weights of its own.

    Args:
        golden: The case; ``max_per_img`` of its settings is also the number of results.
        test_cfg: Of the segmenter.
        **fields: Changes to the model's config.
    """
    depth = re.search(r"_r(\d+)", golden.setting("config"))
    if depth is None:
        raise GoldenError(f"{golden.path}: meta.config does not name a ResNet, such as '..._r50'")
    config = {
        "type": "IAI",
        "backbone": {
            "type": "ResNet",
            "depth": int(depth[1]),
            "frozen_stages": 1,
            "norm_cfg": {"type": "BN", "requires_grad": True},
            "norm_eval": True,
        },
        "neck": {
            "type": "FPN",
            "in_channels": BACKBONE_CHANNELS,
            "out_channels": CHANNELS,
            "start_level": 1,
            "add_extra_convs": "on_output",
            "relu_before_extra_convs": True,
            "num_outs": 5,
        },
        "segmenter": {**segmenter_config(golden), "test_cfg": test_cfg or {}},
        "association": {"in_channels": BACKBONE_CHANNELS[-1], "stride": 32, "channels": CHANNELS},
        "num_ids": int(golden.setting("num_ids")),
        "overflow": "share",
        "padding_id": 0,
        "new_objects_in_training": False,
        "max_per_video": int(golden.meta.get("max_per_img", 10)),
        **fields,
    }
    model: IAI = MODELS.build(ConfigDict(config))
    return model.eval()


def test_settings(golden: GoldenCase) -> dict[str, Any]:
    """Return the segmenter's settings for testing of a case."""
    names = {
        "nms_pre": "nms_pre",
        "cls_score_thr": "cls_score_thr",
        "id_score_thr": "id_score_thr",
        "nms_iou": "nms_iou_thr",
        "max_per_frame": "max_per_img",
    }
    return {ours: golden.setting(theirs) for ours, theirs in names.items()}


def fill_model(golden: GoldenCase, model: IAI) -> None:
    """Give the whole model the weights of the case: those that are set, else seeded ones."""
    if not golden.load_weights(model):
        fill(model)


def fill(module: nn.Module, rules: Sequence[Rule] = REFERENCE_RULES) -> None:
    """Give a module the weights that are seeded by the reference's names.

    Args:
        module: Ours.
        rules: Our names and the reference's.
    """
    theirs = {}
    for name, like in module.state_dict().items():
        reference = reference_name(name, rules)
        if reference is not None:
            theirs[reference] = like
    weights = SourceWeights(fill_state_dict(theirs), "seeded weights").take(module, rules)
    module.load_state_dict(weights)


def reference_name(name: str, rules: Sequence[Rule] = REFERENCE_RULES) -> str | None:
    """Return what the reference calls a weight of ours; None for one that it has not.

    Args:
        name: Our name.
        rules: Our names and the reference's.
    """
    for pattern, template in rules:
        match = re.fullmatch(pattern, name)
        if match:
            return match.expand(template)
    return None


def clip_samples(golden: GoldenCase) -> list[TrackDataSample]:
    """Return the stored objects as clips; images are stored frame by frame."""
    frames = ground_truth(golden)
    number = int(golden.setting("num_clips"))
    sizes = golden.arrays.get("image_hw")
    clips = []
    for clip in range(number):
        samples = []
        for index in range(clip, len(frames), number):
            size = golden.setting("image_hw") if sizes is None else sizes[index]
            shape = tuple(int(side) for side in size)
            padded = frames[index].masks.masks.shape[1:]
            sample = DetDataSample(metainfo={"img_shape": shape, "batch_input_shape": padded})
            sample.gt_instances = frames[index]
            samples.append(sample)
        clips.append(TrackDataSample())
        clips[-1].video_data_samples = samples
    return clips
