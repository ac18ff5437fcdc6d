# SPDX-License-Identifier: Apache-2.0
"""``benchmark.py report``: one HTML file that opens offline."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from visbench.engine.errors import UserError

_EXAMPLES = """examples:
  # after `compare --work-dir work_dirs/demo`: writes work_dirs/demo/report.html
  python tools/benchmark.py report work_dirs/demo
  # more videos and larger pictures
  python tools/benchmark.py report work_dirs/demo --videos 6 --max-mb 40 --out demo.html
  # rows from another machine, whose frames and annotations are elsewhere here
  python tools/benchmark.py report work_dirs/demo \\
      --annotations ovis-valid=data/ovis/annotations_valid.json \\
      --image-folder ovis-valid=data/ovis/valid

The page holds a sortable comparison table, AP against speed, breakdowns by class, video length,
occlusion, size and motion, what AP is lost to, training curves, and for the worst and the most
disagreed-on videos the frames of all methods with a timeline of their ids. Every cell of a table
leads to frames. Numbers come from the rows and from the evaluator on each run's results.json; a run
whose files are gone still shows its row. Needs: pip install 'visbench[report]'.

Exit status: 0 written; 2 nothing could be written; 130 interrupted.
"""


def add_report_command(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the subcommand.

    Args:
        commands: Where ``add_parser`` of the program puts its subcommands.
    """
    command = commands.add_parser(
        "report",
        help="write the comparison as one HTML file",
        description="Write the rows of a work folder as one HTML file that opens offline",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("work_dir", metavar="WORK_DIR", help="work folder of `compare`")
    command.add_argument("--out", metavar="FILE", help="<WORK_DIR>/report.html by default")
    command.add_argument("--title", default="Comparison of methods", help="heading of the page")
    command.add_argument(
        "--videos",
        type=_number(0),
        default=3,
        metavar="N",
        help="worst, and most disagreed-on videos of each data set; 3 of each by default",
    )
    command.add_argument(
        "--frames", type=_number(1), default=6, metavar="N", help="frames of each video; 6"
    )
    command.add_argument(
        "--score-threshold",
        type=float,
        metavar="S",
        help="draw predictions from this score on; by default the one with the method's best F1",
    )
    command.add_argument(
        "--max-mb", type=float, default=10.0, metavar="MB", help="largest size of the file; 10"
    )
    for name, word in (("--annotations", "FILE"), ("--image-folder", "DIR")):
        command.add_argument(
            name,
            nargs="+",
            default=[],
            metavar=f"DATA={word}",
            help=f"{name[2:].replace('-', ' ')} of a data set by its name in the table",
        )
    command.set_defaults(run=_run)


def _number(least: int) -> Any:
    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"must be at least {least}, found {value}")
        return value

    return number


def _run(args: argparse.Namespace) -> int:
    from rich.console import Console

    from visbench.benchmark.report import ReportOptions, write_html_report
    from visbench.benchmark.report.gallery import GalleryOptions

    folders = _paths("--image-folder", args.image_folder)
    gallery = GalleryOptions(args.videos, args.frames, args.score_threshold, folders)
    truth = _paths("--annotations", args.annotations)
    options = ReportOptions(args.title, args.max_mb, gallery, truth)
    path = write_html_report(args.work_dir, args.out, options)
    size = path.stat().st_size / 1e6
    Console().print(f"report: {path} ({size:.1f} MB)", markup=False, soft_wrap=True)
    return 0


def _paths(option: str, words: Sequence[str]) -> dict[str, Path]:
    paths = {}
    for word in words:
        dataset, equals, path = word.partition("=")
        if not equals or not Path(path).exists():
            problem = f"{path} does not exist" if equals else "a data set and '=' are missing"
            raise UserError(f"{option} {word}: {problem}; give {option} DATA=PATH")
        paths[dataset] = Path(path)
    return paths
