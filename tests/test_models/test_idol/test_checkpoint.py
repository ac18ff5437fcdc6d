# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from mmengine.config import ConfigDict
from torch import Tensor, nn

from visbench.models import IDOL
from visbench.models.conversion import (
    ConversionError,
    SourceWeights,
    converters_of,
    source_names,
)
from visbench.models.idol.checkpoint import (
    BOX_ALIAS,
    BOX_LAYERS,
    VNEXT_RULES,
    from_deformable_detr,
    from_vnext,
    in_unfold_order,
)
from visbench.registry import MODELS

# After visbench, which supplies mmcv's operators before mmdet is imported.
from mmdet.models.layers import PatchMerging  # isort: skip
from mmdet.registry import MODELS as MMDET_MODELS  # isort: skip
from mmdet.structures import DetDataSample  # isort: skip

# Names as the fact sheet lists them for the released models; sizes are those of the tiny models.
RESNET = "detr.detr.backbone.0.backbone."
TRANSFORMER = "detr.detr.transformer."
LISTED = {
    "backbone.conv1.weight": RESNET + "stem.conv1.weight",
    "backbone.bn1.running_mean": RESNET + "stem.conv1.norm.running_mean",
    "backbone.layer1.0.conv2.weight": RESNET + "res2.0.conv2.weight",
    "backbone.layer4.0.bn3.weight": RESNET + "res5.0.conv3.norm.weight",
    "backbone.layer2.0.downsample.0.weight": RESNET + "res3.0.shortcut.weight",
    "backbone.layer2.0.downsample.1.running_var": RESNET + "res3.0.shortcut.norm.running_var",
    "neck.convs.2.conv.bias": "detr.detr.input_proj.2.0.bias",
    "neck.extra_convs.0.gn.weight": "detr.detr.input_proj.3.1.weight",
    "transformer.level_embed": "detr.detr.transformer.level_embed",
    "transformer.query_embedding.weight": "detr.detr.query_embed.weight",
    "transformer.encoder.layers.0.norms.1.bias": TRANSFORMER + "encoder.layers.0.norm2.bias",
    "transformer.decoder.layers.1.norms.0.bias": TRANSFORMER + "decoder.layers.1.norm2.bias",
    "transformer.decoder.layers.1.norms.1.bias": TRANSFORMER + "decoder.layers.1.norm1.bias",
    "transformer.decoder.layers.0.self_attn.attn.in_proj_weight": (
        TRANSFORMER + "decoder.layers.0.self_attn.in_proj_weight"
    ),
    "transformer.decoder.layers.0.cross_attn.value_proj.bias": (
        TRANSFORMER + "decoder.layers.0.cross_attn.value_proj.bias"
    ),
    "head.reg_branches.1.4.weight": "detr.detr.bbox_embed.1.layers.2.weight",
    "head.controller.2.bias": "detr.controller.layers.1.bias",
    "head.embed_head.0.weight": "detr.reid_embed_head.layers.0.weight",
    "head.mask_branch.fuse.2.weight": "detr.mask_head.dcn.weight",
    "head.mask_branch.output.bias": "detr.mask_head.lay2.bias",
}
SWIN_LISTED = {
    "backbone.patch_embed.projection.weight": RESNET + "patch_embed.proj.weight",
    "backbone.norm2.bias": RESNET + "norm2.bias",
    "backbone.stages.1.blocks.0.attn.w_msa.relative_position_bias_table": (
        RESNET + "layers.1.blocks.0.attn.relative_position_bias_table"
    ),
    "backbone.stages.0.blocks.1.ffn.layers.0.0.weight": RESNET + "layers.0.blocks.1.mlp.fc1.weight",
    "backbone.stages.0.downsample.reduction.weight": RESNET
    + "layers.0.downsample.reduction.weight",
}


def config(num_classes: int = 4, **fields: Any) -> dict[str, Any]:
    """Return a model with the layers of the released ones at small width."""
    return {
        "type": "visbench.IDOL",
        "backbone": {
            "type": "mmdet.ResNet",
            "depth": 50,
            "base_channels": 4,
            "stem_channels": 4,
            "out_indices": (1, 2, 3),
        },
        "neck": neck([32, 64, 128]),
        "transformer": {
            "num_queries": 7,
            "num_heads": 2,
            "feedforward_channels": 24,
            "num_encoder_layers": 1,
            "num_decoder_layers": 2,
        },
        "head": {"type": "visbench.IDOLHead", "num_classes": num_classes, "embed_channels": 16},
        **fields,
    }


def neck(in_channels: list[int]) -> dict[str, Any]:
    return {
        "type": "mmdet.ChannelMapper",
        "in_channels": in_channels,
        "kernel_size": 1,
        "out_channels": 16,
        "bias": True,
        "act_cfg": None,
        "norm_cfg": {"type": "GN", "num_groups": 4},
        "num_outs": 4,
    }


def swin() -> dict[str, Any]:
    backbone = {
        "type": "mmdet.SwinTransformer",
        "embed_dims": 8,
        "depths": (2, 1, 1, 1),
        "num_heads": (1, 2, 2, 2),
        "window_size": 3,
        "out_indices": (1, 2, 3),
    }
    return config(backbone=backbone, neck=neck([16, 32, 64]))


def reference_weights(model: nn.Module) -> dict[str, Tensor]:
    """Return random weights under the reference's names, with the alias of the box layers."""
    ours = model.state_dict()
    weights = {
        name: torch.rand_like(ours[key])
        for key, name in source_names(model.state_dict(), VNEXT_RULES).items()
        if ours[key].is_floating_point()
    }
    aliases = {
        name.replace(BOX_LAYERS, BOX_ALIAS): value
        for name, value in weights.items()
        if name.startswith(BOX_LAYERS)
    }
    return {**weights, **aliases}


@pytest.mark.parametrize(
    ("settings", "listed"), [(config, LISTED), (swin, SWIN_LISTED)], ids=["resnet", "swin"]
)
def test_every_weight_has_the_name_of_the_fact_sheet(
    settings: Callable[[], dict], listed: dict[str, str]
) -> None:
    model = MODELS.build(settings())
    names = source_names(model.state_dict(), VNEXT_RULES)
    own = ("num_batches_tracked", "relative_position_index")
    assert [n for n in model.state_dict() if n not in names and not n.endswith(own)] == []
    assert len(set(names.values())) == len(names)
    assert {ours: names[ours] for ours in listed} == listed


@pytest.mark.parametrize("settings", [config, swin], ids=["resnet", "swin"])
def test_reference_weights_are_taken_whole(settings: Callable[[], dict]) -> None:
    model = MODELS.build(settings())
    weights = reference_weights(model)
    source = SourceWeights(weights, "released.pth")
    taken = from_vnext(source, model)
    assert source.left == []
    for ours, theirs in source_names(model.state_dict(), VNEXT_RULES).items():
        if theirs in weights:
            assert taken[ours].sum().isclose(weights[theirs].sum())
    query = taken["transformer.query_embedding.weight"]
    assert query.equal(weights["detr.detr.query_embed.weight"])


def test_class_layers_of_another_data_set_keep_their_start() -> None:
    coco = MODELS.build(config(num_classes=9))
    source = SourceWeights(reference_weights(coco), "cocopretrain.pth")
    taken = from_vnext(source, MODELS.build(config()))
    assert not any("cls_branches" in name for name in taken)
    assert sum("cls_branches" in name for name in coco.state_dict()) == len(source.left)


def test_box_layers_that_differ_from_their_alias_are_refused() -> None:
    model = MODELS.build(config())
    weights = reference_weights(model)
    name = BOX_ALIAS + "1.layers.2.bias"
    weights[name] = weights[name] + 1
    with pytest.raises(ConversionError, match=r"broken\.pth.*bbox_embed\.1\.layers\.2\.bias"):
        from_vnext(SourceWeights(weights, "broken.pth"), model)


def test_patch_merging_reads_the_cells_in_the_original_order() -> None:
    merging = PatchMerging(3, 5, norm_cfg={"type": "LN"})
    reduction, scale = torch.randn(5, 12), torch.rand(12)
    name = "backbone.stages.0.downsample."
    merging.reduction.weight.data = in_unfold_order(name + "reduction.weight", reduction)
    merging.norm.weight.data = in_unfold_order(name + "norm.weight", scale)
    x = torch.randn(1, 16, 3)
    found, _ = merging(x, (4, 4))
    grid = x.view(4, 4, 3)
    cells = [grid[row::2, column::2] for row, column in ((0, 0), (1, 0), (0, 1), (1, 1))]
    joined = torch.cat(cells, dim=-1).view(4, 12)
    normal = torch.nn.functional.layer_norm(joined, (12,)) * scale
    torch.testing.assert_close(found[0], normal @ reduction.T)


def deformable_detr() -> nn.Module:
    settings = config()
    attention = {"embed_dims": 16, "num_heads": 2, "batch_first": True}
    deformable = {**attention, "num_levels": 4, "dropout": 0.0}
    forward = {"embed_dims": 16, "feedforward_channels": 24, "ffn_drop": 0.0}
    return MMDET_MODELS.build(
        ConfigDict(
            type="mmdet.DeformableDETR",
            data_preprocessor={"type": "mmdet.DetDataPreprocessor"},
            num_queries=7,
            num_feature_levels=4,
            with_box_refine=True,
            as_two_stage=False,
            backbone=settings["backbone"],
            neck=settings["neck"],
            encoder={
                "num_layers": 1,
                "layer_cfg": {"self_attn_cfg": deformable, "ffn_cfg": forward},
            },
            decoder={
                "num_layers": 2,
                "return_intermediate": True,
                "layer_cfg": {
                    "self_attn_cfg": {**attention, "dropout": 0.0},
                    "cross_attn_cfg": deformable,
                    "ffn_cfg": forward,
                },
                "post_norm_cfg": None,
            },
            positional_encoding={"num_feats": 8, "normalize": True, "offset": -0.5},
            bbox_head={
                "type": "mmdet.DeformableDETRHead",
                "num_classes": 4,
                "embed_dims": 16,
                "loss_cls": {"type": "mmdet.FocalLoss", "use_sigmoid": True},
            },
        )
    )


def test_converted_deformable_detr_computes_the_same() -> None:
    torch.manual_seed(0)
    theirs = deformable_detr()
    theirs.init_weights()
    for branch in theirs.bbox_head.reg_branches:
        nn.init.normal_(branch[-1].weight, std=0.1)
    nn.init.normal_(theirs.query_embedding.weight)
    ours: IDOL = MODELS.build(config())
    source = SourceWeights(theirs.state_dict(), "deformable_detr.pth")
    ours.load_state_dict(from_deformable_detr(source, ours), strict=False)
    assert source.left == []
    images, size = torch.randn(1, 3, 64, 96), (64, 96)
    sample = DetDataSample(metainfo={"img_shape": size, "batch_input_shape": size})
    ours.eval()
    theirs.eval()
    with torch.no_grad():
        inputs = theirs.forward_transformer(theirs.extract_feat(images), [sample])
        logits, boxes = theirs.bbox_head(inputs["hidden_states"], inputs["references"])
        decoded = ours.decode(images, [size])
        for layer in range(2):
            outputs = ours.head(decoded.hidden, decoded.references, layer)
            torch.testing.assert_close(outputs.logits, logits[layer])
            torch.testing.assert_close(outputs.boxes, boxes[layer])


def test_sources() -> None:
    assert sorted(converters_of(MODELS.build(config()))) == ["deformable_detr", "vnext"]
