# SPDX-License-Identifier: Apache-2.0
"""What tools/benchmark.py does: one module per subcommand."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from visbench.benchmark.claims_command import add_claims_command
from visbench.benchmark.compare_command import add_compare_command
from visbench.benchmark.report_command import add_report_command
from visbench.benchmark.speed_command import add_speed_command
from visbench.engine.errors import UserError

COMMANDS = (add_compare_command, add_speed_command, add_claims_command, add_report_command)
"""Each adds a subcommand and sets ``run``: what takes its arguments and returns the exit status."""

_EXAMPLES = """examples:
  # train and test the five methods for some minutes each, and show one table
  python tools/benchmark.py compare --suite demo
  # the same as a page with plots, frames and timelines of ids
  python tools/benchmark.py report work_dirs/demo
  # which of the papers' ablation directions hold here, so far
  python tools/benchmark.py claims --list --include-unversioned

What is run once is a row, a JSON file that is never overwritten: the same command goes on from
there. `benchmark.py COMMAND --help` says more, with examples and exit status.
"""


def benchmark_parser() -> argparse.ArgumentParser:
    """Return the arguments of tools/benchmark.py."""
    parser = argparse.ArgumentParser(
        description="Compare methods under one data path, one runner and one evaluator",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for add_command in COMMANDS:
        add_command(commands)
    return parser


def benchmark(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Words after the program name; those of the process if None.

    Returns:
        The exit status, see ``--help``.
    """
    args = benchmark_parser().parse_args(arguments)
    try:
        status: int = args.run(args)
        return status
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ninterrupted; the same command goes on from here", file=sys.stderr)
        return 130
