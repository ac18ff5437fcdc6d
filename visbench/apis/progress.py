# SPDX-License-Identifier: Apache-2.0
"""The progress of a video, on the standard error stream."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)

from visbench.apis.sources import ImageSource


@contextmanager
def frame_progress(source: ImageSource) -> Iterator[Callable[[int], None]]:
    """Show a bar for the frames of a video.

    Args:
        source: The video; without a known length the bar only counts.

    Yields:
        A function that takes the number of frames done.
    """
    columns = (
        *(SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()),
        *(TextColumn("{task.fields[rate]:.1f} frames/s"), TimeRemainingColumn()),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(source.name, total=source.expected_length, rate=0.0)
        start = time.monotonic()

        def advance(done: int) -> None:
            rate = done / max(time.monotonic() - start, 1e-9)
            bar.update(task, completed=done, rate=rate)

        yield advance


def say(text: str) -> None:
    """Print a remark for human eyes; it is not folded, so that paths can be copied."""
    Console(stderr=True).print(text, soft_wrap=True, markup=False, highlight=False)
