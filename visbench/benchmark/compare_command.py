# SPDX-License-Identifier: Apache-2.0
"""``benchmark.py compare``: train, test and write one table."""

from __future__ import annotations

import argparse
from typing import Any

from visbench.benchmark.compare import compare
from visbench.benchmark.suites import SUITES, suite_configs
from visbench.engine.errors import UserError

_EXAMPLES = """examples:
  # the suite that `make demo` runs; a second call shows the table at once
  python tools/benchmark.py compare --suite demo --work-dir work_dirs/demo
  # two configs of your own with three seeds on the second GPU
  python tools/benchmark.py compare a.py b.py --seed 0 1 2 --device cuda:1 --work-dir work_dirs/ab

Files in the work folder: report.md and report.csv; rows/ with one JSON file per run, named by
config, data, seed and hash of the config, never overwritten; runs/ with checkpoints and logs;
overlays/ with one video per run. Ctrl-C and kill lose nothing: the same command goes on from the
newest checkpoint and the last finished video. A changed config is a new run.

Exit status: 0 all finished; 1 a run failed (its row says why); 2 nothing could start;
130 interrupted.
"""


def add_compare_command(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the subcommand.

    Args:
        commands: Where ``add_parser`` of the program puts its subcommands.
    """
    command = commands.add_parser(
        "compare",
        help="train, test and write one table",
        description="Train and test methods and write one comparison table",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument(
        "configs",
        nargs="*",
        metavar="CONFIG",
        help="config files to compare, or names of configs of visbench or a plugin",
    )
    command.add_argument("--suite", choices=sorted(SUITES), help="a list of configs by its name")
    command.add_argument(
        "--work-dir", help="folder of runs and rows; work_dirs/<suite, or 'compare'> by default"
    )
    command.add_argument(
        "--out", metavar="PATH", help="report without ending; <work-dir>/report by default"
    )
    command.add_argument("--device", help="cpu, cuda, cuda:N or mps; the best one by default")
    command.add_argument(
        "--seed", type=int, nargs="+", default=[0], help="seeds; every config is run with each"
    )
    command.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    configs = [*(suite_configs(args.suite) if args.suite else []), *args.configs]
    if not configs:
        raise UserError("nothing to compare; give --suite or config files")
    work_dir = args.work_dir or f"work_dirs/{args.suite or 'compare'}"
    return compare(configs, work_dir, args.out, args.device, args.seed)
