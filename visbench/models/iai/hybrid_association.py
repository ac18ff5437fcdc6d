# SPDX-License-Identifier: Apache-2.0
"""The hybrid association block: one layer of a transformer that reads both memories."""

from __future__ import annotations

from typing import NamedTuple

import torch
from mmdet.models.layers import SinePositionalEncoding
from torch import Tensor, nn

from visbench.models.iai.attention import GlobalAttention, LocalAttention, SelfAttention
from visbench.models.iai.memory import AssociationMemory


class FrameTokens(NamedTuple):
    """What is kept of a frame until its objects are known and it can be remembered.

    Attributes:
        key: ``(B, L, C)`` keys, which are the queries of the frame too.
        content: ``(B, L, C)`` tokens before they become values.
    """

    key: Tensor
    content: Tensor


class TokenDropPath(nn.Module):
    """Drop the update of whole tokens while training, the same ones in all samples of the batch.

    Args:
        probability: With which a token is dropped; the others are scaled up.

    Raises:
        ValueError: If the probability is not from 0 to below 1.
    """

    def __init__(self, probability: float = 0.1) -> None:
        super().__init__()
        if not 0 <= probability < 1:
            raise ValueError(f"drop_path={probability} must be from 0 to below 1")
        self.probability = probability

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens ``(B, L, C)``, some of them 0."""
        if not self.training or self.probability == 0:
            return tokens
        keep = 1 - self.probability
        mask = torch.rand(1, tokens.size(1), 1, device=tokens.device, dtype=tokens.dtype) < keep
        return tokens * mask / keep


class ChannelGate(nn.Module):
    """Gated channel transformation with the L2 norm (Yang et al., CVPR 2020).

    Args:
        channels: Number of channels.
        epsilon: Added to sums of squares.
    """

    def __init__(self, channels: int, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.alpha = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.gamma = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.beta = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps ``(B, C, h, w)``, each channel scaled by 0 to 2."""
        size = self.alpha * (maps.square().sum(dim=(2, 3), keepdim=True) + self.epsilon).sqrt()
        norm = (size.square().mean(dim=1, keepdim=True) + self.epsilon).sqrt()
        return maps * (1 + torch.tanh(size * self.gamma / norm + self.beta))


class ConvActivation(nn.Module):
    """Group normalisation, GELU, channel gate and depthwise convolution.

    Args:
        channels: Number of channels.
        num_groups: Groups of the normalisation.
    """

    def __init__(self, channels: int = 1024, num_groups: int = 32) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(num_groups, channels)
        self.gelu = nn.GELU()
        self.gate = ChannelGate(channels)
        self.conv = nn.Conv2d(channels, channels, 5, padding=2, groups=channels, bias=False)

    def forward(self, tokens: Tensor, size: tuple[int, int]) -> Tensor:
        """Apply to tokens ``(B, L, C)`` of a map of the given height and width."""
        maps = tokens.transpose(1, 2).unflatten(2, size)
        maps = self.conv(self.gate(self.gelu(self.norm(maps))))
        return maps.flatten(2).transpose(1, 2)


class FeedForward(nn.Module):
    """Two linear layers with a :class:`ConvActivation` between them.

    Args:
        channels: Length of a token.
        hidden_channels: Width of the hidden layer.
        num_groups: Groups of its normalisation.
    """

    def __init__(
        self, channels: int = 256, hidden_channels: int = 1024, num_groups: int = 32
    ) -> None:
        super().__init__()
        self.expansion = nn.Linear(channels, hidden_channels)
        self.activation = ConvActivation(hidden_channels, num_groups)
        self.projection = nn.Linear(hidden_channels, channels)

    def forward(self, tokens: Tensor, size: tuple[int, int]) -> Tensor:
        """Apply to tokens ``(B, L, C)`` of a map of the given height and width."""
        projected: Tensor = self.projection(self.activation(self.expansion(tokens), size))
        return projected


class HybridAssociationBlock(nn.Module):
    """Self-attention, then attention to global and local memory, then a feed-forward network.

    All parts get normalised tokens and add to what came in. Queries and keys of the memories are
    one linear map of the tokens; values are one of tokens plus id embedding. In the first frame
    the frame reads itself (fact sheet, section 4.3; the paper's section is not at hand).

    Args:
        channels: Length of a token.
        self_heads: Heads of the self-attention.
        memory_heads: Heads of the attention to the memories.
        window: Side of the local window in tokens; odd.
        hidden_channels: Width of the feed-forward network.
        num_groups: Groups of its normalisation.
        drop_path: Probability of dropping the update of a token; the global memory's stays.
        local_memory: Whether the local memory is read (Table 5).
        global_memory: Whether the global memory is read (Table 5).

    Raises:
        ValueError: If neither memory is read.
    """

    def __init__(
        self,
        channels: int = 256,
        self_heads: int = 4,
        memory_heads: int = 2,
        window: int = 15,
        hidden_channels: int = 1024,
        num_groups: int = 32,
        drop_path: float = 0.1,
        local_memory: bool = True,
        global_memory: bool = True,
    ) -> None:
        super().__init__()
        if not (local_memory or global_memory):
            raise ValueError(
                "the association block reads neither local_memory nor global_memory; set one, or "
                "association=None in the model for one without association"
            )
        self.self_norm = nn.LayerNorm(channels)
        self.self_attention = SelfAttention(channels, self_heads)
        self.memory_norm = nn.LayerNorm(channels)
        self.query = nn.Linear(channels, channels)
        self.value = nn.Linear(channels, channels)
        self.global_attention = GlobalAttention(channels, memory_heads) if global_memory else None
        self.local_attention = (
            LocalAttention(channels, memory_heads, window) if local_memory else None
        )
        self.feed_forward_norm = nn.LayerNorm(channels)
        self.feed_forward = FeedForward(channels, hidden_channels, num_groups)
        self.output_norm = nn.LayerNorm(channels)
        self.drop_path = TokenDropPath(drop_path)

    def forward(
        self,
        tokens: Tensor,
        position: Tensor,
        size: tuple[int, int],
        memory: AssociationMemory,
        blank: Tensor,
    ) -> tuple[Tensor, FrameTokens]:
        """Associate a frame with the frames remembered.

        Args:
            tokens: ``(B, L, C)`` of the frame, row by row.
            position: ``(1, L, C)`` position embedding.
            size: ``(height, width)`` of the map, in tokens.
            memory: What is read; empty in the first frame.
            blank: ``(1, L or 1, C)`` id embedding of a frame without ids.

        Returns:
            Normalised tokens ``(B, L, C)`` for the detector, and what the frame is remembered by.
        """
        normed = self.self_norm(tokens)
        placed = normed + position
        tokens = tokens + self.drop_path(self.self_attention(placed, placed, normed))
        content = self.memory_norm(tokens)
        frame = FrameTokens(self.query(content), content)
        tokens = self._read(tokens, frame, size, memory, blank)
        update = self.feed_forward(self.feed_forward_norm(tokens), size)
        tokens = tokens + self.drop_path(update)
        return self.output_norm(tokens), frame

    def values(self, content: Tensor, embedding: Tensor) -> Tensor:
        """Return the values ``(B, L, C)`` of tokens with an id embedding."""
        values: Tensor = self.value(content + embedding)
        return values

    def _read(
        self,
        tokens: Tensor,
        frame: FrameTokens,
        size: tuple[int, int],
        memory: AssociationMemory,
        blank: Tensor,
    ) -> Tensor:
        if memory.empty:
            memory = AssociationMemory()
            memory.write(frame.key, self.values(frame.content, blank))
        if self.global_attention is not None:
            read = self.global_attention(frame.key, memory.global_key, memory.global_value)
            tokens = tokens + read
        if self.local_attention is not None:
            local = self.local_attention(frame.key, memory.local_key, memory.local_value, size)
            tokens = tokens + self.drop_path(local)
        return tokens


class TokenPosition(nn.Module):
    """Sine embedding of the place in the map, which reaches from 0 to 2 pi along each axis.

    Args:
        channels: Length of a token; the first half says the row, the second the column.

    Raises:
        ValueError: If the channels are not divisible by 4.
    """

    def __init__(self, channels: int = 256) -> None:
        super().__init__()
        if channels % 4:
            raise ValueError(f"channels={channels} of the association are not divisible by 4")
        # MMDetection counts from 1 and divides by the last number; from 0, the last is one less.
        self.encoding = SinePositionalEncoding(
            channels // 2, normalize=True, offset=-1.0, eps=1e-6 - 1.0
        )

    def forward(self, size: tuple[int, int], device: torch.device) -> Tensor:
        """Return ``(1, channels, *size)``."""
        inside = torch.zeros((1, *size), dtype=torch.bool, device=device)
        embedding: Tensor = self.encoding(inside)
        return embedding
