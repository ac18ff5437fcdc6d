# SPDX-License-Identifier: Apache-2.0
"""``benchmark.py speed``: time of each stage, frames per second and memory."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from visbench.benchmark.suites import add_config_arguments, chosen_configs
from visbench.engine.errors import UserError

_EXAMPLES = """examples:
  # the demo methods with initial weights on 36, 100 and 200 frames of 360x640
  python tools/benchmark.py speed --suite demo
  # a trained method: what it detects decides what association and mask encoding cost
  python tools/benchmark.py speed idol_demo_movingshapes \\
      --checkpoint idol_demo_movingshapes=work_dirs/idol/iter_1650.pth
  # a method and its ablation on one thread, in the size of MovingShapes
  python tools/benchmark.py speed a.py b.py --threads 1 --size 128x192 --frames 36
  # on the second GPU with a video of your own, which is read as it is
  python tools/benchmark.py speed a.py --device cuda:1 --video street.mp4 --frames 300
  # once more, to see how far two measurements differ; both stay in the table
  python tools/benchmark.py speed a.py --frames 100 --again

The table has a line per config and length: milliseconds of reading, preprocessing, network,
association and mask encoding (median, 95th percentile, share), frames per second online (one frame
per step as it arrives) and of the whole video as a test runs it, and the peak of host and GPU
memory. Several lengths show what grows with the video. The page beside it says what counts as which
stage and what is not separable in a method. Nothing else should run on the machine meanwhile;
times compare within one machine only.

Files in the work folder: speed.md and speed.csv; rows/ with one JSON file per measurement, named by
config, video, size, frames, device, threads, weights and hash of the config, never overwritten;
logs/; videos/ with the frames. Finished rows of the same machine and versions are shown without
measuring; after Ctrl-C the same command goes on with what is missing. A failure has a row that
says why, and is tried again.

Exit status: 0 all finished; 1 a measurement failed (its row says why); 2 nothing could start;
130 interrupted.
"""
_SIZE = (360, 640)


def add_speed_command(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the subcommand.

    Args:
        commands: Where ``add_parser`` of the program puts its subcommands.
    """
    command = commands.add_parser(
        "speed",
        help="measure the time of each stage, frames per second and memory",
        description="Measure time per stage, frames per second and memory against video length",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_config_arguments(command)
    command.add_argument(
        "--checkpoint",
        nargs="+",
        action="extend",
        default=[],
        metavar="CONFIG=FILE",
        help="weights of a config; the others are measured with initial ones, as their rows say",
    )
    _add_video(command)
    _add_place(command)
    command.set_defaults(run=_run)


def _add_video(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("video")
    group.add_argument(
        "--frames",
        type=_positive,
        nargs="+",
        default=[36, 100, 200],
        metavar="N",
        help="lengths of the video (default: 36 100 200); shorter material is repeated",
    )
    group.add_argument(
        "--size",
        type=_size,
        metavar="HxW",
        help="height and width of the frames before the test pipeline (default: 360x640)",
    )
    group.add_argument(
        "--video",
        metavar="PATH",
        help="a video file or a folder of frames, in its own size; a video of MovingShapes by "
        "default",
    )


def _add_place(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("where")
    group.add_argument("--device", help="cpu, cuda, cuda:N or mps; the best one by default")
    group.add_argument(
        "--threads",
        type=_positive,
        metavar="N",
        help="threads of the processor; OMP_NUM_THREADS or all usable cores by default",
    )
    group.add_argument(
        "--work-dir",
        type=Path,
        default=Path("work_dirs/speed"),
        help="folder of rows, logs and tables (default: %(default)s)",
    )
    group.add_argument(
        "--out", metavar="PATH", help="tables without ending; <work-dir>/speed by default"
    )
    group.add_argument(
        "--again", action="store_true", help="measure anew what has a row; it gets the next number"
    )


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number of at least 1")
    return int(text)


def _size(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    if not (height.isdigit() and width.isdigit() and int(height) and int(width)):
        raise argparse.ArgumentTypeError(f"{text!r} must be HEIGHTxWIDTH in pixels, e.g. 360x640")
    return int(height), int(width)


def _checkpoints(words: list[str]) -> dict[str, str]:
    files = {}
    for word in words:
        name, equals, file = word.partition("=")
        if not (name and equals and file):
            raise UserError(f"--checkpoint {word}: write CONFIG=FILE")
        files[name] = file
    return files


def _run(args: argparse.Namespace) -> int:
    configs = chosen_configs(args)
    if not configs:
        raise UserError("nothing to measure; give --suite or config files")
    if args.video and args.size:
        raise UserError("--size goes with MovingShapes; a video of --video keeps its own size")
    # What measures takes a moment to import, which the other subcommands are spared.
    from visbench.benchmark.speed.material import shapes_material, video_material
    from visbench.benchmark.speed.plan import default_threads, find_place, find_subjects, plan
    from visbench.benchmark.speed.run import holding, speed

    subjects = find_subjects(configs, _checkpoints(args.checkpoint))
    place = find_place(args.device, args.threads or default_threads())
    given = video_material(args.video) if args.video else None
    with holding(args.work_dir):
        material = given or shapes_material(args.work_dir / "videos", *(args.size or _SIZE))
        measurements = plan(subjects, material, args.frames, place)
        return speed(measurements, args.work_dir, args.out, args.again)
