#!/usr/bin/env python
# SPDX-License-Identifier: Apache-2.0
"""Count what is in an annotation file: videos, tracks, classes, sizes, occlusion, motion, gaps."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from visbench.datasets.statistics import dataset_statistics
from visbench.datasets.statistics_page import html_page, markdown, terminal_tables
from visbench.engine.outputs import prepare_output_file

_EPILOG = """\
Objects are the tracks that are no crowds. Groups by length, size, motion and occlusion are those of
tools/evaluate.py --breakdown; who is on a border is in both.

examples:
  python tools/dataset_statistics.py data/ovis/annotations_train.json
  python tools/dataset_statistics.py train.json --out train.md
  # one page with histograms, which opens offline
  python tools/dataset_statistics.py train.json --out train.html

exit status: 0, or 2 if the file cannot be read (file, record and field are named)
"""
_WRITERS = {".md": markdown, ".html": html_page}


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("annotations", metavar="ANN", help="annotation file (YouTube-VIS layout)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write a .md or .html file")
    args = parser.parse_args(arguments)
    if args.out is not None and args.out.suffix not in _WRITERS:
        parser.error(f"--out {args.out}: the name must end in {' or '.join(_WRITERS)}")
    return args


def main(arguments: list[str] | None = None) -> int:
    """Count, print and write; return the exit status."""
    args = parse_args(arguments)
    try:
        prepare_output_file(args.out, "--out")
        found = dataset_statistics(args.annotations)
        if args.out is not None:
            text = _WRITERS[args.out.suffix](found)
            args.out.write_text(text, encoding="utf-8")
    except (ImportError, OSError, ValueError) as error:
        Console(stderr=True).print(f"error: {error}", style="red", markup=False, highlight=False)
        return 2
    console = Console()
    for table in terminal_tables(found):
        console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
