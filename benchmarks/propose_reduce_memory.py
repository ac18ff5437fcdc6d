#!/usr/bin/env python
# SPDX-License-Identifier: Apache-2.0
"""Measure what Propose-Reduce needs for long videos: features, memory entries, peak memory.

Every row is a process of its own, so that its peak is that of one video: frames of MovingShapes'
``long`` preset at the size asked for, propagated from one key frame, the first, whose memory grows
longest. More key frames work one after the other and add packed masks only. Weights are random and
every box counts as a detection, so that the number of objects is ``max_per_img`` of the config or
what is left of it without overlaps.

On the CPU the feature stores ``device`` and ``cpu`` are the same memory. On an accelerator the peak
of its allocator is reported beside that of the process.

Example:
    python benchmarks/propose_reduce_memory.py
    python benchmarks/propose_reduce_memory.py --frames 36 --interval 1 --cap 8
    python benchmarks/propose_reduce_memory.py --size 360 640 --device cuda --interval 1 \
        --config configs/_base_/models/seq_mask_rcnn_r50.py
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from rich.console import Console
from rich.table import Table

from visbench.benchmark.machine import machine, peak_memory_mb
from visbench.datasets.moving_shapes import Scene, render_frame
from visbench.models import SeqMaskRCNN
from visbench.models.propose_reduce.feature_store import FEATURE_STORES
from visbench.registry import MODELS
from visbench.structures import Frame, VideoInfo

DEMO = "configs/propose_reduce/propose_reduce_demo_movingshapes.py"
LENGTHS = (36, 200, 500)
LONGEST = 500  # frames of a video of the preset


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description="Measure Propose-Reduce over long videos.")
    default = Path(__file__).parents[1] / DEMO
    parser.add_argument("--config", default=str(default), help="a Seq Mask R-CNN (default: demo)")
    parser.add_argument("--size", type=int, nargs=2, default=(128, 192), metavar=("H", "W"))
    parser.add_argument("--frames", type=int, nargs="+", default=LENGTHS, help="lengths of videos")
    parser.add_argument("--stores", nargs="+", choices=FEATURE_STORES, default=[*FEATURE_STORES])
    parser.add_argument("--interval", type=int, default=5, help="memory interval (default: 5)")
    parser.add_argument("--cap", type=int, help="most frames in the memory (default: no cap)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, ... (default: cpu)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1)")
    parser.add_argument("--csv", help="append the rows to this file")
    parser.add_argument("--row", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if not all(1 <= length <= LONGEST for length in args.frames):
        parser.error(f"--frames {args.frames}: videos have 1 to {LONGEST} frames")
    return args


def build(args: argparse.Namespace) -> SeqMaskRCNN:
    """Return the model with seeded random weights; nothing is downloaded."""
    torch.manual_seed(0)
    config = Config.fromfile(args.config).model
    config.detector.backbone.init_cfg = None
    config.detector.test_cfg.rcnn.score_thr = 0.0  # untrained boxes are hardly ever probable
    config.key_frames = {"type": "visbench.EvenKeyFrames", "num_key_frames": 1}
    config.propose.update(
        memory_interval=args.interval,
        memory_count=None,
        max_memory_frames=args.cap,
        feature_store=args.stores[0],
    )
    model: SeqMaskRCNN = MODELS.build(config)
    model.init_weights()
    return model.eval().to(args.device)


def frames_of(model: SeqMaskRCNN, args: argparse.Namespace) -> Iterator[Frame]:
    """Yield the prepared frames of a video."""
    scene = Scene.sample("long", "val", 0)
    height, width = size = tuple(args.size)
    for index in range(args.frames[0]):
        image = cv2.resize(render_frame(scene, index)[0], (width, height))
        tensor = torch.from_numpy(image).permute(2, 0, 1).contiguous()
        yield model.prepare(Frame(index, tensor, size, size))


@torch.no_grad()
def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Return the row of one video and one store."""
    model = build(args)
    steps: list[tuple[int, int]] = []
    observe = model.observe

    def watched(step: Any, recorder: Any) -> None:
        steps.append((step.memory_frames, len(step.masks)))
        observe(step, recorder)

    model.observe = watched  # type: ignore[method-assign]
    before, begin = peak_memory_mb(), time.process_time()
    video = VideoInfo(0, "long", *args.size, args.frames[0])
    store, layout = model.read(video, frames_of(model, args))
    assert layout is not None
    proposals = model.propose(store, layout.valid)
    assert proposals.sequences, "no detection, so nothing to measure"
    row = {
        "config": Path(args.config).stem,
        "height": args.size[0],
        "width": args.size[1],
        "frames": args.frames[0],
        "feature_store": args.stores[0],
        "memory_interval": args.interval,
        "max_memory_frames": args.cap,
        "objects": steps[0][1],
        "memory_entries": max(entries for entries, _ in steps),
        "features_mb": store.num_bytes() / 2**20,
        "process_peak_mb": peak_memory_mb(),
        "process_before_video_mb": before,
        "device_peak_mb": None,
        "processor_s": time.process_time() - begin,
        "device": args.device,
        "machine": machine(),
        "torch": torch.__version__,
    }
    if torch.device(args.device).type == "cuda":
        row["device_peak_mb"] = torch.cuda.max_memory_allocated() / 2**20
    return row


def measure_in_a_process(args: argparse.Namespace, length: int, store: str) -> dict[str, Any]:
    """Return the row of a video, measured in a new process."""
    command = [sys.executable, __file__, "--row", "--config", args.config, "--frames", str(length)]
    command += ["--stores", store, "--size", *map(str, args.size), "--device", args.device]
    command += ["--interval", str(args.interval), "--threads", str(args.threads)]
    command += ["--cap", str(args.cap)] if args.cap else []
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    row: dict[str, Any] = json.loads(output.splitlines()[-1])
    return row


def table_of(rows: list[dict[str, Any]], args: argparse.Namespace) -> Table:
    """Return the rows as a table."""
    height, width = args.size
    cap = "none" if args.cap is None else args.cap
    table = Table(
        title=f"{Path(args.config).stem}, {height}x{width}, memory interval {args.interval}, "
        f"cap {cap}, {args.device}, {args.threads} thread(s), torch {torch.__version__}"
    )
    columns = {
        "frames": "frames",
        "feature_store": "features",
        "objects": "objects",
        "memory_entries": "memory entries",
        "features_mb": "features, MiB",
        "process_before_video_mb": "process before, MiB",
        "process_peak_mb": "process peak, MiB",
        "device_peak_mb": "device peak, MiB",
        "processor_s": "processor, s",
    }
    for title in columns.values():
        table.add_column(title, justify="right")
    for row in rows:
        table.add_row(*[_text(row[name]) for name in columns])
    return table


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def append(path: Path, rows: list[dict[str, Any]]) -> None:
    """Append rows to a CSV file, with a header if it is new."""
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        if new:
            writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    """Measure and print."""
    args = parse_args()
    torch.set_num_threads(args.threads)
    MMLogger.get_current_instance().setLevel("WARNING")  # or every initialised weight is listed
    if args.row:
        print(json.dumps(measure(args)))
        return
    rows = []
    for length in args.frames:
        for store in args.stores:
            rows.append(measure_in_a_process(args, length, store))
            if args.csv:
                append(Path(args.csv), rows[-1:])
    console = Console(width=120)
    console.print(machine())
    console.print(table_of(rows, args))


if __name__ == "__main__":
    main()
