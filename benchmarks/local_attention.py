#!/usr/bin/env python
# SPDX-License-Identifier: Apache-2.0
"""Measure IAI's local attention against one that unfolds a window around every token.

Both are measured in turns, so that a slow moment hits both: the time of a forward and backward
pass, and the memory of the largest tensors that either makes (counted, not sampled, so that the
figures don't depend on the allocator). The outputs are compared first.

Example:
    python benchmarks/local_attention.py
    python benchmarks/local_attention.py --sizes 12 20 24 40 --runs 20
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from visbench.benchmark.machine import machine
from visbench.models.iai.attention import LocalAttention

Attend = Callable[[Tensor, Tensor, Tensor, tuple[int, int]], Tensor]


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description="Measure IAI's local attention.")
    parser.add_argument(
        "--sizes",
        type=int,
        nargs="+",
        default=(8, 12, 12, 20, 24, 40),
        help="heights and widths of maps in tokens, in pairs",
    )
    parser.add_argument("--channels", type=int, default=256)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--runs", type=int, default=9, help="of each (default: 9)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, ... (default: cpu)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1)")
    args = parser.parse_args()
    if len(args.sizes) % 2:
        parser.error(f"--sizes {args.sizes}: give a height and a width for every map")
    return args


def unfolding(attention: LocalAttention) -> Attend:
    """Return the same attention, which unfolds keys and values around every token."""

    def windows(tokens: Tensor, size: tuple[int, int]) -> Tensor:
        maps = tokens.transpose(1, 2).unflatten(2, size)
        unfolded = F.unfold(maps, attention.window, padding=attention.window // 2)
        places = attention.window**2
        return unfolded.unflatten(1, (attention.num_heads, -1, places)).permute(0, 1, 4, 3, 2)

    def attend(query: Tensor, key: Tensor, value: Tensor, size: tuple[int, int]) -> Tensor:
        heads = query.unflatten(2, (attention.num_heads, -1)).transpose(1, 2)
        products = (windows(key, size) @ heads[..., None])[..., 0] * heads.size(-1) ** -0.5
        relative = attention.relative_embedding(query.transpose(1, 2).unflatten(2, size))
        relative = relative.flatten(2).unflatten(1, (attention.num_heads, -1)).transpose(2, 3)
        inside = windows(torch.ones_like(query), size)[..., 0] > 0
        weights = (products + relative).masked_fill(~inside, float("-inf")).softmax(dim=-1)
        bias = attention.value_bias[..., 0].transpose(-1, -2)[:, :, None]
        read = (weights[..., None, :] @ (windows(value, size) + bias))[..., 0, :]
        projected: Tensor = attention.projection(read.transpose(1, 2).flatten(2))
        return projected

    return attend


class Allocations(TorchDispatchMode):
    """Counts the bytes of new tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0
        self.largest = 0
        self.seen: set[int] = set()
        self.kept: list[Any] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operator and count its outputs that share no memory with earlier tensors."""
        outputs = func(*args, **(kwargs or {}))
        for value in outputs if isinstance(outputs, (tuple, list)) else (outputs,):
            if isinstance(value, Tensor):
                storage = value.untyped_storage()
                if storage.data_ptr() not in self.seen:
                    self.seen.add(storage.data_ptr())
                    self.kept.append(storage)  # or another tensor could take its address
                    self.total += storage.nbytes()
                    self.largest = max(self.largest, storage.nbytes())
        return outputs


def inputs_of(args: argparse.Namespace, size: tuple[int, int]) -> list[Tensor]:
    """Return seeded query, key and value."""
    generator = torch.Generator().manual_seed(0)
    shape = (args.batch, size[0] * size[1], args.channels)
    return [
        torch.randn(shape, generator=generator).to(args.device).requires_grad_() for _ in range(3)
    ]


def seconds(attend: Attend, tokens: list[Tensor], size: tuple[int, int]) -> float:
    """Return the time of one forward and backward pass."""
    begin = time.perf_counter()
    loss = attend(*tokens, size).square().mean()
    loss.backward()
    loss.item()
    tokens[0].grad.sum().item()  # type: ignore[union-attr]  # an accelerator has finished
    return time.perf_counter() - begin


def measure(
    attention: LocalAttention, args: argparse.Namespace, size: tuple[int, int]
) -> list[dict[str, float]]:
    """Return the figures of the library's and of the unfolding attention on one map.

    Raises:
        AssertionError: If the two differ.
    """
    ways = [attention, unfolding(attention)]
    tokens = inputs_of(args, size)
    torch.testing.assert_close(ways[0](*tokens, size), ways[1](*tokens, size))
    taken: list[list[float]] = [[], []]
    for run in range(args.runs + 1):
        for which in (0, 1) if run % 2 else (1, 0):
            taken[which].append(seconds(ways[which], tokens, size))
    figures = []
    for way, times in zip(ways, taken, strict=True):
        with torch.no_grad(), Allocations() as made:
            way(*tokens, size)
        figures.append(
            {
                "time": 1e3 * median(times[1:]),
                "total": made.total / 2**20,
                "largest": made.largest / 2**20,
            }
        )
    return figures


def main() -> None:
    """Measure and print."""
    args = parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    attention = LocalAttention(args.channels).to(args.device)
    torch.nn.init.normal_(attention.value_bias)
    table = Table(title=f"Local attention, window {attention.window}, {args.channels} channels")
    for name in ("map", "", "forward + backward, ms", "all tensors, MiB", "largest, MiB"):
        table.add_column(name, justify="right")
    for size in zip(args.sizes[::2], args.sizes[1::2], strict=True):
        figures = measure(attention, args, size)
        for name, row in zip(("library", "unfolded"), figures, strict=True):
            numbers = [f"{row[key]:.1f}" for key in ("time", "total", "largest")]
            table.add_row(f"{size[0]}x{size[1]}", name, *numbers)
        ours, theirs = figures
        ratios = [f"{theirs[key] / ours[key]:.1f}" for key in ("time", "total", "largest")]
        table.add_row("", "unfolded / library", *ratios, end_section=True)
    console = Console(width=120)
    console.print(machine())
    console.print(f"{args.device}, {args.threads} thread(s), torch {torch.__version__}")
    console.print(table)


if __name__ == "__main__":
    main()
