# SPDX-License-Identifier: Apache-2.0
"""Converted weights compute what MMDetection's own detectors compute."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config, ConfigDict
from torch import Tensor, nn

from visbench.models import InsPro
from visbench.models.conversion import CONVERTERS, ConversionError, SourceWeights
from visbench.registry import MODELS
from visbench.testing.seeded_weights import seeded_input

import mmdet  # isort: skip
from mmdet.registry import MODELS as MMDET_MODELS  # isort: skip
from mmdet.structures import DetDataSample  # isort: skip

HEIGHT, WIDTH, CHANNELS, QUERIES, CLASSES = 64, 96, 16, 6, 5
NORM = {"type": "BN"}
TinyConfig = Callable[..., dict[str, Any]]


def backbone() -> dict[str, Any]:
    return {
        "type": "mmdet.ResNet",
        "depth": 18,
        "base_channels": CHANNELS,
        "stem_channels": CHANNELS,
        "norm_cfg": NORM,
    }


def neck() -> dict[str, Any]:
    return {
        "type": "mmdet.FPN",
        "in_channels": [CHANNELS * 2**level for level in range(4)],
        "out_channels": CHANNELS,
        "num_outs": 4,
    }


def sparse_rcnn(num_stages: int = 2, queries: int = QUERIES) -> nn.Module:
    """Return MMDetection's detector at small sizes with random weights."""
    stage = {
        "type": "mmdet.DIIHead",
        "num_classes": CLASSES,
        "num_heads": 2,
        "feedforward_channels": 32,
        "in_channels": CHANNELS,
        "dynamic_conv_cfg": {
            "type": "mmdet.DynamicConv",
            "in_channels": CHANNELS,
            "feat_channels": 4,
            "out_channels": CHANNELS,
            "input_feat_shape": 3,
        },
        "loss_cls": {"type": "mmdet.FocalLoss", "use_sigmoid": True},
        "bbox_coder": {
            "type": "mmdet.DeltaXYWHBBoxCoder",
            "clip_border": False,
            "target_stds": [0.5, 0.5, 1.0, 1.0],
        },
    }
    config = {
        "type": "mmdet.SparseRCNN",
        "data_preprocessor": {"type": "mmdet.DetDataPreprocessor"},
        "backbone": backbone(),
        "neck": {**neck(), "add_extra_convs": "on_input"},
        "rpn_head": {
            "type": "mmdet.EmbeddingRPNHead",
            "num_proposals": queries,
            "proposal_feature_channel": CHANNELS,
        },
        "roi_head": {
            "type": "mmdet.SparseRoIHead",
            "num_stages": num_stages,
            "stage_loss_weights": [1] * num_stages,
            "proposal_feature_channel": CHANNELS,
            "bbox_roi_extractor": {
                "type": "mmdet.SingleRoIExtractor",
                "roi_layer": {"type": "RoIAlign", "output_size": 3, "sampling_ratio": 2},
                "out_channels": CHANNELS,
                "featmap_strides": [4, 8, 16, 32],
            },
            "bbox_head": [copy.deepcopy(stage) for _ in range(num_stages)],
        },
        "test_cfg": {"rpn": None, "rcnn": {"max_per_img": queries}},
    }
    return randomised(MMDET_MODELS.build(ConfigDict(config)))


def condinst(**mask_features: Any) -> nn.Module:
    """Return MMDetection's CondInst, whose pyramid starts at stride 8."""
    sizes = {
        "in_channels": CHANNELS,
        "feat_channels": CHANNELS,
        "start_level": 0,
        "end_level": 2,
        "out_channels": 8,
        "mask_stride": 8,
        "num_stacked_convs": 2,
        "norm_cfg": NORM,
    }
    config = {
        "type": "mmdet.CondInst",
        "data_preprocessor": {"type": "mmdet.DetDataPreprocessor"},
        "backbone": backbone(),
        "neck": {**neck(), "start_level": 1, "add_extra_convs": "on_output", "num_outs": 5},
        "bbox_head": {
            "type": "mmdet.CondInstBboxHead",
            "num_params": 169,
            "num_classes": CLASSES,
            "in_channels": CHANNELS,
            "feat_channels": CHANNELS,
            "norm_cfg": {"type": "GN", "num_groups": 4},
        },
        "mask_head": {
            "type": "mmdet.CondInstMaskHead",
            "num_layers": 3,
            "feat_channels": 8,
            "mask_feature_head": {**sizes, **mask_features},
            "loss_mask": {"type": "mmdet.DiceLoss", "use_sigmoid": True},
        },
    }
    return randomised(MMDET_MODELS.build(ConfigDict(config)))


def randomised(model: nn.Module) -> nn.Module:
    """Give every weight and statistic a value of its own, small enough for small box deltas."""
    generator = torch.Generator().manual_seed(3)
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            noise = torch.randn(value.shape, generator=generator) * 0.1
            value.copy_(noise.abs() + 0.5 if name.endswith("running_var") else noise)
    for name, value in model.named_parameters():
        if name.endswith(("norm.weight", "bn1.weight", "bn2.weight")):
            value.data.add_(1.0)
    for name, value in model.state_dict().items():
        if "fc_cls" in name:
            value *= 5
        if "proposal_bboxes" in name:
            value[:, :2] += 0.5
            value[:, 2:] = value[:, 2:].abs() + 0.3
    return model.eval()


def ours(config: TinyConfig, classes: int = CLASSES, **head: Any) -> InsPro:
    """Return the tiny InsPro with the sizes of the detectors above."""
    fields = config(**{"num_classes": classes, "num_queries": QUERIES, **head})
    fields["backbone"], fields["neck"] = backbone(), neck()
    fields["mask_branch"].update(end_level=3, num_stacked_convs=2, norm_cfg=NORM)
    model: InsPro = MODELS.build(fields)
    model.init_weights()
    return model.eval()


def convert(source: str, theirs: nn.Module, model: InsPro) -> tuple[dict[str, Tensor], list[str]]:
    weights = SourceWeights(theirs.state_dict(), "theirs.pth")
    taken = CONVERTERS["InsPro", source](weights, model)
    model.load_state_dict(taken, strict=False)
    return taken, weights.left


@torch.no_grad()
def test_sparse_rcnn_finds_the_same(config: TinyConfig) -> None:
    theirs, model = sparse_rcnn(), ours(config)
    taken, left = convert("sparse_rcnn", theirs, model)
    images = torch.stack([seeded_input(f"image.{i}", (3, HEIGHT, WIDTH), -2, 2) for i in range(2)])
    features = theirs.extract_feat(images)
    sample = DetDataSample(metainfo={"img_shape": (HEIGHT, WIDTH), "scale_factor": (1.0, 1.0)})
    samples = [sample, copy.deepcopy(sample)]
    proposals = theirs.rpn_head.predict(features, samples)
    expected = theirs.roi_head.predict(features, proposals, samples, rescale=False)
    output = model.forward_frames(images)
    for row, image in enumerate(expected):
        scores, index = output["logits"][row].sigmoid().flatten().topk(QUERIES)
        image = image[image.scores.argsort(descending=True)]
        torch.testing.assert_close(scores, image.scores, atol=1e-5, rtol=1e-4)
        assert torch.equal(index % CLASSES, image.labels)
        assert scores[0] - scores[-1] > 0.02
        boxes = output["boxes"][row][index // CLASSES]
        torch.testing.assert_close(boxes, image.bboxes, atol=1e-3, rtol=1e-4)
    assert (output["boxes"][0] - output["boxes"][0, :1]).abs().max() > 1
    assert left == []
    assert not any(name.startswith(("mask_branch", "head.intra_query")) for name in taken)


@torch.no_grad()
def test_condinst_has_the_same_mask_features(config: TinyConfig) -> None:
    theirs, model = condinst(), ours(config)
    taken, left = convert("condinst", theirs, model)
    levels = [seeded_input(f"level.{i}", (2, CHANNELS, 32 >> i, 48 >> i), -1, 1) for i in range(4)]
    expected = theirs.mask_head.mask_feature_head(levels[1:])
    torch.testing.assert_close(model.mask_branch(levels), expected)
    assert expected.abs().max() > 0.01
    assert set(taken) == {name for name in model.state_dict() if name.startswith("mask_branch.")}
    assert all(not name.startswith("mask_head.mask_feature_head") for name in left)
    assert any(name.startswith("bbox_head.controller") for name in left)


def test_class_layer_follows_the_number_of_classes(config: TinyConfig) -> None:
    model = ours(config, classes=CLASSES + 2)
    taken, left = convert("sparse_rcnn", sparse_rcnn(), model)
    layers = [
        f"roi_head.bbox_head.{s}.fc_cls.{kind}" for s in (0, 1) for kind in ("weight", "bias")
    ]
    assert sorted(left) == sorted(layers)
    assert not any("fc_cls" in name for name in taken)
    for stage in model.head.stages:
        # The prior probability of 0.01 with which the class layers start.
        assert torch.allclose(stage.interaction.fc_cls.bias.sigmoid(), torch.tensor(0.01))


def test_pretraining_keeps_class_layers_and_attention_out(config: TinyConfig) -> None:
    theirs = ours(config, num_stages=2)
    randomised(theirs)
    model = ours(config)
    before = copy.deepcopy(model.state_dict())
    taken, left = convert("inspro", theirs, model)
    fresh = {name for name in model.state_dict() if "fc_cls" in name or "epsilon" in name}
    assert len(fresh) == 5
    assert set(taken) == set(model.state_dict()) - fresh
    assert set(left) == fresh
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name] if name in fresh else theirs.state_dict()[name])


def test_pretraining_starts_a_model_without_bank_alike(config: TinyConfig) -> None:
    """The bank's size is no part of the weights: pre-training has none, training has one."""
    theirs, model = ours(config, bank_size=1), ours(config, classes=2)
    taken, _ = convert("inspro", theirs, model)
    assert not any("epsilon" in name for name in taken)


@pytest.mark.parametrize(
    ("source", "theirs", "head", "message"),
    [
        (
            "sparse_rcnn",
            lambda: sparse_rcnn(queries=18),
            {},
            "another shape, first .*init_proposal_features",
        ),
        ("sparse_rcnn", sparse_rcnn, {"num_stages": 3}, "lacks .* roi_head.bbox_head.2"),
        ("sparse_rcnn", condinst, {}, "lacks .* entries"),
        ("condinst", sparse_rcnn, {}, "lacks .* mask_head.mask_feature_head"),
        ("condinst", lambda: condinst(num_stacked_convs=1), {}, "conv_branch.1"),
        ("condinst", lambda: condinst(out_channels=4), {}, "another shape, first .*conv_pred"),
        ("inspro", sparse_rcnn, {}, "lacks .* mask_branch"),
    ],
)
def test_other_sizes_and_sources_are_refused(
    config: TinyConfig, source: str, theirs: Callable[[], nn.Module], head: dict, message: str
) -> None:
    with pytest.raises(ConversionError, match=message) as error:
        convert(source, theirs(), ours(config, **head))
    assert "theirs.pth" in str(error.value)


def test_a_single_missing_entry_is_an_error(config: TinyConfig) -> None:
    weights = dict(sparse_rcnn().state_dict())
    del weights["roi_head.bbox_head.1.ffn.layers.1.bias"]
    with pytest.raises(ConversionError, match=r"lacks 1 entries, .*bbox_head\.1\.ffn"):
        CONVERTERS["InsPro", "sparse_rcnn"](SourceWeights(weights, "cut.pth"), ours(config))


def test_counters_of_batches_may_be_missing(config: TinyConfig) -> None:
    weights = {k: v for k, v in sparse_rcnn().state_dict().items() if "num_batches" not in k}
    taken = CONVERTERS["InsPro", "sparse_rcnn"](SourceWeights(weights, "old.pth"), ours(config))
    assert taken and not any("num_batches" in name for name in taken)


def test_published_sizes_fit_the_coco_config() -> None:
    """MMDetection's own configs against ours: names and shapes, no weights."""
    theirs = Path(mmdet.__file__).parent / ".mim" / "configs"
    own = Path(__file__).parents[3] / "configs" / "inspro" / "inspro_r50_8xb2-264k_coco.py"
    files = {
        "sparse_rcnn": theirs / "sparse_rcnn" / "sparse-rcnn_r50_fpn_1x_coco.py",
        "condinst": theirs / "condinst" / "condinst_r50_fpn_ms-poly-90k_coco_instance.py",
    }
    configs = {kind: Config.fromfile(path).model for kind, path in files.items()}
    with torch.device("meta"):
        model = MODELS.build(Config.fromfile(own).model)
        built = {
            kind: MMDET_MODELS.build({**config, "data_preprocessor": None})
            for kind, config in configs.items()
        }
    taken: dict[str, Tensor] = {}
    for kind, detector in built.items():
        source = SourceWeights(detector.state_dict(), kind)
        taken.update(CONVERTERS["InsPro", kind](source, model))
        if kind == "sparse_rcnn":
            assert source.left == []
    rest = {re.sub(r"\d+", "*", name) for name in set(model.state_dict()) - set(taken)}
    assert rest == {
        "head.intra_query.epsilon.weight",
        "head.stages.*.controller.*.weight",
        "head.stages.*.controller.*.bias",
    }
