#!/usr/bin/env python
# SPDX-License-Identifier: Apache-2.0
"""Report every defect of a data set with file and field; exit with 1 if there is one."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from visbench.datasets.check import Defect, check_dataset

_EPILOG = """\
what is checked: videos (ids, sizes, frame names, missing or unreadable frames, frame sizes),
categories, and annotations (ids, video and category, lengths of segmentations, bboxes and areas,
RLE sizes and run lengths, boxes without mask and the reverse, values that are not finite, boxes
outside the frame)

examples:
  # annotations only
  python tools/check_dataset.py data/ovis/annotations_train.json
  # and every frame
  python tools/check_dataset.py data/ovis/annotations_train.json data/ovis/train

exit status: 0 no defect, 1 defects (all are listed), 2 the file cannot be read
"""


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("annotations", metavar="ANN", help="annotation file (YouTube-VIS layout)")
    parser.add_argument(
        "images", metavar="IMAGES", nargs="?", help="folder that file_names are relative to"
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Check and print; return the exit status: 0 sound, 1 defects, 2 nothing can be checked."""
    args = parse_args(arguments)
    errors = Console(stderr=True)

    def progress(items: Iterable[Any], title: str) -> Iterable[Any]:
        return track(list(items), description=title, console=errors, transient=True)

    try:
        defects = check_dataset(args.annotations, args.images, progress)
    except (OSError, ValueError) as error:
        errors.print(f"error: {error}", style="red", markup=False, highlight=False)
        return 2
    report(defects, args.annotations)
    return 1 if defects else 0


def report(defects: list[Defect], ann_file: str) -> None:
    """Print all defects as a table."""
    console = Console()
    if not defects:
        console.print(f"{ann_file}: no defect found", highlight=False)
        return
    table = Table(title=f"{ann_file}: {len(defects)} defects", title_justify="left")
    for column in ("where", "field", "problem"):
        table.add_column(column, overflow="fold")
    for defect in defects:
        table.add_row(*[str(part).replace("[", r"\[") for part in defect])
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
