# SPDX-License-Identifier: Apache-2.0
"""The deformable transformer of IDOL on MMDetection's Deformable DETR parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from mmcv.ops import MultiScaleDeformableAttention
from mmdet.models.detectors import DeformableDETR
from mmdet.models.layers import (
    DeformableDetrTransformerDecoder,
    DeformableDetrTransformerDecoderLayer,
    DeformableDetrTransformerEncoder,
    DeformableDetrTransformerEncoderLayer,
    SinePositionalEncoding,
    inverse_sigmoid,
)
from mmengine.model import BaseModule, ModuleList, xavier_init
from torch import Tensor, nn

from visbench.ops import ms_deform_attn

CELL_CENTRE = -0.5
"""Positions are encoded at the centres of cells (reference implementation; DETR: at their ends)."""

Shapes = list[tuple[int, int]]


class DeformableAttention(MultiScaleDeformableAttention):
    """MMCV's attention through :func:`visbench.ops.ms_deform_attn`, with level sizes as numbers.

    Weights and results are those of MMCV's module. Sizes that are plain numbers need no copy from
    the device and let ``torch.compile`` see the whole layer.
    """

    def forward(  # type: ignore[override]
        self,
        query: Tensor,
        value: Tensor,
        reference_points: Tensor,
        spatial_shapes: Shapes,
        identity: Tensor | None = None,
        query_pos: Tensor | None = None,
        key_padding_mask: Tensor | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Attend to a few points of every level around a reference.

        Args:
            query: ``(B, N, C)``.
            value: ``(B, S, C)``, the cells of all levels.
            reference_points: ``(B, N, levels, 2 or 4)``, 0 to 1 over the padded level; cx, cy and
                perhaps w, h.
            spatial_shapes: ``(height, width)`` of every level.
            identity: ``(B, N, C)`` that the result is added to; the query by default.
            query_pos: ``(B, N, C)`` added to the query.
            key_padding_mask: ``(B, S)``, true for cells that count as zero.
            **kwargs: What MMDetection's layers hand to other kinds of attention.

        Returns:
            ``(B, N, C)``.
        """
        identity = query if identity is None else identity
        query = query if query_pos is None else query + query_pos
        projected = self.value_proj(value)
        if key_padding_mask is not None:
            projected = projected.masked_fill(key_padding_mask[..., None], 0.0)
        projected = projected.unflatten(-1, (self.num_heads, -1))
        locations, weights = self.sampling(query, reference_points, spatial_shapes)
        output = ms_deform_attn(projected, spatial_shapes, locations, weights)
        return self.dropout(self.output_proj(output)) + identity

    def sampling(
        self, query: Tensor, reference_points: Tensor, spatial_shapes: Shapes
    ) -> tuple[Tensor, Tensor]:
        """Return where every query samples and with which weights.

        Args:
            query: ``(B, N, C)`` with its position added.
            reference_points: ``(B, N, levels, 2 or 4)``.
            spatial_shapes: ``(height, width)`` of every level.

        Returns:
            Locations ``(B, N, heads, levels, points, 2)``, x before y, and weights
            ``(B, N, heads, levels, points)`` that sum to 1 over levels and points.
        """
        points = (self.num_heads, self.num_levels, self.num_points)
        offsets = self.sampling_offsets(query).unflatten(-1, (*points, 2))
        logits = self.attention_weights(query).unflatten(-1, (self.num_heads, -1))
        weights = logits.softmax(-1).unflatten(-1, points[1:])
        # One value for every point: broadcasting over a few numbers is several times slower.
        references = reference_points[:, :, :, None].expand(-1, -1, -1, self.num_points, -1)
        centres = references[..., :2].contiguous()[:, :, None]
        if reference_points.shape[-1] == 2:
            sizes = offsets.new_tensor([[(width, height)] for height, width in spatial_shapes])
            return centres + offsets / sizes.expand(-1, self.num_points, -1).contiguous(), weights
        reach = references[..., 2:].contiguous()[:, :, None] * 0.5
        return centres + offsets / self.num_points * reach, weights


class EncoderLayer(DeformableDetrTransformerEncoderLayer):
    """MMDetection's encoder layer with :class:`DeformableAttention`."""

    def _init_layers(self) -> None:
        super()._init_layers()
        self.self_attn = DeformableAttention(**self.self_attn_cfg)


class DecoderLayer(DeformableDetrTransformerDecoderLayer):
    """MMDetection's decoder layer with :class:`DeformableAttention`."""

    def _init_layers(self) -> None:
        super()._init_layers()
        self.cross_attn = DeformableAttention(**self.cross_attn_cfg)


class Encoder(DeformableDetrTransformerEncoder):
    """MMDetection's encoder of :class:`EncoderLayer`."""

    def _init_layers(self) -> None:
        self.layers = ModuleList([EncoderLayer(**self.layer_cfg) for _ in range(self.num_layers)])
        self.embed_dims = self.layers[0].embed_dims


class Decoder(DeformableDetrTransformerDecoder):
    """MMDetection's decoder of :class:`DecoderLayer`."""

    def _init_layers(self) -> None:
        self.layers = ModuleList([DecoderLayer(**self.layer_cfg) for _ in range(self.num_layers)])
        self.embed_dims = self.layers[0].embed_dims


class Decoded(NamedTuple):
    """What the transformer makes of a batch of frames.

    Attributes:
        memory: Encoded levels ``(B, C, h, w)``, finest first.
        hidden: ``(L, B, Q, C)`` output of every decoder layer.
        references: L + 1 tensors: the initial points ``(B, Q, 2)`` and the refined boxes
            ``(B, Q, 4)`` after each layer, detached; cxcywh, 0 to 1 over the valid frame.
    """

    memory: list[Tensor]
    hidden: Tensor
    references: list[Tensor]

    def frames(self, chosen: slice) -> Decoded:
        """Return what belongs to some frames of the batch."""
        return Decoded(
            [level[chosen] for level in self.memory],
            self.hidden[:, chosen],
            [reference[chosen] for reference in self.references],
        )


class IDOLTransformer(BaseModule):
    """Single-stage deformable transformer with iterative box refinement.

    Parameters carry the names of MMDetection's ``DeformableDETR``.

    Args:
        channels: Width C, a multiple of ``num_heads`` and of 2.
        num_levels: Feature levels.
        num_backbone_levels: How many of them the backbone yields; the others are coarser ones that
            a strided convolution makes.
        num_queries: Q.
        num_heads: Attention heads.
        num_points: Points per head and level.
        feedforward_channels: Hidden width of the feed-forward networks.
        num_encoder_layers: Encoder layers.
        num_decoder_layers: Decoder layers L.
        dropout: Dropout in attention and feed-forward networks.
        query_grid: Rows and columns of a regular grid over the frame on which the queries start,
            alike in everything but their place; ``num_queries`` is their product. By default
            queries start at random around the centre, as in the reference implementation, which
            takes them long to leave. For training from scratch in minutes.
        init_cfg: Initialisation config of MMEngine.

    Raises:
        ValueError: If the grid has not ``num_queries`` places.
    """

    def __init__(
        self,
        channels: int = 256,
        num_levels: int = 4,
        num_backbone_levels: int = 3,
        num_queries: int = 300,
        num_heads: int = 8,
        num_points: int = 4,
        feedforward_channels: int = 1024,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dropout: float = 0.1,
        query_grid: tuple[int, int] | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        if query_grid is not None and query_grid[0] * query_grid[1] != num_queries:
            raise ValueError(
                f"query_grid={tuple(query_grid)} has not num_queries={num_queries} places"
            )
        self.query_grid = query_grid
        self.num_backbone_levels = num_backbone_levels
        attention = {"embed_dims": channels, "num_heads": num_heads, "batch_first": True}
        sampling = {"num_levels": num_levels, "num_points": num_points, "dropout": dropout}
        deformable = {**attention, **sampling}
        forward = {
            "embed_dims": channels,
            "feedforward_channels": feedforward_channels,
            "ffn_drop": dropout,
        }
        encoder_layer = {"self_attn_cfg": deformable, "ffn_cfg": forward}
        self.encoder = Encoder(num_encoder_layers, encoder_layer)
        # MMCV's "dropout" of plain attention would change the default of every later one.
        dropped = {"type": "Dropout", "drop_prob": dropout}
        plain = {**attention, "attn_drop": dropout, "dropout_layer": dropped}
        decoder_layer = {"self_attn_cfg": plain, "cross_attn_cfg": deformable, "ffn_cfg": forward}
        self.decoder = Decoder(num_decoder_layers, decoder_layer, post_norm_cfg=None)
        self.positional_encoding = SinePositionalEncoding(
            channels // 2, normalize=True, offset=CELL_CENTRE
        )
        self.level_embed = nn.Parameter(torch.empty(num_levels, channels))
        # The position comes first, as in MMDetection and in the reference implementation.
        self.query_embedding = nn.Embedding(num_queries, 2 * channels)
        self.reference_points_fc = nn.Linear(channels, 2)

    def init_weights(self) -> None:
        """Initialise as the reference implementation does; see MMDetection's DeformableDETR."""
        super().init_weights()
        for coder in (self.encoder, self.decoder):
            for parameter in coder.parameters():
                if parameter.dim() > 1:
                    nn.init.xavier_uniform_(parameter)
            for module in coder.modules():
                if isinstance(module, DeformableAttention):
                    module.init_weights()
        xavier_init(self.reference_points_fc, distribution="uniform", bias=0.0)
        nn.init.normal_(self.level_embed)
        if self.query_grid is not None:
            self._start_queries_on_grid(*self.query_grid)

    @torch.no_grad()
    def _start_queries_on_grid(self, rows: int, columns: int) -> None:
        position, content = self.query_embedding.weight.chunk(2, dim=1)
        cells = torch.zeros((1, rows, columns), dtype=torch.bool, device=position.device)
        position.copy_(self.positional_encoding(cells)[0].flatten(1).T)
        content.copy_(content[:1].clone().expand_as(content))
        y, x = torch.meshgrid(
            (torch.arange(rows) + 0.5) / rows,
            (torch.arange(columns) + 0.5) / columns,
            indexing="ij",
        )
        # Two channels of the position hold the place itself, and the layer reads just these.
        position[:, :2] = inverse_sigmoid(torch.stack([x, y], dim=-1).flatten(0, 1)).to(position)
        nn.init.eye_(self.reference_points_fc.weight)

    def forward(
        self, levels: Sequence[Tensor], padding: Tensor, box_branches: nn.ModuleList
    ) -> Decoded:
        """Encode the levels and decode the queries.

        Args:
            levels: Projected features ``(B, C, h, w)``, finest first.
            padding: ``(B, H, W)`` booleans, true where the image is padding.
            box_branches: One per decoder layer, for the refinement of references.
        """
        shapes = [(int(level.shape[-2]), int(level.shape[-1])) for level in levels]
        masks = level_padding(padding, shapes, self.num_backbone_levels)
        tokens = torch.cat([level.flatten(2).transpose(1, 2) for level in levels], dim=1)
        common: dict[str, Any] = {
            "key_padding_mask": torch.cat([mask.flatten(1) for mask in masks], dim=1),
            "spatial_shapes": shapes,
            "level_start_index": None,
            "valid_ratios": torch.stack([DeformableDETR.get_valid_ratio(m) for m in masks], dim=1),
        }
        memory = self.encoder(query=tokens, query_pos=self._positions(masks), **common)
        position, content = self.query_embedding.weight.chunk(2, dim=1)
        reference = self.reference_points_fc(position).float().sigmoid()
        batch = len(tokens)
        hidden, refined = self.decoder(
            query=content.expand(batch, -1, -1),
            query_pos=position.expand(batch, -1, -1),
            value=memory,
            reference_points=reference.expand(batch, -1, -1),
            reg_branches=box_branches,
            **common,
        )
        parts = memory.transpose(1, 2).split([height * width for height, width in shapes], dim=2)
        maps = [part.unflatten(2, shape) for part, shape in zip(parts, shapes, strict=True)]
        return Decoded(maps, hidden, [reference.expand(batch, -1, -1), *refined])

    def _positions(self, masks: Sequence[Tensor]) -> Tensor:
        """Return the positions ``(B, S, C)`` of all S places of the levels, which differ by level.

        Args:
            masks: ``(B, h, w)`` booleans of every level, true where the image is padding.
        """
        return torch.cat(
            [
                self.positional_encoding(mask).flatten(2).transpose(1, 2) + embedding
                for mask, embedding in zip(masks, self.level_embed, strict=True)
            ],
            dim=1,
        )


def level_padding(padding: Tensor, shapes: Shapes, num_backbone_levels: int) -> list[Tensor]:
    """Return the padding at every level, by nearest-neighbour resizing.

    As in the reference implementation, levels of the backbone are resized from the image, coarser
    ones from the finest level.

    Args:
        padding: ``(B, H, W)`` booleans, true where the image is padding.
        shapes: ``(height, width)`` of every level, finest first.
        num_backbone_levels: How many levels come from the backbone.

    Returns:
        Booleans ``(B, height, width)`` for every level.
    """
    masks: list[Tensor] = []
    for index, shape in enumerate(shapes):
        source = padding if index < num_backbone_levels else masks[0]
        resized = F.interpolate(source[:, None].float(), size=shape, mode="nearest")
        masks.append(resized[:, 0].bool())
    return masks


def frame_padding(images: Tensor, valid_sizes: Sequence[tuple[int, int]]) -> Tensor:
    """Return which pixels of a batch are padding.

    Args:
        images: ``(B, 3, H, W)``.
        valid_sizes: ``(height, width)`` of the part of each frame that is not padding.

    Returns:
        Booleans ``(B, H, W)``.
    """
    padding = torch.ones((len(images), *images.shape[-2:]), dtype=torch.bool, device=images.device)
    for frame, (height, width) in enumerate(valid_sizes):
        padding[frame, :height, :width] = False
    return padding
