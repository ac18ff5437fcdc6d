#!/usr/bin/env python
# SPDX-License-Identifier: Apache-2.0
"""Measure IDOL's network per frame against the same model with MMCV's own deformable attention.

Read the ratios: the variants are measured in turns in one process, so a slow moment hits all of
them. The model is IDOL with ResNet-50 and random weights; a frame is what the test pipeline and the
preprocessor make of one of the given size. The baseline is eager fp32 and differs from the first
variant in nothing but the function that samples and sums.

Example:
    python benchmarks/idol_speed.py --threads 1 --variants eager compile bf16
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from rich.console import Console
from rich.table import Table
from torch import Tensor

from visbench.models.idol import IDOL, transformer
from visbench.ops.extension import original_attention
from visbench.registry import MODELS

CONFIG = Path(__file__).parents[1] / "configs/_base_/models/idol_r50.py"
VARIANTS = ("eager", "compile", "bf16", "compile-bf16")

Run = Callable[[], object]


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description="Measure IDOL per frame.")
    parser.add_argument("--height", type=int, default=360, help="of the frame (default: 360)")
    parser.add_argument("--width", type=int, default=640, help="of the frame (default: 640)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1)")
    parser.add_argument("--repeats", type=int, default=5, help="measurements (default: 5)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, ... (default: cpu)")
    parser.add_argument(
        "--variants", nargs="+", choices=VARIANTS, default=["eager"], help="(default: eager)"
    )
    return parser.parse_args()


def build(device: str) -> IDOL:
    """Return IDOL with ResNet-50 and random weights."""
    config = Config.fromfile(CONFIG).model
    config.backbone.init_cfg = None
    torch.manual_seed(0)
    model: IDOL = MODELS.build(config)
    model.init_weights()
    return model.to(device).eval()


@contextmanager
def mmcv_attention() -> Iterator[None]:
    """Put MMCV's own formulation in place of ours in IDOL's attention, and nothing else."""
    original, ours = original_attention(), transformer.ms_deform_attn

    def sample(value: Tensor, shapes: Any, locations: Tensor, weights: Tensor) -> Tensor:
        return original(value, torch.tensor(shapes, device=value.device), locations, weights)

    transformer.ms_deform_attn = sample
    try:
        yield
    finally:
        transformer.ms_deform_attn = ours


def runs_of(model: IDOL, image: Tensor, size: tuple[int, int], variants: list[str]) -> dict:
    """Return what is measured, by name; the baseline first."""
    compiled = torch.compile(model.predict_frames)

    def run(name: str) -> Run:
        predict = compiled if "compile" in name else model.predict_frames
        half = torch.autocast(image.device.type, torch.bfloat16)

        def call() -> object:
            with torch.inference_mode(), half if "bf16" in name else nullcontext():
                return predict(image, [size])

        return call

    def baseline() -> object:
        with mmcv_attention():
            return run("eager")()

    return {"MMCV's attention": baseline, **{name: run(name) for name in variants}}


def measure(runs: dict[str, Run], repeats: int, device: str) -> dict[str, list[float]]:
    """Return the seconds of each run in every turn; a first turn warms up and compiles."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(repeats + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if device.startswith("cuda"):
                torch.cuda.synchronize()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def main() -> None:
    """Print milliseconds per frame and ratios to the baseline."""
    args = parse_args()
    torch.set_num_threads(args.threads)
    model, size = build(args.device), (args.height, args.width)
    image = torch.randint(0, 256, (3, *size), generator=torch.Generator().manual_seed(0))
    data = model.data_preprocessor({"inputs": [[image.to(torch.uint8)]]})
    runs = runs_of(model, data["inputs"][:, 0], size, args.variants)
    seconds = measure(runs, args.repeats, args.device)
    base = next(iter(seconds.values()))
    table = Table("variant", "ms, least", "ms, median", "ratio of least", "median of ratios")
    for name, taken in seconds.items():
        ratios = [ours / theirs for ours, theirs in zip(taken, base, strict=True)]
        table.add_row(
            name,
            f"{1000 * min(taken):.0f}",
            f"{1000 * statistics.median(taken):.0f}",
            f"{min(taken) / min(base):.3f}",
            f"{statistics.median(ratios):.3f}",
        )
    title = f"IDOL R50, {args.height}x{args.width}, {args.device}, {args.threads} threads"
    Console().print(title, table)


if __name__ == "__main__":
    main()
