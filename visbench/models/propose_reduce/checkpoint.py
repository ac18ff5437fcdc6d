# SPDX-License-Identifier: Apache-2.0
"""Weights that Seq Mask R-CNN starts from: the released ones and MMDetection's Mask R-CNN."""

from __future__ import annotations

from torch import Tensor, nn

from visbench.models.conversion import SourceWeights, register_converter

RELEASED_RULES = (
    (r"detector\.((?:backbone|neck|rpn_head)\..+)", r"\1"),
    (r"detector\.roi_head\.((?:bbox|mask)_head\..+)", r"\1"),
    (r"prop_head\.mask_embedding\.(.+)", r"prop_head.enc_pos.\1"),
    (r"prop_head\.memory_encoder\.(\d)\.(conv\d\..+)", r"prop_head.enc_fuse.\1.\2"),
    (r"prop_head\.memory_encoder\.(\d)\.shortcut\.(.+)", r"prop_head.enc_fuse.\1.downsample.\2"),
    (r"prop_head\.query_encoder\.(\d)\.(conv\d\..+)", r"prop_head.qry_fuse.\1.\2"),
    (r"prop_head\.query_encoder\.(\d)\.shortcut\.(.+)", r"prop_head.qry_fuse.\1.downsample.\2"),
    (r"prop_head\.memory_(key|value)\.(.+)", r"prop_head.atn_\1.\2"),
    (r"prop_head\.query_(key|value)\.(.+)", r"prop_head.qry_atn_\1.\2"),
    (r"prop_head\.fusion\.0\.(.+)", r"prop_head.convFM.\1"),
    (r"prop_head\.fusion\.1\.(.+)", r"prop_head.ResMM.\1"),
    (r"prop_head\.refine_stride8\.shallow_conv\.(.+)", r"prop_head.RF3.convFS.\1"),
    (r"prop_head\.refine_stride8\.shallow_block\.(.+)", r"prop_head.RF3.ResFS.\1"),
    (r"prop_head\.refine_stride8\.merge_block\.(.+)", r"prop_head.RF3.ResMM.\1"),
    (r"prop_head\.refine_stride4\.shallow_conv\.(.+)", r"prop_head.RF2.convFS.\1"),
    (r"prop_head\.refine_stride4\.shallow_block\.(.+)", r"prop_head.RF2.ResFS.\1"),
    (r"prop_head\.refine_stride4\.merge_block\.(.+)", r"prop_head.RF2.ResMM.\1"),
    (r"prop_head\.predictor\.(.+)", r"prop_head.pred2.\1"),
)
"""Our names -> those of the released checkpoints. Their ``prop_head`` also stores the layers of a
mask head (``convs``, ``upsample``, ``conv_logits``) that nothing reads; they are left."""

# The background comes first there and last here; only the classifier has weights for it here.
BACKGROUND_LAST = (
    (r"bbox_head\.fc_cls\..+", lambda rows: rows.roll(-1, 0)),
    (r"bbox_head\.fc_reg\..+", lambda rows: rows[4:].clone()),
    (r"mask_head\.conv_logits\..+", lambda rows: rows[1:].clone()),
)

CLASS_LAYERS = (
    r"detector\.roi_head\.bbox_head\.fc_(?:cls|reg)\..+",
    r"detector\.roi_head\.mask_head\.conv_logits\..+",
)
MASK_RCNN_RULES = ((r"detector\.((?:backbone|neck|rpn_head|roi_head)\..+)", r"\1"),)


@register_converter("SeqMaskRCNN", "propose_reduce")
def from_released(source: SourceWeights, model: nn.Module) -> dict[str, Tensor]:
    """Take a checkpoint of the reference implementation, whole.

    Its box conventions are those of ``seq_mask_rcnn_reference_*.py``; with others it loads, but
    boxes are off by a pixel.

    Args:
        source: Released weights of any stage.
        model: Seq Mask R-CNN with the same backbone and number of classes.
    """
    return source.take(model, RELEASED_RULES, changes=BACKGROUND_LAST)


@register_converter("SeqMaskRCNN", "mask_rcnn")
def from_mask_rcnn(source: SourceWeights, model: nn.Module) -> dict[str, Tensor]:
    """Take MMDetection's Mask R-CNN, which main training starts from (appendix D).

    The class layers are taken only for as many classes as the source has.

    Args:
        source: Weights of ``MaskRCNN``, for instance trained on COCO.
        model: Seq Mask R-CNN with the same backbone and neck.
    """
    return source.take(model, MASK_RCNN_RULES, if_it_fits=CLASS_LAYERS)
