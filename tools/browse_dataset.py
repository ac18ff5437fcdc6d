#!/usr/bin/env python
# SPDX-License-Identifier: Apache-2.0
"""Draw what a data set holds: clips as training sees them, or videos as they are annotated."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from visbench.apis.browse import (
    SPLITS,
    annotated_videos,
    config_dataset,
    file_dataset,
    training_clips,
    write_sheet,
    write_video,
)
from visbench.engine.commands import run_command
from visbench.engine.config import OptionsAction, load_config
from visbench.engine.errors import ConfigError
from visbench.engine.outputs import prepare_output_file

_EPILOG = """\
A config shows clips of its training set after the pipeline: what the network gets, crops, flips and
all. --original, or --split val, shows whole videos without any transform.

examples:
  # eight training clips, a row each
  python tools/browse_dataset.py configs/idol/idol_r50_8xb4-12k_youtubevis2019.py --out clips.png
  # other clips, and another number of them
  python tools/browse_dataset.py CONFIG --number 20 --seed 1 --out clips.png
  # a validation video as annotated
  python tools/browse_dataset.py CONFIG --split val --number 1 --out video.mp4
  # an annotation file and its frames
  python tools/browse_dataset.py train.json train/JPEGImages --out sheet.png
  python tools/browse_dataset.py train.json train/JPEGImages --video 0043f083b5 --out video.mp4

exit status: 0 written, 1 config, data or file cannot be used
"""


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", metavar="SOURCE",
                        help="config (file or name) or annotation file (.json)")  # fmt: skip
    parser.add_argument("images", metavar="IMAGES", nargs="?",
                        help="folder of the frames of an annotation file")  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("browse.png"), metavar="FILE",
                        help="sheet (.png) or video (.mp4); default: %(default)s")  # fmt: skip
    parser.add_argument("--split", choices=SPLITS, default="train",
                        help="data set of the config (default: %(default)s)")  # fmt: skip
    parser.add_argument("--original", action="store_true",
                        help="videos as annotated, not clips after the pipeline")  # fmt: skip
    parser.add_argument("--video", metavar="NAME", help="only this video, as annotated")
    parser.add_argument("--number", type=int, default=8, metavar="N",
                        help="clips or videos to show at most (default: %(default)s)")  # fmt: skip
    parser.add_argument("--frames", type=int, default=6, metavar="N",
                        help="frames of a clip on a sheet (default: %(default)s)")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0,
                        help="which clips are drawn (default: %(default)s)")  # fmt: skip
    parser.add_argument("--fps", type=float, default=5.0,
                        help="frames per second of a video (default: %(default)s)")  # fmt: skip
    parser.add_argument("--cfg-options", nargs="+", action=OptionsAction, metavar="FIELD=VALUE",
                        help="fields of the config to overwrite")  # fmt: skip
    args = parser.parse_args(arguments)
    if args.number < 1 or args.frames < 1:
        parser.error("--number and --frames must be at least 1")
    return args


def browse(args: argparse.Namespace) -> None:
    """Draw as the command line says."""
    prepare_output_file(args.out, "--out")
    as_annotated = args.original or args.split != "train" or args.video is not None
    if Path(args.source).suffix == ".json":
        if args.images is None:
            raise ConfigError(f"{args.source} is no config, so IMAGES, its frames, are needed")
        dataset, as_annotated = file_dataset(args.source, args.images), True
    else:
        dataset = config_dataset(load_config(args.source, args.cfg_options), args.split)
    if as_annotated:
        clips = annotated_videos(dataset, args.video)
    else:
        clips = training_clips(dataset, args.seed)
    names = (getattr(dataset, "metainfo", None) or {}).get("classes", ())
    if args.out.suffix == ".mp4":
        shown = write_video(args.out, clips, names, args.number, args.fps)
    else:
        shown = write_sheet(args.out, clips, names, args.number, args.frames)
    print(f"{args.out}: {shown} {'videos' if as_annotated else 'clips'}")


def main(arguments: list[str] | None = None) -> int:
    """Run the tool; return the exit status."""
    args = parse_args(arguments)
    return run_command(lambda: browse(args))


if __name__ == "__main__":
    sys.exit(main())
