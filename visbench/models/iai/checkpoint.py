# SPDX-License-Identifier: Apache-2.0
"""Weights that IAI starts from: released ones, MMDetection's detectors, IAI on other data."""

from __future__ import annotations

from torch import Tensor, nn

from visbench.models.conversion import Rule, SourceWeights, register_converter

_LAYER = r"lstt.LSTT.layers.0."

ASSOCIATION_RULES: list[Rule] = [
    (r"encoder_projector\.(.+)", r"encoder_projector.\1"),
    (r"classification_projector\.(.+)", r"backbone_projector.\1"),
    (r"bank\.conv\.(.+)", r"lstt.patch_wise_id_bank.\1"),
    (r"block\.self_attention\.query\.(.+)", _LAYER + r"self_attn.linear_Q.\1"),
    (r"block\.self_attention\.key\.(.+)", _LAYER + r"self_attn.linear_K.\1"),
    (r"block\.self_attention\.value\.(.+)", _LAYER + r"self_attn.linear_V.\1"),
    (r"block\.self_attention\.projection\.(.+)", _LAYER + r"self_attn.projection.\1"),
    (r"block\.query\.(.+)", _LAYER + r"linear_Q.\1"),
    (r"block\.value\.(.+)", _LAYER + r"linear_V.\1"),
    (r"block\.global_attention\.projection\.(.+)", _LAYER + r"long_term_attn.projection.\1"),
    (r"block\.local_attention\.value_bias", _LAYER + r"short_term_attn.V_bias"),
    (
        r"block\.local_attention\.relative_embedding\.(.+)",
        _LAYER + r"short_term_attn.relative_emb.\1",
    ),
    (r"block\.local_attention\.projection\.(.+)", _LAYER + r"short_term_attn.fc.\1"),
    (r"block\.feed_forward\.expansion\.(.+)", _LAYER + r"linear1.\1"),
    (r"block\.feed_forward\.projection\.(.+)", _LAYER + r"linear2.\1"),
    (r"block\.feed_forward\.activation\.norm\.(.+)", _LAYER + r"activation.gn.\1"),
    (r"block\.feed_forward\.activation\.gate\.(.+)", _LAYER + r"activation.GCT.\1"),
    (r"block\.feed_forward\.activation\.conv\.(.+)", _LAYER + r"activation.conv.\1"),
    # The reference applies its norm2 before its norm1.
    (r"block\.self_norm\.(.+)", _LAYER + r"norm2.\1"),
    (r"block\.memory_norm\.(.+)", _LAYER + r"norm1.\1"),
    (r"block\.feed_forward_norm\.(.+)", _LAYER + r"norm3.\1"),
    (r"block\.output_norm\.(.+)", r"lstt.LSTT.decoder_norms.0.\1"),
]
"""The association module's names and those of the reference implementation."""

_BACKBONE: Rule = (r"((?:backbone|neck)\..+)", r"\1")

REFERENCE_RULES: list[Rule] = [
    _BACKBONE,
    *((rf"association\.{pattern}", template) for pattern, template in ASSOCIATION_RULES),
    (r"segmenter\.head\.id_branch\.tower\.(.+)", r"bbox_head.id_convs.\1"),
    (r"segmenter\.head\.id_branch\.predictor\.(.+)", r"bbox_head.conv_id.\1"),
    (r"segmenter\.head\.(.+)", r"bbox_head.\1"),
    (
        r"segmenter\.mask_features\.convs_all_levels\.(\d+)\.conv\d+\.conv\.(.+)",
        r"bbox_head.mask_refine.\1.0.\2",
    ),
    (
        r"segmenter\.mask_features\.convs_all_levels\.(\d+)\.conv\d+\.bn\.(.+)",
        r"bbox_head.mask_refine.\1.1.\2",
    ),
    (
        r"segmenter\.mask_features\.conv_branch\.(\d+)\.conv\.(.+)",
        r"bbox_head.mask_head.\1.0.\2",
    ),
    (
        r"segmenter\.mask_features\.conv_branch\.(\d+)\.bn\.(.+)",
        r"bbox_head.mask_head.\1.1.\2",
    ),
    (r"segmenter\.mask_features\.conv_pred\.(.+)", r"bbox_head.mask_head.4.\1"),
]
"""The whole model's names, on CondInst, and those of the reference implementation."""

CONDINST_RULES: list[Rule] = [
    _BACKBONE,
    (r"segmenter\.head\.((?!id_branch\.).+)", r"bbox_head.\1"),
    (r"segmenter\.mask_features\.(.+)", r"mask_head.mask_feature_head.\1"),
]
MASK_RCNN_RULES: list[Rule] = [
    _BACKBONE,
    (r"segmenter\.((?:rpn_head|roi_head)\..+)", r"\1"),
]

CLASS_LAYERS = (
    r"segmenter\.head\.conv_cls\..+",
    r"segmenter\.roi_head\.bbox_head\.fc_(?:cls|reg)\..+",
    r"segmenter\.roi_head\.mask_head\.conv_logits\..+",
)
ID_LAYERS = (r"segmenter\.(?:head\.)?id_branch\.predictor\..+", r"association\.bank\.conv\.weight")


@register_converter("IAI", "iai_released")
def from_released(source: SourceWeights, model: nn.Module) -> dict[str, Tensor]:
    """Take the weights of a checkpoint of the reference implementation.

    Layers whose size follows the number of classes or ids are taken only if it agrees, so the
    checkpoint of one data set can start the training on another.

    Args:
        source: Weights of the reference implementation.
        model: IAI on CondInst.
    """
    return source.take(model, REFERENCE_RULES, if_it_fits=[*CLASS_LAYERS, *ID_LAYERS])


@register_converter("IAI", "iai")
def from_other_data(source: SourceWeights, model: nn.Module) -> dict[str, Tensor]:
    """Take the weights of IAI trained on another data set, as OVIS starts from YouTube-VIS.

    Args:
        source: Weights of ``IAI``.
        model: IAI with the same parts; numbers of classes and ids may be others, and then the
            layers whose size follows them start anew.
    """
    return source.take(model, [(r"(.+)", r"\1")], if_it_fits=[*CLASS_LAYERS, *ID_LAYERS])


@register_converter("IAI", "condinst")
@register_converter("IAITrackingByDetection", "condinst")
def from_condinst(source: SourceWeights, model: nn.Module) -> dict[str, Tensor]:
    """Take all of MMDetection's CondInst; the class layer only for as many classes.

    MMDetection's towers have a bias before the normalisation, which IAI's have not: it is left
    unless the config sets ``segmenter.head.conv_bias=True``. Identity branch and association
    start anew; the neck's layer for C5 is taken although it reads other channels now, as the
    reference implementation does.

    Args:
        source: Weights of ``CondInst``.
        model: A model on CondInst with the same sizes.
    """
    return source.take(model, CONDINST_RULES, if_it_fits=CLASS_LAYERS)


@register_converter("IAI", "mask_rcnn")
@register_converter("IAITrackingByDetection", "mask_rcnn")
def from_mask_rcnn(source: SourceWeights, model: nn.Module) -> dict[str, Tensor]:
    """Take all of MMDetection's Mask R-CNN; layers of classes only for as many classes.

    Args:
        source: Weights of ``MaskRCNN``.
        model: A model on Mask R-CNN with the same sizes.
    """
    return source.take(model, MASK_RCNN_RULES, if_it_fits=CLASS_LAYERS)
