#!/usr/bin/env python
# SPDX-License-Identifier: Apache-2.0
"""Count parameters and operations per frame of a method, without data or weights."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from visbench.benchmark.measure import blank_frame, count_parameters, gflops_by_part
from visbench.benchmark.tables import FLOPS_NOTE
from visbench.engine.commands import clear_errors, run_command
from visbench.engine.config import OptionsAction, load_config
from visbench.engine.conversion import build_bare_model
from visbench.engine.errors import ConfigError
from visbench.engine.outputs import prepare_output_file

_EPILOG = f"""\
The frame is black and goes through the test pipeline of the config, so its size at the network is
the one of a test. {FLOPS_NOTE}
Association is left out: its cost depends on the video. With "no objects" in a frame, parts that
run per object (RoI heads, dynamic masks) may have less to do than on a real one.

examples:
  python tools/get_flops.py configs/idol/idol_r50_8xb4-12k_youtubevis2019.py
  # another size of the video's frames, and parts of parts
  python tools/get_flops.py CONFIG --frame-size 1080 1920 --depth 2
  python tools/get_flops.py CONFIG --json flops.json

exit status: 0, or 1 if the config cannot be used or the file not be written
"""


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="config file")
    parser.add_argument("--frame-size", nargs=2, type=int, default=(720, 1280),
                        metavar=("HEIGHT", "WIDTH"),
                        help="pixels of the video's frames (default: 720 1280)")  # fmt: skip
    parser.add_argument("--depth", type=int, default=1, metavar="N",
                        help="words of the names of parts (default: 1)")  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers")
    parser.add_argument("--cfg-options", nargs="+", action=OptionsAction, metavar="FIELD=VALUE",
                        help="fields of the config to overwrite")  # fmt: skip
    args = parser.parse_args(arguments)
    if min(args.frame_size) < 1 or args.depth < 1:
        parser.error("--frame-size and --depth must be at least 1")
    return args


def count(args: argparse.Namespace) -> dict[str, Any]:
    """Return the numbers of a config."""
    config = load_config(args.config, args.cfg_options)
    if "test_dataloader" not in config:
        raise ConfigError(f"config {args.config} has no field 'test_dataloader', which says sizes")
    model = build_bare_model(config)
    pipeline = config.test_dataloader.dataset.get("pipeline", [])
    with clear_errors(f"config {args.config}: one frame cannot be computed", config):
        frame = blank_frame(pipeline, *args.frame_size)
        parts = gflops_by_part(model, frame, args.depth)
    modules = dict(model.named_modules())
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad) / 1e6
    return {
        "config": Path(args.config).name,
        "frame_size": list(args.frame_size),
        "network_size": list(frame.image.shape[1:]),
        "parameters_m": count_parameters(model),
        "trainable_parameters_m": trainable,
        "gflops_per_frame": parts.pop(""),
        "parts": {
            name: {"gflops": value, "parameters_m": count_parameters(modules[name])}
            for name, value in parts.items()
        },
    }


def report(found: dict[str, Any]) -> None:
    """Print the numbers as a table."""
    height, width = found["network_size"]
    table = Table(
        title=f"{found['config']}: one frame, {height}x{width} at the network", title_justify="left"
    )
    table.add_column("part")
    for column in ("parameters (M)", "GFLOPs"):
        table.add_column(column, justify="right")
    for name, part in found["parts"].items():
        table.add_row(name, f"{part['parameters_m']:.2f}", f"{part['gflops']:.2f}")
    table.add_section()
    total = f"{found['parameters_m']:.2f}"
    table.add_row("whole model", total, f"{found['gflops_per_frame']:.2f}")
    table.add_row("trainable", f"{found['trainable_parameters_m']:.2f}", "")
    Console().print(table)


def main(arguments: list[str] | None = None) -> int:
    """Run the tool; return the exit status."""
    args = parse_args(arguments)

    def run() -> None:
        prepare_output_file(args.json, "--json")
        found = count(args)
        if args.json is not None:
            args.json.write_text(json.dumps(found, indent=2) + "\n")
        report(found)

    return run_command(run)


if __name__ == "__main__":
    sys.exit(main())
