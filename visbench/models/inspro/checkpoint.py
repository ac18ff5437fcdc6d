# SPDX-License-Identifier: Apache-2.0
"""Weights that InsPro starts from: MMDetection's detectors and its own COCO pre-training."""

from __future__ import annotations

from torch import Tensor, nn

from visbench.models.conversion import SourceWeights, register_converter

CLASS_LAYERS = r"head\.stages\.\d+\.interaction\.fc_cls\.(weight|bias)"
_BACKBONE = (r"((?:backbone|neck)\..+)", r"\1")

SPARSE_RCNN_RULES = (
    _BACKBONE,
    (r"head\.init_queries\.weight", "rpn_head.init_proposal_features.weight"),
    (r"head\.init_proposals\.weight", "rpn_head.init_proposal_bboxes.weight"),
    (r"head\.stages\.(\d+)\.interaction\.(.+)", r"roi_head.bbox_head.\1.\2"),
)
# CondInst's pyramid starts at stride 8, so its mask branch counts levels from 0.
CONDINST_RULES = (
    (
        r"mask_branch\.convs_all_levels\.(\d+)\.conv\d+\.(.+)",
        r"mask_head.mask_feature_head.convs_all_levels.\1.conv\1.\2",
    ),
    (r"mask_branch\.(.+)", r"mask_head.mask_feature_head.\1"),
)
PRETRAINED_RULES = (
    (r"((?:backbone|neck|mask_branch)\..+)", r"\1"),
    (r"(head\.init_(?:queries|proposals)\.weight)", r"\1"),
    (r"(head\.stages\.\d+\.(?:controller|interaction\.(?!fc_cls\.)).*)", r"\1"),
)


@register_converter("InsPro", "sparse_rcnn")
def from_sparse_rcnn(source: SourceWeights, model: nn.Module) -> dict[str, Tensor]:
    """Take backbone, pyramid, stages and proposals of MMDetection's Sparse R-CNN.

    The class layer is taken only for as many classes as the source has. A source with another
    number of proposals is refused: a hundred out of three hundred, which were trained to share the
    image among them, would leave most of it uncovered.

    Args:
        source: Weights of ``SparseRCNN``.
        model: InsPro with as many proposals and at most as many stages.
    """
    return source.take(model, SPARSE_RCNN_RULES, if_it_fits=[CLASS_LAYERS])


@register_converter("InsPro", "condinst")
def from_condinst(source: SourceWeights, model: nn.Module) -> dict[str, Tensor]:
    """Take the mask branch of MMDetection's CondInst.

    Its controller, a convolution on pyramid features, has no counterpart: InsPro generates mask
    parameters from object features.

    Args:
        source: Weights of ``CondInst``.
        model: InsPro with a mask branch of the same sizes and normalisation.
    """
    return source.take(model, CONDINST_RULES)


@register_converter("InsPro", "inspro")
def from_pretraining(source: SourceWeights, model: nn.Module) -> dict[str, Tensor]:
    """Take everything of InsPro trained on still images but the class layers and the attention.

    The classes are others, and a single frame has not trained the attention over frames.

    Args:
        source: Weights of ``InsPro``.
        model: InsPro of the same sizes for any number of classes.
    """
    return source.take(model, PRETRAINED_RULES)
