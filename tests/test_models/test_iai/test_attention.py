# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from visbench.models.iai import attention as module
from visbench.models.iai.attention import GlobalAttention, LocalAttention, SelfAttention


def local_attention(channels: int = 8, heads: int = 2, window: int = 5) -> LocalAttention:
    attention = LocalAttention(channels, heads, window)
    torch.nn.init.normal_(attention.value_bias)
    return attention


def naive(attention: LocalAttention, tokens: list[Tensor], size: tuple[int, int]) -> Tensor:
    """Visit every token and every place of its window."""
    query, key, value = (x.unflatten(1, size) for x in tokens)
    height, width = size
    heads, reach = attention.num_heads, attention.window // 2
    relative = attention.relative_embedding(query.movedim(-1, 1))
    rows = []
    for y in range(height):
        for x in range(width):
            parts = []
            for head, channels in enumerate(torch.arange(query.size(-1)).chunk(heads)):
                logits, values = [], []
                for place in range(attention.window**2):
                    dy, dx = place // attention.window - reach, place % attention.window - reach
                    if 0 <= y + dy < height and 0 <= x + dx < width:
                        product = (query[:, y, x, channels] * key[:, y + dy, x + dx, channels]).sum(
                            -1
                        )
                        bias = relative[:, head * attention.window**2 + place, y, x]
                        logits.append(product / len(channels) ** 0.5 + bias)
                        values.append(
                            value[:, y + dy, x + dx, channels]
                            + attention.value_bias[:, head, :, place, 0]
                        )
                weights = torch.stack(logits, dim=-1).softmax(dim=-1)
                parts.append((weights[..., None] * torch.stack(values, dim=1)).sum(1))
            rows.append(torch.cat(parts, dim=-1))
    return attention.projection(torch.stack(rows, dim=1))


def tokens_of(size: tuple[int, int], channels: int, seed: int, batch: int = 2) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, size[0] * size[1], channels)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(3)]


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.sampled_from([1, 3, 5, 7]), st.integers(0, 99))
def test_local_attention_is_that_of_every_window(
    height: int, width: int, window: int, seed: int
) -> None:
    attention = local_attention(4, 2, window).double()
    tokens = tokens_of((height, width), 4, seed)
    ours = attention(*tokens, (height, width))
    torch.testing.assert_close(ours, naive(attention, tokens, (height, width)))


@pytest.mark.parametrize("largest", [1, 300, 2**20])
def test_rows_taken_at_once_change_nothing(largest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    attention, size = local_attention().double(), (7, 4)
    tokens = [x.requires_grad_() for x in tokens_of(size, 8, 0)]
    expected = torch.autograd.grad(naive(attention, tokens, size).square().sum(), tokens)
    monkeypatch.setattr(module, "LARGEST_PRODUCT", largest)
    found = torch.autograd.grad(attention(*tokens, size).square().sum(), tokens)
    torch.testing.assert_close(found, expected)


def test_weights_sum_to_one_inside_the_map() -> None:
    attention, size = local_attention(), (3, 4)
    query, key, _ = (x.float() for x in tokens_of(size, 8, 0))
    weights = attention.weights(query, key, size)
    assert weights.shape == (2, 2, 12, 25)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 2, 12))
    first = weights[:, :, 0].unflatten(-1, (5, 5))
    assert first[..., :2, :].abs().max() == 0
    assert first[..., :2].abs().max() == 0


def test_no_tensor_grows_with_the_square_of_the_map() -> None:
    attention, size = local_attention(), (64, 8)
    number = size[0] * size[1]
    sizes: list[int] = []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            result = func(*args, **(kwargs or {}))
            sizes.extend(x.numel() for x in (result,) if isinstance(x, Tensor))
            return result

    with torch.no_grad(), Watch():
        attention(*(x.float() for x in tokens_of(size, 8, 0, batch=1)), size)
    assert sizes
    assert max(sizes) < number * number / 2


def test_global_attention_reads_any_number_of_tokens() -> None:
    torch.manual_seed(0)
    attention = GlobalAttention(8, 2)
    query, key, value = torch.randn(2, 5, 8), torch.randn(2, 11, 8), torch.randn(2, 11, 8)
    q, k, v = (x.unflatten(2, (2, 4)) for x in (query, key, value))
    weights = (torch.einsum("blhc,bmhc->bhlm", q, k) / 2).softmax(-1)
    expected = attention.projection(torch.einsum("bhlm,bmhc->blhc", weights, v).flatten(2))
    torch.testing.assert_close(attention(query, key, value), expected)


def test_self_attention_maps_its_tokens() -> None:
    torch.manual_seed(0)
    attention = SelfAttention(8, 2)
    query, key, value = torch.randn(3, 1, 5, 8)
    expected = GlobalAttention.forward(
        attention, attention.query(query), attention.key(key), attention.value(value)
    )
    torch.testing.assert_close(attention(query, key, value), expected)


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="channels=9 are not divisible by num_heads=2"):
        GlobalAttention(9, 2)
    with pytest.raises(ValueError, match="channels=9 are not divisible by num_heads=2"):
        LocalAttention(9, 2)
    with pytest.raises(ValueError, match="window=4 of the local attention must be odd"):
        LocalAttention(8, 2, 4)
