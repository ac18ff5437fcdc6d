#!/usr/bin/env python
# SPDX-License-Identifier: Apache-2.0
"""Measure InsPro over long videos: what grows with the video, and what InsPro-lite saves.

``growth`` steps through one video and compares its last 20 frames with frames 10 to 30: bytes of
the state without what was emitted, compressed output, and memory of the process. The time of a
step is compared on the same images in turns: the last 20 frames of that video, which are also
frames 10 to 30 of one that has just begun. ``lite`` compares InsPro with InsPro-lite in turns, so
that a slow moment hits both.

Weights are random unless a checkpoint is given, frames those of MovingShapes' ``long`` preset at
the size asked for. Read the ratios: absolute times depend on the machine and on what else runs on
it.

Example:
    python benchmarks/inspro_state.py growth
    python benchmarks/inspro_state.py lite --interval 10
    python benchmarks/inspro_state.py lite --size 360 640 --frames 20 \
        --config configs/inspro/inspro_r50_8xb1-32k_youtubevis2019.py
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from dataclasses import replace
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
from visbench.models import InsPro, InsProLite
from visbench.registry import MODELS
from visbench.structures import Frame, TrackRecorder, VideoInfo

DEMO = Path(__file__).parents[1] / "configs" / "inspro" / "inspro_demo_movingshapes.py"
EARLY = (10, 30)
WINDOW = 20
LONGEST = 500  # frames of a video of the preset


class Sample(NamedTuple):
    """What there is after a frame, in bytes.

    Attributes:
        state: The state, the recorder aside.
        output: The compressed masks emitted so far.
        process: Resident memory of the process.
    """

    state: int
    output: int
    process: int


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description="Measure InsPro over long videos.")
    parser.add_argument("what", choices=["growth", "lite"])
    parser.add_argument("--config", default=str(DEMO), help="an InsPro (default: its demo)")
    parser.add_argument("--checkpoint", help="its trained weights (default: random ones)")
    parser.add_argument("--size", type=int, nargs=2, default=(128, 192), metavar=("H", "W"))
    parser.add_argument(
        "--frames", type=int, help=f"frames of the video (growth: {LONGEST}, lite: 60)"
    )
    parser.add_argument("--interval", type=int, default=10, help="lite: K (default: 10)")
    parser.add_argument("--runs", type=int, default=5, help="lite: videos each (default: 5)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, ... (default: cpu)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1)")
    args = parser.parse_args()
    least = EARLY[1] + WINDOW if args.what == "growth" else 1
    args.frames = args.frames or (LONGEST if args.what == "growth" else 60)
    if not least <= args.frames <= LONGEST:
        parser.error(f"--frames {args.frames}: {args.what} needs {least} to {LONGEST}")
    return args


def build(config: Any, args: argparse.Namespace, **fields: Any) -> InsPro:
    """Return the model with trained or seeded random weights; nothing is downloaded."""
    torch.manual_seed(0)
    config.backbone.init_cfg = None
    if not args.checkpoint:
        config.test_cfg.frame_score_thr = 0.0  # untrained slots are hardly ever probable
    model: InsPro = MODELS.build({**config, **fields})
    model.init_weights()
    if args.checkpoint:
        load_checkpoint(model, args.checkpoint, map_location="cpu")
    return model.eval().to(args.device)


def frames_of(model: InsPro, args: argparse.Namespace) -> Iterator[Frame]:
    """Yield the prepared frames of a video."""
    scene = Scene.sample("long", "val", 0)
    height, width = size = tuple(args.size)
    for index in range(args.frames):
        image = cv2.resize(render_frame(scene, index)[0], (width, height))
        tensor = torch.from_numpy(image).permute(2, 0, 1).contiguous()
        yield model.prepare(Frame(index, tensor, size, size))


def start(model: InsPro, args: argparse.Namespace) -> Any:
    """Return the state before the first frame."""
    height, width = args.size
    return model.start(VideoInfo(0, "long", height, width, args.frames))


def timed_step(model: InsPro, frame: Frame, state: Any) -> float:
    """Return the seconds of one step, work on the accelerator included."""
    # The step ends with masks in memory, so an accelerator has finished.
    begin = time.perf_counter()
    model.step(frame, state)
    return time.perf_counter() - begin


def resident_bytes() -> int:
    """Return the resident memory of the process; its peak where only that is known."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return int(peak_memory_mb() * 2**20)
    return pages * os.sysconf("SC_PAGE_SIZE")


def mask_bytes(recorder: TrackRecorder) -> int:
    """Return the bytes of the compressed masks that were emitted."""
    records = recorder.state_dict()["records"].values()
    return sum(len(mask["counts"]) for record in records for mask in record["masks"])


def watch(model: InsPro, args: argparse.Namespace) -> tuple[list[Sample], list[list[float]]]:
    """Step through a video; return what there is after every frame, and seconds of steps.

    The seconds are those of the last frames in a video that has just begun, and in this one.
    """
    videos = [start(model, args), start(model, args)]
    begin = args.frames - EARLY[1]
    samples: list[Sample] = []
    seconds: list[list[float]] = [[], []]
    for frame in frames_of(model, args):
        turns = [(1, frame)]
        if frame.index >= begin:
            turns.append((0, replace(frame, index=frame.index - begin)))
        # The first of two steps finds cold caches; each video comes first half of the time.
        for which, shown in turns if frame.index % 2 else turns[::-1]:
            seconds[which].append(timed_step(model, shown, videos[which]))
        state = videos[1]
        output = mask_bytes(state.recorder) if _in_a_window(frame.index, args.frames) else 0
        samples.append(Sample(state.num_bytes(), output, resident_bytes()))
    return samples, [taken[-WINDOW:] for taken in seconds]


def _in_a_window(index: int, frames: int) -> bool:
    return EARLY[0] <= index < EARLY[1] or index >= frames - WINDOW


def growth_table(samples: list[Sample], seconds: list[list[float]], title: str) -> Table:
    """Return a table of medians early and late in the video."""
    table = Table(title=title)
    table.add_column("")
    table.add_column(f"frames {EARLY[0]}-{EARLY[1]}", justify="right")
    table.add_column(f"frames {len(samples) - WINDOW}-{len(samples)}", justify="right")
    table.add_column("ratio", justify="right")
    _add_row(table, "step, ms", *[1e3 * median(taken) for taken in seconds])
    for name, field, unit in (
        ("state without output, KiB", "state", 2**10),
        ("compressed output, KiB", "output", 2**10),
        ("process, MiB", "process", 2**20),
    ):
        windows = samples[slice(*EARLY)], samples[-WINDOW:]
        values = [median(getattr(sample, field) for sample in window) for window in windows]
        _add_row(table, name, *[value / unit for value in values])
    return table


def _add_row(table: Table, name: str, early: float, late: float) -> None:
    ratio = f"{late / early:.3f}" if early else "-"
    table.add_row(name, f"{early:.1f}", f"{late:.1f}", ratio)


def compare_lite(key: InsPro, lite: InsPro, args: argparse.Namespace) -> list[dict[str, float]]:
    """Return the milliseconds per frame of both models in every run."""
    source = list(frames_of(key, args))
    runs = []
    for _ in range(args.runs + 1):
        taken = {}
        for name, model in (("InsPro", key), ("InsPro-lite", lite)):
            state = start(model, args)
            seconds = sum(timed_step(model, frame, state) for frame in source)
            taken[name] = 1e3 * seconds / len(source)
        runs.append(taken)
    return runs[1:]  # the first run warms caches


def lite_table(runs: list[dict[str, float]], title: str) -> Table:
    """Return a table of medians, least and largest values over runs."""
    table = Table(title=title)
    table.add_column("")
    for name in ("median", "least", "largest"):
        table.add_column(name, justify="right")
    rows = {f"{name}, ms per frame": [run[name] for run in runs] for name in runs[0]}
    rows["InsPro / InsPro-lite"] = [run["InsPro"] / run["InsPro-lite"] for run in runs]
    for name, values in rows.items():
        numbers = (median(values), min(values), max(values))
        table.add_row(name, *[f"{number:.2f}" for number in numbers])
    return table


def main() -> None:
    """Measure and print."""
    args = parse_args()
    torch.set_num_threads(args.threads)
    MMLogger.get_current_instance().setLevel("WARNING")  # or every initialised weight is listed
    config = Config.fromfile(args.config).model
    model = build(config, args)
    height, width = args.size
    where = (
        f"{Path(args.config).stem}, {args.frames} frames of {height}x{width}, {args.device}, "
        f"{args.threads} thread(s), torch {torch.__version__}"
    )
    console = Console(width=120)
    console.print(machine())
    if args.what == "growth":
        console.print(growth_table(*watch(model, args), f"Growth over a video ({where})"))
        console.print(f"peak memory of the process: {peak_memory_mb():.0f} MiB")
        return
    fields = {"type": InsProLite, "key_frame_interval": args.interval}
    lite = build(config, args, **fields)
    title = f"K = {args.interval}, {args.runs} runs in turns ({where})"
    console.print(lite_table(compare_lite(model, lite, args), title))


if __name__ == "__main__":
    main()
