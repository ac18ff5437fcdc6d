# SPDX-License-Identifier: Apache-2.0
"""Names of the weights of other implementations for IAI."""

from __future__ import annotations

from visbench.models.conversion import Rule

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

REFERENCE_RULES: list[Rule] = [
    (r"((?:backbone|neck)\..+)", r"\1"),
    *[(r"association\." + ours, theirs) for ours, theirs in ASSOCIATION_RULES],
    (r"segmenter\.head\.id_branch\.tower\.(.+)", r"bbox_head.id_convs.\1"),
    (r"segmenter\.head\.id_branch\.predictor\.(.+)", r"bbox_head.conv_id.\1"),
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
    (r"segmenter\.mask_features\.conv_branch\.(\d+)\.bn\.(.+)", r"bbox_head.mask_head.\1.1.\2"),
    (r"segmenter\.mask_features\.conv_pred\.(.+)", r"bbox_head.mask_head.4.\1"),
    (r"segmenter\.head\.(.+)", r"bbox_head.\1"),
]
"""The whole model's names, on CondInst, and those of the reference implementation."""
