# SPDX-License-Identifier: Apache-2.0
"""The Seq-Prop head: masks of a frame and a memory of earlier ones -> masks of another frame."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from torch import Tensor, nn

from visbench.registry import MODELS

P2_STRIDE = 4
"""Pixels per cell of the finest pyramid level, in and between which masks are resized."""

SMALLEST_PROBABILITY = 1e-7
"""Soft aggregation keeps probabilities this far from 0 and 1 (in float32: 1.2e-7 from 1)."""


class FrameEncoding(NamedTuple):
    """What the head knows of a frame before it sees a memory; the same for all objects.

    ``(h, w)`` is ``(H/16, W/16)``, finer with smaller ``encoder_strides``.

    Attributes:
        key: ``(1, key_channels, h, w)``.
        value: ``(1, value_channels, h, w)``.
        stride8: ``(1, channels, H/8, W/8)``, from C3.
        stride4: ``(1, channels, H/4, W/4)``, from C2.
    """

    key: Tensor
    value: Tensor
    stride8: Tensor
    stride4: Tensor


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with a ReLU before each and none at the end.

    The shortcut is the input itself or, where the shape changes, a 3x3 convolution of it.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the result.
        stride: Of the first convolution.
        norm_cfg: Config of a normalisation before each ReLU; none if None.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int = 1, norm_cfg: dict | None = None
    ) -> None:
        super().__init__()
        self.norm1 = _norm(norm_cfg, in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1)
        self.norm2 = _norm(norm_cfg, out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1)
        self.shortcut: nn.Module = nn.Identity()
        if in_channels != out_channels or stride != 1:
            self.shortcut = nn.Conv2d(in_channels, out_channels, 3, stride, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, out_channels, H/stride, W/stride)`` for ``(N, in_channels, H, W)``."""
        hidden = self.conv1(F.relu(self.norm1(x)))
        return self.shortcut(x) + self.conv2(F.relu(self.norm2(hidden)))


class Refinement(nn.Module):
    """A step of the decoder: twice the resolution, with the help of backbone features.

    Args:
        shallow_channels: Channels of the backbone features.
        channels: Channels of the result.
        norm_cfg: See :class:`ResidualBlock`.
    """

    def __init__(self, shallow_channels: int, channels: int, norm_cfg: dict | None = None) -> None:
        super().__init__()
        self.shallow_conv = nn.Conv2d(shallow_channels, channels, 3, 1, 1)
        self.shallow_block = ResidualBlock(channels, channels, norm_cfg=norm_cfg)
        self.merge_block = ResidualBlock(channels, channels, norm_cfg=norm_cfg)

    def encode(self, shallow: Tensor) -> Tensor:
        """Return the part that depends on the frame alone, ``(N, channels, h, w)``."""
        return self.shallow_block(self.shallow_conv(shallow))

    def forward(self, encoded: Tensor, deep: Tensor) -> Tensor:
        """Merge the encoded backbone features with the decoder's features at half their size.

        Args:
            encoded: ``(1, channels, h, w)`` of :meth:`encode`.
            deep: ``(O, channels, ...)`` at any size, half of it in the reference.

        Returns:
            ``(O, channels, h, w)``.
        """
        size = encoded.shape[-2:]
        deep = F.interpolate(deep, size=size, mode="bilinear", align_corners=False)
        return self.merge_block(encoded + deep)


@MODELS.register_module()
class SeqPropHead(BaseModule):
    """Memory encoder, memory read and decoder (Propose-Reduce, section 3.2; reference code).

    The paper's decoder refines with C2; the released weights refine with C3 first, which is what
    we do.

    Args:
        in_channels: Channels of P2.
        shallow_channels: Channels of C2 and of C3.
        channels: Channels of the decoder and of the encoders at stride 8.
        encoder_channels: Channels of the encoders at stride 16.
        key_channels: Channels of keys.
        value_channels: Channels of values.
        max_affinities: How many affinities, objects times memory cells times query cells, are held
            at once. The memory is read for that many query cells at a time, so that it bounds
            the memory that a read takes; 2**26 are 256 MiB in float32.
        encoder_strides: Strides of the two blocks of each encoder. The memory has a cell for every
            ``4 * product`` pixels: 16 in the reference; 8 follows small objects better.
        norm_cfg: Config of a normalisation in the residual blocks, for training from scratch; the
            released weights have none.
        matched_start: Whether the query encoder and its keys start as copies of the memory's, so
            that like cells match before anything is learned; for training from scratch.
        init_cfg: Initialisation config of MMEngine; PyTorch's own by default, as in the reference.

    Raises:
        ValueError: If ``max_affinities`` is below 1.
    """

    def __init__(
        self,
        in_channels: int = 256,
        shallow_channels: tuple[int, int] = (256, 512),
        channels: int = 256,
        encoder_channels: int = 512,
        key_channels: int = 64,
        value_channels: int = 256,
        max_affinities: int = 2**26,
        encoder_strides: tuple[int, int] = (2, 2),
        norm_cfg: dict | None = None,
        matched_start: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if max_affinities < 1:
            raise ValueError(f"prop_head.max_affinities must be at least 1, got {max_affinities}")
        self.max_affinities = max_affinities
        self.encoder_strides = encoder_strides
        self.matched_start = matched_start
        self.mask_embedding = nn.Conv2d(1, in_channels, 7, 1, 3)

        def encoder() -> nn.Sequential:
            return nn.Sequential(
                ResidualBlock(in_channels, channels, encoder_strides[0], norm_cfg),
                ResidualBlock(channels, encoder_channels, encoder_strides[1], norm_cfg),
            )

        self.memory_encoder, self.query_encoder = encoder(), encoder()
        self.memory_key = nn.Conv2d(encoder_channels, key_channels, 1)
        self.memory_value = nn.Conv2d(encoder_channels, value_channels, 1)
        self.query_key = nn.Conv2d(encoder_channels, key_channels, 1)
        self.query_value = nn.Conv2d(encoder_channels, value_channels, 1)
        self.fusion = nn.Sequential(
            nn.Conv2d(2 * value_channels, channels, 3, 1, 1),
            ResidualBlock(channels, channels, norm_cfg=norm_cfg),
        )
        self.refine_stride8 = Refinement(shallow_channels[1], channels, norm_cfg)
        self.refine_stride4 = Refinement(shallow_channels[0], channels, norm_cfg)
        self.predictor = nn.Conv2d(channels, 2, 3, 1, 1)

    @property
    def padding_divisor(self) -> int:
        """Pixels that height and width of frames are multiples of; C3's stride is 8."""
        return max(P2_STRIDE * math.prod(self.encoder_strides), 8)

    def init_weights(self) -> None:
        """Initialise by ``init_cfg``; then make the query's layers match the memory's."""
        super().init_weights()
        if self.matched_start:
            self.query_encoder.load_state_dict(self.memory_encoder.state_dict())
            self.query_key.load_state_dict(self.memory_key.state_dict())

    def memorize(self, p2: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Encode the objects of a frame as one entry of the memory.

        Args:
            p2: ``(1, in_channels, H/4, W/4)``.
            masks: ``(O, h, w)``, 0 to 1, at most as large as the padded frame ``(H, W)``; the rest
                counts as background.

        Returns:
            Key ``(O, key_channels, 1, h, w)`` and value ``(O, value_channels, 1, h, w)``.

        Raises:
            ValueError: If the masks are larger than the frame.
        """
        size = [P2_STRIDE * side for side in p2.shape[-2:]]
        rows, columns = (side - have for side, have in zip(size, masks.shape[-2:], strict=True))
        if rows < 0 or columns < 0:
            raise ValueError(
                f"masks of {tuple(masks.shape[-2:])} pixels exceed the padded frame of "
                f"{tuple(size)}; give masks at the size of the network's input"
            )
        padded = F.pad(masks[:, None].to(p2.dtype), (0, columns, 0, rows))
        cells = F.interpolate(padded, size=p2.shape[-2:], mode="bilinear", align_corners=False)
        encoded = self.memory_encoder(p2 + self.mask_embedding(cells))
        return self.memory_key(encoded)[:, :, None], self.memory_value(encoded)[:, :, None]

    def query(self, p2: Tensor) -> tuple[Tensor, Tensor]:
        """Return key ``(1, key_channels, h, w)`` and value of a frame to be segmented."""
        encoded = self.query_encoder(p2)
        return self.query_key(encoded), self.query_value(encoded)

    def encode(self, p2: Tensor, c2: Tensor, c3: Tensor) -> FrameEncoding:
        """Compute all that a frame contributes to its segmentation, whatever the memory.

        Args:
            p2: ``(1, in_channels, H/4, W/4)``.
            c2: ``(1, shallow_channels[0], H/4, W/4)``.
            c3: ``(1, shallow_channels[1], H/8, W/8)``.
        """
        key, value = self.query(p2)
        return FrameEncoding(
            key, value, self.refine_stride8.encode(c3), self.refine_stride4.encode(c2)
        )

    def decode(self, memory_key: Tensor, memory_value: Tensor, frame: FrameEncoding) -> Tensor:
        """Segment an encoded frame, every object from its own memory.

        Args:
            memory_key: ``(O, key_channels, T, h, w)``.
            memory_value: ``(O, value_channels, T, h, w)``.
            frame: The frame's encoding.

        Returns:
            Foreground probabilities ``(O, 1, H, W)`` in float32, every object by itself.
        """
        read = read_memory(memory_key, memory_value, frame.key, frame.value, self.max_affinities)
        features = self.refine_stride8(frame.stride8, self.fusion(read))
        features = self.refine_stride4(frame.stride4, features)
        background, foreground = self.predictor(F.relu(features)).float().split(1, dim=1)
        # Softmax over two channels; interpolation is linear, so their difference suffices.
        return _upsample(foreground - background, P2_STRIDE).sigmoid()

    def segment(
        self,
        memory_key: Tensor,
        memory_value: Tensor,
        query_key: Tensor,
        query_value: Tensor,
        c2: Tensor,
        c3: Tensor,
    ) -> Tensor:
        """Segment a frame from what :meth:`query` returned; see :meth:`encode`, :meth:`decode`."""
        frame = FrameEncoding(
            query_key, query_value, self.refine_stride8.encode(c3), self.refine_stride4.encode(c2)
        )
        return self.decode(memory_key, memory_value, frame)


def read_memory(
    memory_key: Tensor,
    memory_value: Tensor,
    query_key: Tensor,
    query_value: Tensor,
    max_affinities: int = 2**26,
) -> Tensor:
    """Read every object's memory at every cell of a frame (section 3.2, equation 4).

    Affinities are scaled by ``1 / sqrt(key channels)`` and normalised over the memory's cells.

    Args:
        memory_key: ``(O, K, T, h, w)``.
        memory_value: ``(O, V, T, h, w)``.
        query_key: ``(1, K, h, w)``.
        query_value: ``(1, V, h, w)``.
        max_affinities: How many affinities are held at once; the result is the same.

    Returns:
        ``(O, 2 V, h, w)``: what was read, then the query's value.
    """
    objects = len(memory_key)
    keys, values = (
        memory.flatten(2).transpose(1, 2)[:, None] for memory in (memory_key, memory_value)
    )
    queries = query_key.flatten(2).transpose(1, 2)[:, None].expand(objects, -1, -1, -1)
    cells = max(1, max_affinities // max(1, objects * keys.size(2)))
    read = torch.cat(
        [
            F.scaled_dot_product_attention(part, keys, values)
            for part in queries.split(cells, dim=2)
        ],
        dim=2,
    )
    read = read[:, 0].transpose(1, 2).unflatten(2, query_key.shape[-2:])
    return torch.cat([read, query_value.expand(objects, -1, -1, -1)], dim=1)


def soft_aggregate(probabilities: Tensor) -> Tensor:
    """Let the objects of a frame and the background compete (section 3.2, Soft-Agg).

    Args:
        probabilities: ``(O, 1, H, W)`` foreground probabilities of every object by itself.

    Returns:
        Log-odds ``(1, O + 1, H, W)``; the background, where no object is, comes first.
    """
    background = (1 - probabilities).prod(dim=0, keepdim=True)
    everything = torch.cat([background, probabilities]).transpose(0, 1)
    everything = everything.clamp(SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    return (everything / (1 - everything)).log()


def aggregated_masks(log_odds: Tensor) -> Tensor:
    """Return the soft masks ``(O, H, W)`` of log-odds ``(1, O + 1, H, W)``.

    In every pixel they and the background sum to 1.
    """
    return log_odds.softmax(dim=1)[0, 1:]


def _norm(config: dict | None, channels: int) -> nn.Module:
    return nn.Identity() if config is None else build_norm_layer(config, channels)[1]


def _upsample(x: Tensor, factor: int) -> Tensor:
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)
