# SPDX-License-Identifier: Apache-2.0
"""A large results file read by two processes.

The file is cut where the second process takes over. That place is a guess; the first process
notices when it gets there if no record begins there, and what the second one did is thrown away.
The same goes for anything but plain success of the second process, so that warnings, skipped
records and errors come in file order whatever the number of processes.
"""

from __future__ import annotations

import gc
import multiprocessing
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

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
    if workers not in (None, 1, 2):
        raise ValueError(f"workers must be 1, 2 or None, found {workers!r}")
    if not evaluator.divisible or evaluator.reader.count:
        workers = 1
    split = _split(path, workers)
    with _without_collector():
        started = None if split is None else _start(evaluator, path, split)
        if split is None or started is None:
            _add_part(evaluator, path, 0, None, progress)
            return
        connection, process = started
        try:
            if _add_part(evaluator, path, 0, split, progress):
                collected = _receive(connection)
                if collected is None:
                    _add_part(evaluator, path, split, None, progress)
                else:
                    evaluator.absorb(collected)
        finally:
            connection.close()
            process.terminate()
            process.join()
    if progress is not None:
        progress(evaluator.reader.count)


def _split(path: Path, workers: int | None) -> int | None:
    """Return where the second process begins to read; None for one process."""
    if workers == 1 or not path.is_file():
        return None
    size = path.stat().st_size
    if (workers is None and size < LARGE_FILE) or not _can_fork():
        return None
    return find_split(path, int(size * _FIRST_SHARE))


def _can_fork() -> bool:
    # Locks that other threads hold stay locked in a forked process, and daemons may not have any.
    alone = threading.active_count() == 1 and not multiprocessing.current_process().daemon
    return sys.platform == "linux" and alone


@contextmanager
def _without_collector() -> Iterator[None]:
    """Pause the collector of reference cycles: there are none here, but very many objects."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


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


def _start(
    evaluator: VideoEvaluator, path: Path, start: int
) -> tuple[Connection, multiprocessing.process.BaseProcess] | None:
    """Start the other process; None if the system has no room for it."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(evaluator, path, start, theirs), daemon=True)
    try:
        process.start()
    except OSError:
        ours.close()
        return None
    finally:
        theirs.close()
    return ours, process


def _work(evaluator: VideoEvaluator, path: Path, start: int, connection: Connection) -> None:
    """Read the second part in the other process; None is sent if it has to be read again."""
    collected: Collected | None = None
    skipped = len(evaluator.notes.skipped)
    try:
        _add_part(evaluator, path, start, None, None)
        if len(evaluator.notes.skipped) == skipped:
            collected = evaluator.collected()
    except Exception:
        # The first process meets the same problem in file order and reports it.
        collected = None
    connection.send(collected)
    connection.close()


def _receive(connection: Connection) -> Collected | None:
    try:
        collected = connection.recv()
    except EOFError:
        return None
    return collected if isinstance(collected, Collected) else None
