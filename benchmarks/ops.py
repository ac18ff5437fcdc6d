#!/usr/bin/env python
# SPDX-License-Identifier: Apache-2.0
"""Measure the native operators against MMCV's and torchvision's own, in one run on one machine.

Read the ratios: absolute times depend on the machine and on what else runs on it. The rows of a
size are measured in turns, so that a slow moment hits all of them.

Example:
    python benchmarks/ops.py --device cpu --threads 1
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import torch
import torchvision
from rich.console import Console
from rich.table import Table
from torch import Tensor

from visbench.ops.extension import original_attention
from visbench.ops.ms_deform_attn import METHODS, ms_deform_attn

import mmcv.ops  # isort: skip  (after visbench.ops, which makes this import work)

LARGE = [(48, 80), (24, 40), (12, 20), (6, 10)]  # strides 8 to 64 of a 384x640 frame
SMALL = [(16, 24), (8, 12), (4, 6), (2, 3)]  # the same of a 128x192 frame
ATTENTION_SIZES = {
    "encoder, 384x640": (LARGE, 5100),
    "decoder, 384x640": (LARGE, 300),
    "encoder, 128x192": (SMALL, 510),
    "decoder, 128x192": (SMALL, 100),
}
HEADS, CHANNELS, POINTS = 8, 32, 4

Function = Callable[..., Tensor]
Times = dict[str, tuple[float, float]]


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description="Measure the native operators.")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, ... (default: cpu)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1)")
    parser.add_argument("--repeats", type=int, default=9, help="measurements (default: 9)")
    return parser.parse_args()


def measure(call: Callable[[], object], device: torch.device) -> float:
    """Return the seconds of one call, work on the accelerator included."""
    wait = {"cuda": torch.cuda.synchronize, "mps": torch.mps.synchronize}.get(device.type)
    if wait is not None:
        wait()
    start = time.perf_counter()
    call()
    if wait is not None:
        wait()
    return time.perf_counter() - start


def compare(functions: dict[str, Function], inputs: list[Tensor], repeats: int) -> Times:
    """Return the least seconds of inference and of forward plus backward for each function."""
    leaves = [t.clone().requires_grad_(t.is_floating_point()) for t in inputs]
    wanted = [t for t in leaves if t.requires_grad]

    def infer(function: Function) -> None:
        with torch.no_grad():
            function(*inputs)

    def train(function: Function) -> None:
        output = function(*leaves)
        torch.autograd.grad(output, wanted, torch.ones_like(output), allow_unused=True)

    seconds: dict[str, tuple[list[float], list[float]]] = {n: ([], []) for n in functions}
    for turn in range(repeats + 1):
        for name, function in functions.items():
            for part, mode in enumerate((infer, train)):
                taken = measure(partial(mode, function), inputs[0].device)
                if turn:  # the first turn warms caches
                    seconds[name][part].append(taken)
    return {n: (min(a), min(b)) for n, (a, b) in seconds.items()}


def attention_rows(device: torch.device, repeats: int) -> dict[str, Times]:
    """Measure MMCV's formulation of deformable attention and ours at each size."""
    rows = {}
    for size, (shapes, queries) in ATTENTION_SIZES.items():
        generator = torch.Generator().manual_seed(0)
        cells = sum(height * width for height, width in shapes)
        points = (1, queries, HEADS, len(shapes), POINTS)
        inputs = [
            torch.randn(1, cells, HEADS, CHANNELS, generator=generator),
            torch.rand(*points, 2, generator=generator) * 1.2 - 0.1,
            torch.rand(points, generator=generator) / (len(shapes) * POINTS),
        ]
        tensor = torch.tensor(shapes, device=device)
        original = original_attention()
        functions: dict[str, Function] = {
            "MMCV": lambda v, s, w, n=tensor, f=original: f(v, n, s, w)
        }
        for method in METHODS:
            functions[f"ours, {method}"] = lambda v, s, w, n=shapes, m=method: ms_deform_attn(
                v, n, s, w, method=m
            )
        rows[size] = compare(functions, [t.to(device) for t in inputs], repeats)
    return rows


def roi_align_rows(device: torch.device, repeats: int) -> dict[str, Times]:
    """Measure torchvision's RoIAlign called directly and as MMCV calls it."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(1, 256, 48, 80, generator=generator).to(device)
    corners = torch.rand(200, 2, generator=generator) * torch.tensor([500.0, 300.0])
    sizes = torch.rand(200, 2, generator=generator) * 140 + 8
    boxes = torch.cat([torch.zeros(200, 1), corners, corners + sizes], 1).to(device)
    functions: dict[str, Function] = {
        "torchvision, average": lambda x: torchvision.ops.roi_align(x, boxes, 7, 1 / 8, 2, True),
        "ours, average": lambda x: mmcv.ops.roi_align(x, boxes, 7, 1 / 8, 2),
        "ours, maximum": lambda x: mmcv.ops.roi_align(x, boxes, 7, 1 / 8, 2, "max"),
    }
    return {"200 boxes, 7x7, 256 channels": compare(functions, [features], repeats)}


def render(title: str, rows: dict[str, Times]) -> Table:
    """Return a table whose ratios are relative to the first row of each size."""
    table = Table(title=title)
    table.add_column("size")
    table.add_column("formulation")
    for name in ("inference ms", "speed-up", "training ms", "speed-up"):
        table.add_column(name, justify="right")
    for size, times in rows.items():
        base = next(iter(times.values()))
        for place, (name, taken) in enumerate(times.items()):
            cells = [
                text
                for part in (0, 1)
                for text in (f"{1e3 * taken[part]:.2f}", f"{base[part] / taken[part]:.2f}x")
            ]
            last = place == len(times) - 1
            table.add_row(size if not place else "", name, *cells, end_section=last)
    return table


def main() -> None:
    """Measure and print."""
    args = parse_args()
    torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    where = f"{device}, {args.threads} thread(s), torch {torch.__version__}"
    console = Console()
    attention = attention_rows(device, args.repeats)
    console.print(render(f"Multi-scale deformable attention ({where})", attention))
    console.print(render(f"RoIAlign ({where})", roi_align_rows(device, args.repeats)))


if __name__ == "__main__":
    main()
