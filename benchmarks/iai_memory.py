#!/usr/bin/env python
# SPDX-License-Identifier: Apache-2.0
"""Measure what IAI's global memory costs over long videos, without and with a bound.

Each policy steps through one video in a process of its own; after 50, 200 and 500 frames it notes
the frames in the global memory, the bytes of the state without what was emitted, the peak memory
of the process (on an accelerator also that of the tensors there) and the time of a step.

Weights are random unless a checkpoint is given, frames those of MovingShapes' ``long`` preset at
the size asked for. Random weights find new objects in the first frames only, so that the memory
grows by every third frame; a trained model adds frames with new objects. Read the growth: absolute
figures depend on the machine.

Example:
    python benchmarks/iai_memory.py
    python benchmarks/iai_memory.py --checkpoint work_dirs/iai/iter_1000.pth --bound 10
    python benchmarks/iai_memory.py --config configs/iai/iai_r50_4xb4-12e_youtubevis2019.py \
        --size 360 640 --device cuda
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import cv2
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.runner import load_checkpoint
from rich.console import Console
from rich.table import Table

from visbench.benchmark.machine import machine, peak_memory_mb
from visbench.datasets.moving_shapes import Scene, render_frame
from visbench.models import IAI
from visbench.registry import MODELS
from visbench.structures import Frame, VideoInfo

DEMO = Path(__file__).parents[1] / "configs" / "iai" / "iai_demo_movingshapes.py"
LONGEST = 500  # frames of a video of the preset
WINDOW = 10  # steps before a mark whose median time is taken


class Sample(NamedTuple):
    """What there is after so many frames.

    Attributes:
        frames: Number of frames seen.
        remembered: Frames in the global memory.
        state: Bytes of the state, the recorder aside.
        process: Peak memory of the process in MiB.
        device: Peak memory of tensors on an accelerator in MiB, 0 on the CPU.
        step: Milliseconds of a step.
    """

    frames: int
    remembered: int
    state: int
    process: float
    device: float
    step: float


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description="Measure IAI's memory over long videos.")
    parser.add_argument("--config", default=str(DEMO), help="an IAI (default: its demo)")
    parser.add_argument("--checkpoint", help="its trained weights (default: random ones)")
    parser.add_argument("--size", type=int, nargs=2, default=(128, 192), metavar=("H", "W"))
    parser.add_argument("--marks", type=int, nargs="+", default=(50, 200, LONGEST))
    parser.add_argument("--bound", type=int, default=10, help="max_global_frames (default: 10)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, ... (default: cpu)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1)")
    args = parser.parse_args()
    if not 1 <= min(args.marks) <= max(args.marks) <= LONGEST:
        parser.error(f"--marks {args.marks}: frames of a video, 1 to {LONGEST}")
    return args


def build(args: argparse.Namespace, max_global_frames: int | None) -> IAI:
    """Return the model with trained or seeded random weights; nothing is downloaded."""
    MMLogger.get_current_instance().setLevel("WARNING")  # or every initialised weight is listed
    torch.manual_seed(0)
    config = Config.fromfile(args.config).model
    if config.association is None:
        raise ValueError(f"{args.config}: model.association is None, so that nothing is remembered")
    config.backbone.init_cfg = None
    config.association.max_global_frames = max_global_frames
    model: IAI = MODELS.build(config)
    model.init_weights()
    if args.checkpoint:
        load_checkpoint(model, args.checkpoint, map_location="cpu")
    else:
        # Untrained probabilities are below any threshold.
        model.segmenter.test_cfg.update(cls_score_thr=0.0, id_score_thr=0.0)
    return model.eval().to(args.device)


def watch(args: argparse.Namespace, max_global_frames: int | None) -> list[Sample]:
    """Step through a video and return what there is at every mark."""
    torch.set_num_threads(args.threads)
    model = build(args, max_global_frames)
    scene = Scene.sample("long", "val", 0)
    height, width = size = tuple(args.size)
    state = model.start(VideoInfo(0, "long", height, width))
    samples, taken = [], []
    for index in range(max(args.marks)):
        image = cv2.resize(render_frame(scene, index)[0], (width, height))
        tensor = torch.from_numpy(image).permute(2, 0, 1).contiguous()
        frame = model.prepare(Frame(index, tensor, size, size))
        begin = time.perf_counter()
        model.step(frame, state)  # ends with masks in memory, so an accelerator has finished
        taken.append(1e3 * (time.perf_counter() - begin))
        if index + 1 in args.marks:
            held = state.memory.num_global, state.num_bytes()
            device = torch.cuda.max_memory_allocated() / 2**20 if frame.image.is_cuda else 0.0
            step = median(taken[-WINDOW:])
            samples.append(Sample(index + 1, *held, peak_memory_mb(), device, step))
    return samples


def table_of(series: dict[str, list[Sample]], title: str) -> Table:
    """Return a table of all policies and marks."""
    table = Table(title=title)
    table.add_column("global memory")
    columns = ("frames", "remembered", "state, KiB", "process, MiB", "device, MiB", "step, ms")
    for name in columns:
        table.add_column(name, justify="right")
    for name, samples in series.items():
        for sample in samples:
            numbers = [f"{value:.1f}" for value in (sample.process, sample.device, sample.step)]
            counts = f"{sample.frames}", f"{sample.remembered}", f"{sample.state / 2**10:.1f}"
            table.add_row(name, *counts, *numbers, end_section=sample is samples[-1])
    return table


def main() -> None:
    """Measure and print."""
    args = parse_args()
    context: Any = multiprocessing.get_context("spawn")
    series = {}
    for name, maximum in (("reference", None), (f"at most {args.bound}", args.bound)):
        # The peak of a process never falls again.
        with context.Pool(1) as pool:
            series[name] = pool.apply(watch, (args, maximum))
    height, width = args.size
    title = (
        f"{Path(args.config).stem}, frames of {height}x{width}, {args.device}, "
        f"{args.threads} thread(s), torch {torch.__version__}"
    )
    console = Console(width=120)
    console.print(machine())
    console.print(table_of(series, title))


if __name__ == "__main__":
    main()
