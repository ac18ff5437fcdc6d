# SPDX-License-Identifier: Apache-2.0
"""Weights that IDOL starts from: the reference implementation's and Deformable DETR's."""

from __future__ import annotations

from torch import Tensor, nn

from visbench.models.conversion import ConversionError, Rule, SourceWeights, register_converter

CLASS_LAYERS = r"head\.cls_branches\.\d+\.(weight|bias)"

_RESNET = "detr.detr.backbone.0.backbone."
_RESNET_RULES: tuple[Rule, ...] = (
    (r"backbone\.conv1\.weight", _RESNET + "stem.conv1.weight"),
    (r"backbone\.bn1\.(.+)", _RESNET + r"stem.conv1.norm.\1"),
    *(
        (rf"backbone\.layer{stage}\.(\d+)\.{ours}\.(.+)", _RESNET + rf"res{stage + 1}.\1.{theirs}")
        for stage in range(1, 5)
        for ours, theirs in (
            (r"(conv\d)", r"\2.\3"),
            (r"bn(\d)", r"conv\2.norm.\3"),
            (r"downsample\.0", r"shortcut.\2"),
            (r"downsample\.1", r"shortcut.norm.\2"),
        )
    ),
)
# Windows know their relative positions by themselves, so the index is not taken.
_SWIN_RULES: tuple[Rule, ...] = (
    (r"backbone\.patch_embed\.projection\.(.+)", _RESNET + r"patch_embed.proj.\1"),
    (r"backbone\.((?:patch_embed\.)?norm\d?\..+)", _RESNET + r"\1"),
    (
        r"backbone\.stages\.(\d+)\.(blocks\.\d+\.attn)\.w_msa\.(?!relative_position_index)(.+)",
        _RESNET + r"layers.\1.\2.\3",
    ),
    (
        r"backbone\.stages\.(\d+\.blocks\.\d+)\.ffn\.layers\.0\.0\.(.+)",
        _RESNET + r"layers.\1.mlp.fc1.\2",
    ),
    (
        r"backbone\.stages\.(\d+\.blocks\.\d+)\.ffn\.layers\.1\.(.+)",
        _RESNET + r"layers.\1.mlp.fc2.\2",
    ),
    (
        r"backbone\.stages\.(\d+\.(?:blocks\.\d+\.norm\d|downsample\.\w+)\..+)",
        _RESNET + r"layers.\1",
    ),
)
_PERCEPTRONS = tuple(
    (rf"head\.{ours}\.{2 * layer}\.(\w+)", theirs.format(layer=layer))
    for ours, theirs in (
        (r"reg_branches\.(\d+)", r"detr.detr.bbox_embed.\1.layers.{layer}.\2"),
        ("controller", r"detr.controller.layers.{layer}.\1"),
        ("embed_head", r"detr.reid_embed_head.layers.{layer}.\1"),
    )
    for layer in range(3)
)
# The reference normalises by norm2 after self-attention and by norm1 after cross-attention.
_NORMS = tuple(
    (
        rf"transformer\.{coder}\.layers\.(\d+)\.norms\.{index}\.(.+)",
        rf"detr.detr.transformer.{coder}.layers.\1.{name}.\2",
    )
    for coder, names in (("encoder", ("norm1", "norm2")), ("decoder", ("norm2", "norm1", "norm3")))
    for index, name in enumerate(names)
)
_LAYERS = r"transformer\.((?:en|de)coder\.layers\.\d+)"
VNEXT_RULES: tuple[Rule, ...] = (
    *_RESNET_RULES,
    *_SWIN_RULES,
    (r"neck\.convs\.(\d+)\.conv\.(.+)", r"detr.detr.input_proj.\1.0.\2"),
    (r"neck\.convs\.(\d+)\.gn\.(.+)", r"detr.detr.input_proj.\1.1.\2"),
    (r"neck\.extra_convs\.0\.conv\.(.+)", r"detr.detr.input_proj.3.0.\1"),
    (r"neck\.extra_convs\.0\.gn\.(.+)", r"detr.detr.input_proj.3.1.\1"),
    (r"transformer\.level_embed", "detr.detr.transformer.level_embed"),
    (r"transformer\.reference_points_fc\.(.+)", r"detr.detr.transformer.reference_points.\1"),
    (r"transformer\.query_embedding\.weight", "detr.detr.query_embed.weight"),
    (_LAYERS + r"\.self_attn\.attn\.(.+)", r"detr.detr.transformer.\1.self_attn.\2"),
    (_LAYERS + r"\.((?:self|cross)_attn\..+)", r"detr.detr.transformer.\1.\2"),
    (_LAYERS + r"\.ffn\.layers\.0\.0\.(.+)", r"detr.detr.transformer.\1.linear1.\2"),
    (_LAYERS + r"\.ffn\.layers\.1\.(.+)", r"detr.detr.transformer.\1.linear2.\2"),
    *_NORMS,
    (r"head\.cls_branches\.(.+)", r"detr.detr.class_embed.\1"),
    *_PERCEPTRONS,
    *(
        (rf"head\.mask_branch\.{ours}\.(.+)", rf"detr.mask_head.{theirs}.\1")
        for ours, theirs in (
            (r"fuse\.0", "lay3"),
            (r"fuse\.1", "lay4"),
            (r"fuse\.2", "dcn"),
            ("reduce", "lay1"),
            ("output", "lay2"),
        )
    ),
)
BOX_LAYERS, BOX_ALIAS = "detr.detr.bbox_embed.", "detr.detr.transformer.decoder.bbox_embed."

DEFORMABLE_DETR_RULES: tuple[Rule, ...] = (
    (r"((?:backbone|neck)\..+)", r"\1"),
    (r"transformer\.(.+)", r"\1"),
    (r"head\.((?:cls|reg)_branches\..+)", r"bbox_head.\1"),
)


@register_converter("IDOL", "vnext")
def from_vnext(source: SourceWeights, model: nn.Module) -> dict[str, Tensor]:
    """Take the weights of the reference implementation, with ResNet or Swin.

    Class layers for another number of classes keep their start, as when a checkpoint that was
    trained on COCO begins the training on videos.

    Args:
        source: Weights of VNext's ``IDOL``, released or trained.
        model: IDOL of the same sizes.

    Raises:
        ConversionError: If the box layers are not those that the decoder refines with; the
            reference implementation saves them twice.
    """
    for name in [name for name in source if name.startswith(BOX_ALIAS)]:
        other = BOX_LAYERS + name.removeprefix(BOX_ALIAS)
        if other in source and not source[name].equal(source[other]):
            raise ConversionError(
                f"checkpoint {source.origin}: {name} and {other} differ, but are one layer in "
                "IDOL; use a checkpoint that was saved by the reference implementation"
            )
    weights = source.take(model, VNEXT_RULES, if_it_fits=[CLASS_LAYERS])
    return {name: in_unfold_order(name, value) for name, value in weights.items()}


@register_converter("IDOL", "deformable_detr")
def from_deformable_detr(source: SourceWeights, model: nn.Module) -> dict[str, Tensor]:
    """Take everything of MMDetection's Deformable DETR with box refinement, single stage.

    Controller, embedding network and mask branch have no counterpart and keep their start.

    Args:
        source: Weights of ``DeformableDETR``.
        model: IDOL of the same sizes; class layers are taken for the same number of classes.
    """
    return source.take(model, DEFORMABLE_DETR_RULES, if_it_fits=[CLASS_LAYERS])


def in_unfold_order(name: str, value: Tensor) -> Tensor:
    """Return a Swin weight with the inputs of patch merging in MMDetection's order.

    The original concatenates the channels of the cells (0, 0), (1, 0), (0, 1), (1, 1); MMDetection
    unfolds, so that the four cells (row by row) of one channel follow each other.

    Args:
        name: Our name; other weights are returned as they are.
        value: ``(4 * C,)`` of the normalisation or ``(2 * C, 4 * C)`` of the reduction.
    """
    if ".downsample." not in name or ".stages." not in name:
        return value
    cells = value.unflatten(-1, (4, -1))[..., [0, 2, 1, 3], :]
    return cells.transpose(-1, -2).flatten(-2)
