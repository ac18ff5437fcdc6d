#!/usr/bin/env python
# SPDX-License-Identifier: Apache-2.0
"""Make the deterministic, versioned hold-out split of a training file."""

from __future__ import annotations

import argparse
import sys

from rich.console import Console

from visbench.datasets.holdout import write_holdout
from visbench.engine.outputs import prepare_output_folder

_EPILOG = """\
Public validation files have no annotations, so results are measured on training videos that were
held out. The hash of a video's name decides its side: the order of the file has no influence, and
everybody gets the same split. Written beside ANN, or to --out: NAME_holdout-train.json,
NAME_holdout-val.json and the versioned list of names. Configs with "holdout" in
their name use them. A category with two videos or more is on both sides where possible.

example:
  python tools/split_dataset.py data/youtube_vis_2019/train.json
"""


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
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
        prepare_output_folder(args.out, "--out")
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
