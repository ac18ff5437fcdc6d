# SPDX-License-Identifier: Apache-2.0
"""What tools/demo.py does."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)

from visbench.apis.results import results_records, write_results
from visbench.apis.sources import ImageSource, InputError, open_source
from visbench.engine.errors import UserError
from visbench.visualization import OverlayWriter, VideoWriteError, display_scale, draw_instances

if TYPE_CHECKING:
    from visbench.apis.inference import VideoStream

_EXAMPLES = """examples:
  # a video file
  python tools/demo.py CONFIG.py work_dirs/NAME/iter_1000.pth in.mp4 --out out.mp4
  # a folder of frames, on the CPU, 25 frames per second
  python tools/demo.py CONFIG.py CHECKPOINT.pth frames/ --out out.mp4 --device cpu --fps 25
  # ten seconds of the first camera; Ctrl-C ends earlier and keeps what was recorded
  python tools/demo.py CONFIG.py CHECKPOINT.pth 0 --out camera.mp4 --max-frames 300

Next to OUT.mp4 the tracks are written to OUT.json, in the form of a YouTube-VIS results.json with
category_name and track_id added. Exit status: 0 done, 2 an error in the input, 130 interrupted.
"""

DEFAULT_FPS = 10.0
"""Frames per second where the input states none (a folder)."""


def demo_parser() -> argparse.ArgumentParser:
    """Return the arguments of tools/demo.py."""
    parser = argparse.ArgumentParser(
        description="Segment and track objects in a video, a folder of frames or a camera",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", help="config file of the method")
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
        help=f"frames per second of the video; by default the input's, {DEFAULT_FPS:g} for folders",
    )
    parser.add_argument("--max-frames", type=int, metavar="N", help="stop after N frames")
    parser.add_argument(
        "--contact-sheet", metavar="SHEET.png", help="also write frames spread over the video"
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
        return _run(args)
    except (UserError, VideoWriteError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _run(args: argparse.Namespace) -> int:
    _check_arguments(args)
    source = open_source(args.input, args.max_frames)
    try:
        writer = _writer(args, source)
        from visbench.apis.inference import init_model, stream

        model = init_model(args.config, args.checkpoint, args.device)
        console = Console(stderr=True)
        if not model.online:
            console.print(
                f"{type(model).__name__} is an offline method: the whole video is segmented first."
            )
        with _progress(source, console) as advance:
            frames = stream(model, source, on_frame=advance)
            start = time.monotonic()
            status = _process(frames, writer, model, args)
        seconds = max(time.monotonic() - start, 1e-9)
    finally:
        source.close()
    rate = frames.num_frames / seconds
    console.print(f"{writer.num_frames} frames, {rate:.1f} frames/s: {writer.path}", soft_wrap=True)
    return status


def _check_arguments(args: argparse.Namespace) -> None:
    for path, what in ((args.config, "config"), (args.checkpoint, "checkpoint")):
        if not Path(path).expanduser().is_file():
            raise InputError(f"{what} {path} does not exist; check the path")
    if not 0 <= args.score_thr <= 1:
        raise InputError(f"--score-thr is {args.score_thr}; use a number from 0 to 1")
    folder = Path(args.out).parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise InputError(f"--out {args.out}: {folder} is no folder that can be written")


def _writer(args: argparse.Namespace, source: ImageSource) -> OverlayWriter:
    fps = args.fps if args.fps is not None else source.fps or DEFAULT_FPS
    try:
        return OverlayWriter(args.out, fps, args.contact_sheet)
    except ValueError as error:
        raise InputError(f"--out and --fps: {error}") from error


def _process(
    frames: VideoStream, writer: OverlayWriter, model: Any, args: argparse.Namespace
) -> int:
    """Draw all frames; whatever happens, video and results of the frames so far are written."""
    meta = model.dataset_meta
    scale = display_scale(frames.source.height, frames.source.width)
    status = 0
    try:
        with _terminate_as_interrupt(), writer:
            try:
                for _, image, instances in frames:
                    drawn = draw_instances(
                        image, instances, meta["classes"], args.score_thr, scale=scale
                    )
                    writer.write(drawn)
            except KeyboardInterrupt:
                print("interrupted: closing the files", file=sys.stderr)
                status = 130
    finally:
        result = frames.result()
        if result is not None:
            records = results_records(result, meta["classes"], meta["category_ids"])
            write_results(Path(args.out).with_suffix(".json"), records)
    return status


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


@contextmanager
def _progress(source: ImageSource, console: Console) -> Iterator[Any]:
    columns = (
        *(SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()),
        *(TextColumn("{task.fields[rate]:.1f} frames/s"), TimeRemainingColumn()),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(source.name, total=source.expected_length, rate=0.0)
        start = time.monotonic()

        def advance(done: int) -> None:
            rate = done / max(time.monotonic() - start, 1e-9)
            bar.update(task, completed=done, rate=rate)

        yield advance
