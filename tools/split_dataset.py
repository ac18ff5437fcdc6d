#!/usr/bin/env python
# SPDX-License-Identifier: Apache-2.0
"""Make the deterministic, versioned hold-out split of a training file."""

from __future__ import annotations

import argparse
import sys

from rich.console import Console

from visbench.datasets.holdout import write_holdout


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("annotations", metavar="ANN", help="annotation file of the training split")
    parser.add_argument(
        "--fraction", type=float, default=0.15, help="share of held-out videos (default 0.15)"
    )
    parser.add_argument("--out", metavar="FOLDER", help="where to write (default: beside ANN)")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Write the split; return the exit status."""
    args = parse_args(arguments)
    try:
        files = write_holdout(args.annotations, args.fraction, args.out)
    except (OSError, ValueError) as error:
        console = Console(stderr=True)
        console.print(f"error: {error}", style="red", markup=False, highlight=False)
        return 2
    for path in (files.train, files.val, files.names):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
