#!/usr/bin/env python
# SPDX-License-Identifier: Apache-2.0
"""Say how much memory a training needs, without data or weights."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import MMLogger
from rich.console import Console
from rich.table import Table

from visbench.benchmark.synthetic_clips import largest_batch
from visbench.benchmark.training_memory import MEMORY_NOTE, training_memory
from visbench.engine.commands import clear_errors, run_command
from visbench.engine.config import OptionsAction, load_config
from visbench.engine.conversion import build_bare_model
from visbench.engine.device import select_device
from visbench.engine.outputs import prepare_output_file

_EPILOG = f"""\
A batch of drawn videos goes through the training pipeline of the config and one step is trained.
Sizes in a pipeline are random: the largest samples of some draws are taken.

{MEMORY_NOTE}
With a GPU the step runs there, and the largest sum of all tensors is measured as well. On the CPU
the step needs about as much host memory as the answer says, without mixed precision even if the
config has it.

examples:
  python tools/get_training_memory.py configs/idol/idol_r50_8xb4-12k_youtubevis2019.py --device cpu
  # fewer clips at a time
  python tools/get_training_memory.py CONFIG --cfg-options train_dataloader.batch_size=1
  # more objects, other videos
  python tools/get_training_memory.py CONFIG --objects 10 --frame-size 1080 1920 --json memory.json

exit status: 0, or 1 if the config cannot be used or the file not be written
"""


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="config file, or the name of one of visbench or a plugin")
    parser.add_argument("--device", help="cpu, cuda or cuda:N; the best one by default")
    parser.add_argument("--frame-size", nargs=2, type=int, default=(720, 1280),
                        metavar=("HEIGHT", "WIDTH"),
                        help="pixels of the videos' frames (default: 720 1280)")  # fmt: skip
    parser.add_argument("--objects", type=int, default=4, metavar="N",
                        help="objects in every frame (default: 4)")  # fmt: skip
    parser.add_argument("--draws", type=int, default=16, metavar="N",
                        help="samples of which the largest are taken (default: 16)")  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers")
    parser.add_argument("--cfg-options", nargs="+", action=OptionsAction, metavar="FIELD=VALUE",
                        help="fields of the config to overwrite")  # fmt: skip
    args = parser.parse_args(arguments)
    if min(args.frame_size) < 32 or args.objects < 1 or args.draws < 1:
        parser.error("--frame-size must be at least 32, --objects and --draws at least 1")
    return args


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Return the numbers of a config."""
    # MMEngine would list the settings of every parameter.
    MMLogger.get_current_instance().setLevel("WARNING")
    device = select_device(args.device)
    config = load_config(args.config, args.cfg_options)
    torch.manual_seed(0)
    model = build_bare_model(config).to(device)
    with clear_errors(f"config {args.config}: no training batch can be made", config):
        batch = largest_batch(config, tuple(args.frame_size), args.objects, args.draws)
    frames = [image.shape[1:] for frame in batch["inputs"] for image in frame]
    memory = training_memory(config, model, batch)
    return {
        "config": Path(args.config).stem,
        "device": device,
        "samples": len(batch["inputs"][0]),
        "frames": len(frames),
        "frame_size": [max(sides) for sides in zip(*frames, strict=True)],
        "mixed_precision": config.optim_wrapper.get("type") == "AmpOptimWrapper",
        **asdict(memory),
        "total": memory.total,
    }


_ROWS = {
    "weights and buffers": "weights",
    "gradients": "gradients",
    "state of the optimizer": "optimizer_state",
    "kept for the backward pass": "activations",
    "sum": "total",
    "measured on the GPU": "measured",
}


def report(found: dict[str, Any]) -> None:
    """Print the numbers as a table."""
    height, width = found["frame_size"]
    precision = "mixed precision" if found["mixed_precision"] else "float32"
    title = (
        f"{found['config']}: {found['samples']} samples, {found['frames']} frames, "
        f"at most {height}x{width}, {precision}"
    )
    table = Table()
    table.add_column("what")
    table.add_column("GiB", justify="right")
    for name, field in _ROWS.items():
        if found[field] is not None:
            table.add_row(name, f"{found[field] / 2**30:.2f}", end_section=field == "activations")
    console = Console()
    console.print(title)
    console.print(table)


def main(arguments: list[str] | None = None) -> int:
    """Run the tool; return the exit status."""
    args = parse_args(arguments)

    def run() -> None:
        prepare_output_file(args.json, "--json")
        found = measure(args)
        if args.json is not None:
            args.json.write_text(json.dumps(found, indent=2) + "\n")
        report(found)

    return run_command(run)


if __name__ == "__main__":
    sys.exit(main())
