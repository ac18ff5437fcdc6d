# SPDX-License-Identifier: Apache-2.0
"""Weights of other implementations under IAI's names: names and shapes, and what they compute."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mmdet
import pytest
import torch
from mmdet.registry import MODELS as MMDET_MODELS
from mmengine.config import Config, ConfigDict
from torch import Tensor, nn

from visbench.models.conversion import CONVERTERS, ConversionError, SourceWeights
from visbench.models.iai.checkpoint import REFERENCE_RULES
from visbench.registry import MODELS
from visbench.testing.conformance.cases import iai
from visbench.testing.goldens.iai.model import reference_name
from visbench.testing.seeded_weights import fill_state_dict, seeded_input

FOLDER = Path(__file__).parents[3] / "configs" / "iai"
THEIRS = Path(mmdet.__file__).parent / ".mim" / "configs"
FULL = "iai_r50_4xb4-12e_youtubevis2019"


def on_meta(config: Any) -> nn.Module:
    with torch.device("meta"):
        return MODELS.build(config)


def published(name: str) -> nn.Module:
    return on_meta(Config.fromfile(next(FOLDER.rglob(f"{name}.py"))).model)


def detector(path: str) -> nn.Module:
    config = Config.fromfile(THEIRS / path).model
    with torch.device("meta"):
        return MMDET_MODELS.build({**config, "data_preprocessor": None})


def under_reference_names(model: nn.Module) -> dict[str, Tensor]:
    named = {reference_name(name): value for name, value in model.state_dict().items()}
    return {name: value for name, value in named.items() if name is not None}


def kinds(names: Any) -> set[str]:
    return {re.sub(r"\d+", "*", name) for name in names}


def convert(
    model: nn.Module, source: str, weights: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], list[str]]:
    read = SourceWeights(weights, "theirs.pth")
    taken = CONVERTERS[type(model).__name__, source](read, model)
    return taken, read.left


@pytest.mark.parametrize(
    ("name", "entries"),
    [
        # 463 of ResNet-50, as the released checkpoint has; ResNet-101 adds 17 blocks of 18.
        (FULL, 463),
        ("iai_r101_8xb2-12e_youtubevis2019", 463 + 17 * 18),
    ],
)
def test_every_weight_has_a_name_in_released_checkpoints(name: str, entries: int) -> None:
    model = published(name)
    named = under_reference_names(model)
    assert len(named) == len(model.state_dict()) == entries
    if entries == 463:
        assert sum(value.numel() for value in named.values()) == 45_488_309
    taken, left = convert(model, "iai_released", named)
    assert set(taken) == set(model.state_dict())
    assert left == []


def test_reference_names_are_those_of_the_fact_sheet() -> None:
    names = {
        "segmenter.head.id_branch.tower.0.conv.weight": "bbox_head.id_convs.0.conv.weight",
        "segmenter.head.id_branch.predictor.bias": "bbox_head.conv_id.bias",
        "segmenter.head.cls_convs.3.gn.weight": "bbox_head.cls_convs.3.gn.weight",
        "segmenter.head.scales.4.scale": "bbox_head.scales.4.scale",
        "segmenter.mask_features.convs_all_levels.2.conv2.bn.running_var": (
            "bbox_head.mask_refine.2.1.running_var"
        ),
        "segmenter.mask_features.conv_branch.1.conv.weight": "bbox_head.mask_head.1.0.weight",
        "segmenter.mask_features.conv_pred.bias": "bbox_head.mask_head.4.bias",
        "association.classification_projector.weight": "backbone_projector.weight",
        "association.bank.conv.weight": "lstt.patch_wise_id_bank.weight",
        "association.block.self_norm.bias": "lstt.LSTT.layers.0.norm2.bias",
    }
    found = {name: reference_name(name, REFERENCE_RULES) for name in names}
    assert found == names


@pytest.mark.parametrize("source", ["iai_released", "iai"])
def test_another_data_set_starts_from_youtube_vis(source: str) -> None:
    first, second = published(FULL), published("iai_r50-ms_8xb2-12e_ovis-youtubevis2019-reference")
    weights = first.state_dict() if source == "iai" else under_reference_names(first)
    taken, left = convert(second, source, weights)
    fresh = {
        *(f"segmenter.head.conv_cls.{kind}" for kind in ("weight", "bias")),
        *(f"segmenter.head.id_branch.predictor.{kind}" for kind in ("weight", "bias")),
        "association.bank.conv.weight",
    }
    assert set(second.state_dict()) - set(taken) == fresh
    assert len(left) == len(fresh)


@pytest.mark.parametrize(
    ("name", "source", "path", "fresh", "left"),
    [
        (
            FULL,
            "condinst",
            "condinst/condinst_r50_fpn_ms-poly-90k_coco_instance.py",
            {"association", "segmenter.head.id_branch", "segmenter.head.conv_cls"},
            {"bbox_head.cls_convs.*.conv.bias", "bbox_head.reg_convs.*.conv.bias"}
            | {f"bbox_head.conv_cls.{kind}" for kind in ("weight", "bias")},
        ),
        (
            "iai_6-condinst-track_r50_4xb4-12e_youtubevis2019",
            "condinst",
            "condinst/condinst_r50_fpn_ms-poly-90k_coco_instance.py",
            {"track_head", "segmenter.head.conv_cls"},
            {"bbox_head.cls_convs.*.conv.bias", "bbox_head.reg_convs.*.conv.bias"}
            | {f"bbox_head.conv_cls.{kind}" for kind in ("weight", "bias")},
        ),
        (
            "iai_mask-rcnn_r50_4xb4-12e_youtubevis2019",
            "mask_rcnn",
            "mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py",
            {"association", "segmenter.id_branch", "segmenter.roi_head.mask_head.conv_logits"}
            | {f"segmenter.roi_head.bbox_head.fc_{kind}" for kind in ("cls", "reg")},
            {
                f"roi_head.{layer}.{kind}"
                for layer in ("bbox_head.fc_cls", "bbox_head.fc_reg", "mask_head.conv_logits")
                for kind in ("weight", "bias")
            },
        ),
    ],
)
def test_published_detectors_fit(
    name: str, source: str, path: str, fresh: set[str], left: set[str]
) -> None:
    model = published(name)
    taken, unused = convert(model, source, detector(path).state_dict())
    new = set(model.state_dict()) - set(taken)
    assert all(any(entry.startswith(f"{part}.") for part in fresh) for entry in new), new
    assert all(any(entry.startswith(f"{part}.") for entry in new) for part in fresh)
    assert kinds(unused) == left


def test_biases_of_the_towers_are_taken_if_the_head_has_them() -> None:
    config = Config.fromfile(FOLDER / f"{FULL}.py").model
    config.segmenter.head.conv_bias = True
    model = on_meta(config)
    source = detector("condinst/condinst_r50_fpn_ms-poly-90k_coco_instance.py")
    _, left = convert(model, "condinst", source.state_dict())
    assert kinds(left) == {f"bbox_head.conv_cls.{kind}" for kind in ("weight", "bias")}


@torch.no_grad()
def test_condinst_predicts_the_same() -> None:
    """The class logits, boxes and mask parameters of MMDetection's head with its own weights."""
    segmenter: dict[str, Any] = copy.deepcopy(iai.MODEL["segmenter"])
    head = {**segmenter["head"], "conv_bias": True}
    ours = MODELS.build(ConfigDict({**segmenter, "head": head, "num_ids": 8})).eval()
    theirs = MMDET_MODELS.build(
        ConfigDict(
            type="CondInstBboxHead",
            num_classes=3,
            num_params=ours.mask_head.num_parameters,
            center_sampling=True,
            norm_on_bbox=True,
            centerness_on_reg=True,
            **head,
        )
    ).eval()
    weights = fill_state_dict(theirs.state_dict())
    theirs.load_state_dict(weights)
    missing, unexpected = ours.head.load_state_dict(weights, strict=False)
    assert unexpected == []
    assert all(name.startswith("id_branch.") for name in missing)
    levels = [seeded_input(f"level{i}", (2, 16, 16 >> i, 24 >> i), -1, 1) for i in range(3)]
    predictions = ours.head(levels)
    classes, distances, centerness, parameters = (
        torch.cat([level.flatten(2).transpose(1, 2) for level in maps], dim=1)
        for maps in theirs(levels)
    )
    torch.testing.assert_close(predictions.class_logits, classes)
    torch.testing.assert_close(predictions.distances, distances)
    torch.testing.assert_close(predictions.centerness[..., None], centerness)
    torch.testing.assert_close(predictions.parameters, parameters)
    # Training must not see other distances than testing.
    torch.testing.assert_close(ours.head.train()(levels).distances, distances)


def test_another_source_is_refused() -> None:
    with pytest.raises(ConversionError, match=r"lacks .* entries.* have another shape"):
        convert(
            published(FULL),
            "condinst",
            detector("mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py").state_dict(),
        )
