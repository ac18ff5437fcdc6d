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


def benchmark_parser() -> argparse.ArgumentParser:
    """Return the arguments of tools/benchmark.py."""
    parser = argparse.ArgumentParser(
        description="Compare methods under one data path, one runner and one evaluator"
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
