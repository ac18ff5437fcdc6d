#!/usr/bin/env python
# SPDX-License-Identifier: Apache-2.0
"""Write annotation files of boxes from the XML files of ImageNet VID and DET."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.progress import track

from visbench.datasets.imagenet.convert import write_annotations, written_path
from visbench.engine.outputs import prepare_output_folder

_EPILOG = """\
ImageNetVID and ImageNetDET do the same on first use; beforehand, defects show before a training.
Every defect of an XML file ends the conversion with file, field and value. The files have the
YouTube-VIS layout with boxes and no masks, and so are what tools/evaluate.py and
tools/check_dataset.py take. An existing file is kept.

examples:
  # videos: train and val
  python tools/convert_imagenet.py data/ILSVRC
  # and the still images of the 30 classes
  python tools/convert_imagenet.py data/ILSVRC --parts vid:train vid:val det:train
  # results of a model on the validation videos
  python tools/evaluate.py data/ILSVRC/annotations/visbench_imagenet_vid_val.json results.json \\
      --metric imagenet_vid

exit status: 0 all files are there, 2 a file cannot be read or written
"""

_PARTS = ("vid:train", "vid:val", "det:train", "det:val")


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", metavar="ROOT", help="folder with Annotations and Data")
    parser.add_argument("--parts", nargs="+", choices=_PARTS, default=["vid:train", "vid:val"])
    parser.add_argument("--out", metavar="DIR", help="folder of the files (ROOT/annotations)")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Convert; return the exit status."""
    args = parse_args(arguments)
    errors = Console(stderr=True)

    def progress(items: list[Path], title: str) -> Iterable[Path]:
        return track(items, description=title, console=errors, transient=True)

    for part in args.parts:
        kind, split = part.split(":")
        path = written_path(args.root, kind, split)
        if args.out:
            path = Path(args.out, path.name)
        try:
            prepare_output_folder(path.parent, "--out" if args.out else "ROOT")
            write_annotations(args.root, kind, split, path, progress)
        except (OSError, ValueError) as error:
            errors.print(f"error: {error}", style="red", markup=False, highlight=False)
            return 2
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
