# SPDX-License-Identifier: Apache-2.0
"""Released weights, and those of MMDetection's Mask R-CNN, under our names."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from visbench.engine.conversion import read_weights
from visbench.models.conversion import CONVERTERS, ConversionError, SourceWeights, converters_of
from visbench.models.propose_reduce.checkpoint import from_mask_rcnn, from_released
from visbench.registry import MODELS
from visbench.testing.goldens.propose_reduce.released import (
    DEAD_LAYERS,
    NETWORKS,
    Network,
    model_config,
    released_shapes,
    seeded_weights,
)

META = torch.device("meta")


def build(network: Network, **settings: Any) -> nn.Module:
    """Build a model without memory for its weights."""
    with META:
        return MODELS.build(model_config(network, **settings))


def shapes_only(network: Network) -> dict[str, Tensor]:
    return {name: torch.empty(s, device=META) for name, s in released_shapes(network).items()}


@pytest.mark.parametrize("classes", [40, 1])
@pytest.mark.parametrize("name", ["r50", "r101", "x101"])
def test_a_released_checkpoint_gives_every_weight(name: str, classes: int) -> None:
    network = NETWORKS[name]._replace(classes=classes)
    model = build(network)
    source = SourceWeights(shapes_only(network), name)
    taken = from_released(source, model)
    assert {key: value.shape for key, value in taken.items()} == {
        key: value.shape for key, value in model.state_dict().items()
    }
    assert source.left
    assert all(key.startswith(DEAD_LAYERS) for key in source.left)


def test_every_value_comes_from_the_name_it_belongs_to() -> None:
    network = NETWORKS["r50"]
    official = seeded_weights(network)
    with META:
        model = MODELS.build(model_config(network))
    taken = from_released(SourceWeights(official, "seeded"), model)
    head, prop = "detector.roi_head.", "prop_head."
    ours_of = {
        "backbone.layer3.5.bn2.running_var": "detector.backbone.layer3.5.bn2.running_var",
        "neck.lateral_convs.3.conv.bias": "detector.neck.lateral_convs.3.conv.bias",
        "rpn_head.rpn_reg.weight": "detector.rpn_head.rpn_reg.weight",
        "bbox_head.shared_fcs.1.weight": head + "bbox_head.shared_fcs.1.weight",
        "mask_head.upsample.weight": head + "mask_head.upsample.weight",
        "prop_head.enc_pos.weight": prop + "mask_embedding.weight",
        "prop_head.enc_fuse.1.downsample.bias": prop + "memory_encoder.1.shortcut.bias",
        "prop_head.qry_fuse.0.conv2.weight": prop + "query_encoder.0.conv2.weight",
        "prop_head.atn_key.weight": prop + "memory_key.weight",
        "prop_head.qry_atn_value.weight": prop + "query_value.weight",
        "prop_head.convFM.weight": prop + "fusion.0.weight",
        "prop_head.ResMM.conv1.weight": prop + "fusion.1.conv1.weight",
        "prop_head.RF3.convFS.weight": prop + "refine_stride8.shallow_conv.weight",
        "prop_head.RF2.ResFS.conv2.weight": prop + "refine_stride4.shallow_block.conv2.weight",
        "prop_head.RF2.ResMM.conv1.bias": prop + "refine_stride4.merge_block.conv1.bias",
        "prop_head.pred2.weight": prop + "predictor.weight",
    }
    for theirs, ours in ours_of.items():
        assert torch.equal(taken[ours], official[theirs]), theirs
    rows = official["bbox_head.fc_cls.weight"]
    assert torch.equal(taken[head + "bbox_head.fc_cls.weight"][:-1], rows[1:])
    assert torch.equal(taken[head + "bbox_head.fc_cls.weight"][-1], rows[0])
    assert torch.equal(taken[head + "bbox_head.fc_reg.bias"], official["bbox_head.fc_reg.bias"][4:])
    assert torch.equal(
        taken[head + "mask_head.conv_logits.weight"], official["mask_head.conv_logits.weight"][1:]
    )
    # No tensor is used twice: values depend on the name.
    sums = [float(value.double().sum()) for value in taken.values() if value.is_floating_point()]
    assert len(set(sums)) == len(sums)


def test_files_of_parallel_training_and_old_files_load(tmp_path: Any) -> None:
    network = NETWORKS["r50"]
    kept = {
        f"module.{name}": torch.zeros(1).expand(shape)
        for name, shape in released_shapes(network).items()
        if not name.endswith("num_batches_tracked") and not name.startswith(DEAD_LAYERS)
    }
    path = tmp_path / "released.pth"
    torch.save({"state_dict": kept, "meta": {"epoch": 4}}, path)
    model = build(network)
    taken = from_released(SourceWeights(read_weights(path), str(path)), model)
    missing = set(model.state_dict()) - set(taken)
    assert missing
    assert all(name.endswith("num_batches_tracked") for name in missing)


def test_checkpoints_of_another_data_set_or_backbone_are_refused() -> None:
    model = build(NETWORKS["r101"])
    with pytest.raises(ConversionError, match=r"release\.pth.*fc_cls\.weight \(2, 1024\)"):
        from_released(SourceWeights(shapes_only(NETWORKS["r101_davis"]), "release.pth"), model)
    with pytest.raises(ConversionError, match=r"release\.pth.*lacks .* backbone\.layer3\.6"):
        from_released(SourceWeights(shapes_only(NETWORKS["r50"]), "release.pth"), model)


def test_mask_rcnn_gives_all_but_the_propagation_head() -> None:
    network = NETWORKS["r50"]
    model = build(network)
    with META:
        detector = MODELS.build(model_config(network._replace(classes=80)).detector)
    source = SourceWeights(detector.state_dict(), "mask_rcnn")
    taken = from_mask_rcnn(source, model)
    started = set(model.state_dict()) - set(taken)
    heads = ("bbox_head.fc_cls", "bbox_head.fc_reg", "mask_head.conv_logits")
    classes = {f"roi_head.{head}.{part}" for head in heads for part in ("weight", "bias")}
    assert set(source.left) == classes
    assert {name for name in started if not name.startswith("prop_head.")} == {
        f"detector.{name}" for name in classes
    }
    same = from_mask_rcnn(SourceWeights(model.detector.state_dict(), "mask_rcnn"), model)
    assert {f"detector.{name}" for name in model.detector.state_dict()} == set(same)


def test_converters_are_found_by_the_tool() -> None:
    found = converters_of(build(NETWORKS["r50"]))
    assert found["propose_reduce"] is CONVERTERS["SeqMaskRCNN", "propose_reduce"]
    assert "mask_rcnn" in found
