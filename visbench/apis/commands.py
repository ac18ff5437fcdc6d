# SPDX-License-Identifier: Apache-2.0
"""What tools/demo.py does."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType

from visbench.apis.opening import open_source
from visbench.apis.progress import say
from visbench.apis.sources import InputError
from visbench.engine.config_files import find_config
from visbench.engine.errors import UserError
from visbench.engine.outputs import prepare_output_file, prepare_output_folder
from visbench.visualization import OverlayWriter, VideoWriteError

_EXAMPLES = """examples:
  # a video file; the config by its path, its file name or a model name of the library
  python tools/demo.py idol_r50_youtubevis2019 CHECKPOINT.pth in.mp4 --out out.mp4
  # a folder of frames, on the CPU, 25 frames per second, with one PNG of track ids per frame
  python tools/demo.py CONFIG.py CHECKPOINT.pth frames/ --out out.mp4 --device cpu --fps 25 --masks masks/
  # ten seconds of the first camera; Ctrl-C ends earlier and keeps what was recorded
  python tools/demo.py CONFIG.py CHECKPOINT.pth 0 --out camera.mp4 --max-frames 300

Next to OUT.mp4 the tracks are written to OUT.json, in the form of a YouTube-VIS results.json with
category_name and track_id added. Exit status: 0 done, 2 an error in the input, 130 interrupted.
"""  # noqa: E501 (a command is one line)


def demo_parser() -> argparse.ArgumentParser:
    """Return the arguments of tools/demo.py."""
    parser = argparse.ArgumentParser(
        description="Segment and track objects in a video, a folder of frames or a camera",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", help="config of the method: a file, or a name of the library")
    parser.add_argument("checkpoint", help="checkpoint trained with that config")
    parser.add_argument("input", help="video file, folder of frames, or number of a camera")
    parser.add_argument("--out", required=True, metavar="OUT.mp4", help="overlay video to write")
    parser.add_argument(
        "--score-thr",
        type=float,
        default=0.3,
        metavar="SCORE",
        help="least score that is drawn, 0 to 1 (default 0.3); OUT.json has all predictions",
    )
    parser.add_argument("--device", help="cpu, cuda, cuda:N or mps; the best one by default")
    parser.add_argument(
        "--fps",
        type=float,
        help="frames per second of the video; by default the input's, 10 where it states none",
    )
    parser.add_argument("--max-frames", type=int, metavar="N", help="stop after N frames")
    parser.add_argument(
        "--masks", metavar="FOLDER", help="also write one PNG per frame whose pixels are track ids"
    )
    parser.add_argument(
        "--contact-sheet", metavar="SHEET.png", help="also write frames spread over the video"
    )
    parser.add_argument(
        "--show", action="store_true", help="also show the frames in a window; Q ends the video"
    )
    return parser


def demo(arguments: Sequence[str] | None = None) -> int:
    """Run the demo as the command line says.

    Args:
        arguments: Words after the program name; those of the process if None.

    Returns:
        The exit status: 0; 2 after an error that the user can mend, which is printed as one
        message; 130 if interrupted. What was processed before is kept in all cases.
    """
    args = demo_parser().parse_args(arguments)
    try:
        with _terminate_as_interrupt():
            _run(args)
    except (UserError, VideoWriteError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; what was done is kept", file=sys.stderr)
        return 130
    return 0


def _run(args: argparse.Namespace) -> None:
    _check_arguments(args)
    with closing(open_source(args.input, args.max_frames)) as source:
        from visbench.apis.inferencer import VISInferencer

        inferencer = VISInferencer(args.config, args.checkpoint, args.device)
        results = Path(args.out).with_suffix(".json")
        inferencer(
            source,
            video_out=args.out,
            results_out=results,
            masks_out=args.masks,
            contact_sheet=args.contact_sheet,
            fps=args.fps,
            pred_score_thr=args.score_thr,
            show=args.show,
        )
    say(f"written: {args.out}, {results}")


def _check_arguments(args: argparse.Namespace) -> None:
    """Find what is wrong before PyTorch is loaded, which takes seconds."""
    find_config(args.config)
    if not Path(args.checkpoint).expanduser().is_file():
        raise InputError(f"checkpoint {args.checkpoint} does not exist; check the path")
    if not 0 <= args.score_thr <= 1:
        raise InputError(f"--score-thr is {args.score_thr}; use a number from 0 to 1")
    try:
        OverlayWriter(args.out, 1.0 if args.fps is None else args.fps)
    except ValueError as error:
        raise InputError(f"--out and --fps: {error}") from error
    prepare_output_file(args.out, "--out")
    prepare_output_folder(args.masks, "--masks")
    prepare_output_file(args.contact_sheet, "--contact-sheet")


@contextmanager
def _terminate_as_interrupt() -> Iterator[None]:
    """Treat SIGTERM like Ctrl-C, so that files are closed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
