# SPDX-License-Identifier: Apache-2.0
"""A large results file read by two processes.

The file is cut where the second process takes over. That place is a guess; the first process
notices when it gets there if no record begins there, and what the second one did is thrown away.
The same goes for anything but plain success of the second process, so that warnings, skipped
records and errors come in file order whatever the number of processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from visbench.evaluation.large_files import (
    SecondProcess,
    can_fork,
    check_workers,
    without_collector,
)
from visbench.evaluation.results import group_by_video
from visbench.evaluation.streams import find_split, iterate_records
from visbench.evaluation.video_evaluator import Collected, VideoEvaluator

__all__ = ["LARGE_FILE", "add_file"]

LARGE_FILE = 50_000_000
"""Size in bytes from which two processes are worth their while."""

# The second process has to be started, and the first has to wait for what it found.
_FIRST_SHARE = 0.48

Progress = Callable[[int], object]


def add_file(
    evaluator: VideoEvaluator,
    path: Path,
    workers: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Compare all predictions of a results file with the ground truth.

    Args:
        evaluator: Where they are added.
        path: A json, json.gz or zip file.
        workers: 1 or 2 processes; None takes two for plain JSON files from :data:`LARGE_FILE` on.
            Two are used where processes can be forked safely and the evaluator is new and
            :attr:`~VideoEvaluator.divisible`, otherwise one.
        progress: Called with the number of predictions read so far.

    Raises:
        InputError: The file or a record has a defect.
        ValueError: ``workers`` is neither None nor 1 nor 2.
    """
    check_workers(workers)
    if not evaluator.divisible or evaluator.reader.count:
        workers = 1
    split = _split(path, workers)
    with without_collector():
        second = None if split is None else _start(evaluator, path, split)
        if split is None or second is None:
            _add_part(evaluator, path, 0, None, progress)
            return
        with second:
            if _add_part(evaluator, path, 0, split, progress):
                collected = second.result()
                if collected is None:
                    _add_part(evaluator, path, split, None, progress)
                else:
                    evaluator.absorb(collected)
    if progress is not None:
        progress(evaluator.reader.count)


def _split(path: Path, workers: int | None) -> int | None:
    """Return where the second process begins to read; None for one process."""
    if workers == 1 or not path.is_file():
        return None
    size = path.stat().st_size
    if (workers is None and size < LARGE_FILE) or not can_fork():
        return None
    return find_split(path, int(size * _FIRST_SHARE))


def _add_part(
    evaluator: VideoEvaluator,
    path: Path,
    start: int,
    stop: int | None,
    progress: Progress | None,
) -> bool:
    """Add the records from one offset to another; return whether it ended there."""
    reached = False

    def records() -> Iterator[Any]:
        nonlocal reached
        number = evaluator.reader.count
        reached = yield from iterate_records(path, start, stop, number, plain=True)

    for group in group_by_video(evaluator.reader.read_all(records())):
        evaluator.add(group)
        if progress is not None:
            progress(evaluator.reader.count)
    return reached


def _start(evaluator: VideoEvaluator, path: Path, start: int) -> SecondProcess[Collected] | None:
    """Start the process that reads the second part."""

    def collect() -> Collected | None:
        skipped = len(evaluator.notes.skipped)
        _add_part(evaluator, path, start, None, None)
        return evaluator.collected() if len(evaluator.notes.skipped) == skipped else None

    return SecondProcess.start(collect)
