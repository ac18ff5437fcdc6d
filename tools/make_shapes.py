# SPDX-License-Identifier: Apache-2.0
"""Write MovingShapes, the built-in data set of procedural videos."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from visbench.datasets.moving_shapes import PRESET_NAMES, make_split
from visbench.datasets.moving_shapes.preview import write_preview
from visbench.engine.outputs import prepare_output_file, prepare_output_folder

_EPILOG = """\
presets:
  easy       1-4 objects, little occlusion, no look-alikes
  occluded   4-8 objects that hide each other, some look-alikes
  crowded    5-8 look-alikes of at most 2 categories
  long       500 frames, at most 15 objects that come and go
  mixed      training only: easy, occluded and crowded in equal parts

what is written (YouTube-VIS layout, lossless PNG, 128x192):
  ROOT/v1/PRESET/train.json, valid.json
  ROOT/v1/PRESET/{train,valid}/JPEGImages/VIDEO/FRAME.png

A full split is 400 (train) or 60 (val) videos; it takes about half a minute per 400 videos of
36 frames on two cores. What is there is used again, an interrupted run goes on where it stopped,
and the same videos come out on every machine. With --videos N the first N videos go to
ROOT/v1/PRESET-firstN, so that they are never taken for the full split.

examples:
  python tools/make_shapes.py --preset easy
  python tools/make_shapes.py --preset mixed --split train --workers 8
  python tools/make_shapes.py --preset crowded --split val --videos 4 --root /tmp/shapes
  python tools/make_shapes.py --preset occluded --split val --preview sheet.png
"""


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", nargs="+", choices=PRESET_NAMES, default=["easy"],
                        help="one or several presets (default: easy)")  # fmt: skip
    parser.add_argument("--split", nargs="+", choices=("train", "val", "valid"),
                        help="splits to write (default: both; mixed: train)")  # fmt: skip
    parser.add_argument("--root", type=Path, default=Path("data/moving_shapes"),
                        help="folder of the data set (default: %(default)s)")  # fmt: skip
    parser.add_argument("--videos", type=int, metavar="N",
                        help="only the first N videos, in a folder of their own")  # fmt: skip
    parser.add_argument("--workers", type=int, default=2,
                        help="processes that draw (default: %(default)s)")  # fmt: skip
    parser.add_argument("--preview", type=Path, metavar="PNG",
                        help="write a contact sheet of the first preset and split instead of "
                             "the data")  # fmt: skip
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run the tool; return the exit status."""
    args = parse_args(arguments)
    try:
        if args.preview is not None:
            prepare_output_file(args.preview, "--preview")
            write_preview(args.preview, args.preset[0], (args.split or ["train"])[0])
            print(args.preview)
            return 0
        prepare_output_folder(args.root, "--root")
        for preset in args.preset:
            for split in args.split or (["train"] if preset == "mixed" else ["train", "val"]):
                paths = make_split(args.root, preset, split, args.videos, args.workers)
                print(paths.annotations)
    except (ValueError, OSError) as error:
        print(f"make_shapes: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
