# SPDX-License-Identifier: Apache-2.0
"""What tools/list.py does."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from visbench.apis.listing import LISTINGS, Listing
from visbench.engine.errors import UserError
from visbench.plugins import PluginWarning

_EXAMPLES = """examples:
  # methods, data sets, metrics and plugins
  python tools/list.py
  # the names that train.py, test.py and benchmark.py take instead of a path
  python tools/list.py configs
  # which plugins are installed, what they bring, and why one was not loaded
  python tools/list.py plugins

A plugin is a package with an entry point in the group visbench.plugins. VISBENCH_PLUGINS=0 switches
all plugins off, VISBENCH_TRACEBACK=1 shows where one fails.

Exit status: 0; 1 if a plugin was asked for and failed; 2 an error in the input.
"""
_WITHOUT_CONFIGS = tuple(name for name in LISTINGS if name != "configs")
_FILE_WIDTH = 400


def list_parser() -> argparse.ArgumentParser:
    """Return the arguments of tools/list.py."""
    parser = argparse.ArgumentParser(
        description="List what is registered and which package it comes from",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "what",
        nargs="*",
        metavar="WHAT",
        help=f"{', '.join(LISTINGS)}; by default all but configs",
    )
    return parser


def list_registered(arguments: Sequence[str] | None = None) -> int:
    """List as the command line says.

    Args:
        arguments: Words after the program name; those of the process if None.

    Returns:
        The exit status, see ``--help``.
    """
    parser = list_parser()
    names = parser.parse_args(arguments).what or _WITHOUT_CONFIGS
    unknown = [name for name in names if name not in LISTINGS]
    if unknown:
        parser.error(f"{unknown[0]!r} cannot be listed; use {', '.join(LISTINGS)}")
    console = _console()
    problems: list[str] = []
    try:
        for name in names:
            with warnings.catch_warnings():
                # The list of plugins tells it.
                warnings.simplefilter("ignore", PluginWarning)
                listing = LISTINGS[name]()
            _show(name, listing, console)
            problems += listing.problems
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 1 if problems else 0


def _console() -> Console:
    console = Console()
    # A file has no width: nothing is cut off there.
    return console if console.is_terminal else Console(width=_FILE_WIDTH)


def _show(name: str, listing: Listing, console: Console) -> None:
    if not listing.rows:
        console.print(f"no {name}")
        return
    table = Table(title=f"{len(listing.rows)} {name}", title_justify="left")
    for position, column in enumerate(listing.columns):
        table.add_column(column, overflow="fold", no_wrap=position == 0)
    for row in listing.rows:
        table.add_row(*(Text(word) for word in row))
    console.print(table)
    for problem in listing.problems:
        console.print(problem, style="red", markup=False, soft_wrap=True)
