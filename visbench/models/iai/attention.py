# SPDX-License-Identifier: Apache-2.0
"""Attention on the tokens of a frame: to itself, to the global and to the local memory."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LARGEST_PRODUCT = 2**20
"""Local attention takes so many rows of a map at once that a matrix of products has about as many
numbers at most."""


class GlobalAttention(nn.Module):
    """Multi-head attention without own maps of query, key and value.

    Args:
        channels: Length of a token.
        num_heads: Number of heads.

    Raises:
        ValueError: If the heads don't divide the channels.
    """

    def __init__(self, channels: int = 256, num_heads: int = 2) -> None:
        super().__init__()
        if channels % num_heads:
            raise ValueError(f"channels={channels} are not divisible by num_heads={num_heads}")
        self.num_heads = num_heads
        self.projection = nn.Linear(channels, channels)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attend.

        Args:
            query: ``(B, L, C)``.
            key: ``(B, M, C)``.
            value: ``(B, M, C)``.

        Returns:
            ``(B, L, C)``.
        """
        heads = [
            tokens.unflatten(2, (self.num_heads, -1)).transpose(1, 2)
            for tokens in (query, key, value)
        ]
        read = F.scaled_dot_product_attention(*heads)
        projected: Tensor = self.projection(read.transpose(1, 2).flatten(2))
        return projected


class SelfAttention(GlobalAttention):
    """Multi-head attention with maps of query, key and value.

    Args:
        channels: Length of a token.
        num_heads: Number of heads.
    """

    def __init__(self, channels: int = 256, num_heads: int = 4) -> None:
        super().__init__(channels, num_heads)
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels)
        self.value = nn.Linear(channels, channels)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Map the tokens and attend; see :meth:`GlobalAttention.forward`."""
        return super().forward(self.query(query), self.key(key), self.value(value))


class LocalAttention(nn.Module):
    """Attention to the window around the same place (fact sheet, section 4.3).

    The logit of a place in the window is the scaled product of query and key plus a relative
    embedding, a linear function of the unscaled query; what is read is the weighted sum of values
    and of one learned vector per place. Places outside the map get no weight.

    Every row of queries meets the rows of keys in reach in one matrix product, whose diagonal
    band is the window. So neither a matrix over all pairs of tokens nor windows unfolded around
    every token come into being: on a map of width w, the memory of a row is that of
    ``window * (w + window)`` products per query and of its ``window`` rows of keys.

    Args:
        channels: Length of a token.
        num_heads: Number of heads.
        window: Side of the window in tokens; odd.

    Raises:
        ValueError: If the heads don't divide the channels or the window is even.
    """

    def __init__(self, channels: int = 256, num_heads: int = 2, window: int = 15) -> None:
        super().__init__()
        if channels % num_heads:
            raise ValueError(f"channels={channels} are not divisible by num_heads={num_heads}")
        if window < 1 or window % 2 == 0:
            raise ValueError(f"window={window} of the local attention must be odd and positive")
        self.num_heads = num_heads
        self.window = window
        places = window * window
        self.relative_embedding = nn.Conv2d(channels, num_heads * places, 1, groups=num_heads)
        self.value_bias = nn.Parameter(torch.zeros(1, num_heads, channels // num_heads, places, 1))
        self.projection = nn.Linear(channels, channels)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, size: tuple[int, int]) -> Tensor:
        """Attend.

        Args:
            query: ``(B, L, C)`` tokens of a map, row by row.
            key: ``(B, L, C)``.
            value: ``(B, L, C)``.
            size: ``(height, width)`` of the map, in tokens.

        Returns:
            ``(B, L, C)``.
        """
        queries, keys, values = (self._maps(tokens, size) for tokens in (query, key, value))
        relative = self._relative(query, size)
        keys, values = self._pad(keys), self._pad(values)
        read = [
            self._read(self._weights(queries, keys, relative, rows), values, rows)
            for rows in self._row_ranges(size)
        ]
        heads = torch.cat(read, dim=2).flatten(2, 3)
        projected: Tensor = self.projection(heads.transpose(1, 2).flatten(2))
        return projected

    def weights(self, query: Tensor, key: Tensor, size: tuple[int, int]) -> Tensor:
        """Return the weights of the window.

        Args:
            query: ``(B, L, C)``.
            key: ``(B, L, C)``.
            size: ``(height, width)`` of the map, in tokens.

        Returns:
            ``(B, num_heads, L, window * window)``, places row by row; they sum to 1.
        """
        queries, keys = self._maps(query, size), self._pad(self._maps(key, size))
        relative = self._relative(query, size)
        rows = [
            self._weights(queries, keys, relative, rows).flatten(4)
            for rows in self._row_ranges(size)
        ]
        return torch.cat(rows, dim=2).flatten(2, 3)

    def _row_ranges(self, size: tuple[int, int]) -> list[range]:
        height, width = size
        step = max(1, LARGEST_PRODUCT // (width * self.window * (width + self.window - 1)))
        return [range(row, min(row + step, height)) for row in range(0, height, step)]

    def _maps(self, tokens: Tensor, size: tuple[int, int]) -> Tensor:
        """Split ``(B, L, C)`` into heads: ``(B, heads, h, w, C / heads)``."""
        heads = tokens.unflatten(2, (self.num_heads, -1)).transpose(1, 2)
        return heads.unflatten(2, size)

    def _pad(self, maps: Tensor) -> Tensor:
        reach = self.window // 2
        return F.pad(maps, (0, 0, reach, reach, reach, reach))

    def _relative(self, query: Tensor, size: tuple[int, int]) -> Tensor:
        """Return the relative embedding ``(B, heads, h, w, places)``."""
        embedded = self.relative_embedding(query.transpose(1, 2).unflatten(2, size))
        return embedded.unflatten(1, (self.num_heads, -1)).movedim(2, -1)

    def _in_reach(self, padded: Tensor, rows: range) -> Tensor:
        """Return for each row all rows in reach: ``(B, heads, r, window * padded width, c)``."""
        reached = padded[:, :, rows.start : rows.stop + self.window - 1]
        return reached.unfold(2, self.window, 1).movedim(-1, 3).flatten(3, 4)

    def _weights(self, queries: Tensor, keys: Tensor, relative: Tensor, rows: range) -> Tensor:
        """Return the weights ``(B, heads, r, w, window, window)`` of a range of rows."""
        part = slice(rows.start, rows.stop)
        query = queries[:, :, part] * queries.size(-1) ** -0.5
        products = query @ self._in_reach(keys, rows).transpose(-1, -2)
        band = _to_left(products).unflatten(-1, (self.window, -1))[..., : self.window]
        logits = band + relative[:, :, part].unflatten(-1, (self.window, self.window))
        height, width = queries.shape[2:4]
        outside = self._outside(height, queries.device)[part, None, :, None]
        outside = outside | self._outside(width, queries.device)[:, None, :]
        logits = logits.masked_fill(outside, float("-inf"))
        return logits.flatten(-2).softmax(dim=-1).unflatten(-1, (self.window, self.window))

    def _outside(self, length: int, device: torch.device) -> Tensor:
        """Return ``(length, window)``: whether a place of the window is off one axis."""
        offsets = torch.arange(self.window, device=device) - self.window // 2
        places = torch.arange(length, device=device)[:, None] + offsets
        return (places < 0) | (places >= length)

    def _read(self, weights: Tensor, values: Tensor, rows: range) -> Tensor:
        """Return what is read with the weights of a range of rows: ``(B, heads, r, w, c)``."""
        missing = values.size(3) - self.window
        band = _to_right(F.pad(weights, (0, missing)).flatten(-2))
        read = band @ self._in_reach(values, rows)
        bias = self.value_bias.squeeze(-1).transpose(-1, -2)[:, :, None]
        return read + weights.flatten(-2) @ bias


def _to_left(rows: Tensor) -> Tensor:
    """Move row i of ``(..., n, m)`` by i to the left; what comes in has no meaning."""
    number, length = rows.shape[-2:]
    return F.pad(rows.flatten(-2), (0, number)).unflatten(-1, (number, length + 1))[..., :length]


def _to_right(rows: Tensor) -> Tensor:
    """Move row i of ``(..., n, m)`` by i to the right; the last i values must be zero."""
    number, length = rows.shape[-2:]
    return F.pad(rows, (0, 1)).flatten(-2)[..., : number * length].unflatten(-1, (number, length))
