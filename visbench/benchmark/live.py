# SPDX-License-Identifier: Apache-2.0
"""Progress of worker processes: a bar in a terminal, a line now and then in a log."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

_LINE_EVERY = 15.0


class LiveTask:
    """One worker in a display.

    Args:
        bar: The display.
        console: Its console. If it is no terminal, a line is written every 15 seconds.
        title: What to call the worker.
    """

    def __init__(self, bar: Progress, console: Console, title: str) -> None:
        self._bar, self._console, self._title = bar, console, title
        self._begin = self._last = time.monotonic()
        self._task = bar.add_task(title, total=None, note="starting")
        if not console.is_terminal:
            console.print(f"{title}: starting", markup=False)

    def update(self, event: dict[str, Any]) -> None:
        """Show an event with ``done``, ``total`` and perhaps ``loss`` or ``note``."""
        done, total = int(event["done"]), event.get("total")
        note = str(event.get("note") or "")
        if event.get("loss") is not None:
            note = f"loss {event['loss']:.3f}"
        self._bar.update(self._task, completed=done, total=total, note=note)
        now = time.monotonic()
        if not self._console.is_terminal and (now - self._last > _LINE_EVERY or done == total):
            self._last = now
            seconds = round(now - self._begin)
            self._console.print(f"{self._title}: {done}/{total} {note} {seconds} s", markup=False)

    def end(self) -> None:
        """Take the worker out of the display."""
        self._bar.remove_task(self._task)


class LiveProgress:
    """Shows the events of workers.

    Args:
        console: Where to show them. If it is no terminal, a line is written every 15 seconds.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        columns = (
            *(SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn()),
            *(MofNCompleteColumn(), TextColumn("{task.fields[note]}", markup=False)),
            *(TimeElapsedColumn(), TimeRemainingColumn()),
        )
        self._bar = Progress(*columns, console=console, disable=not console.is_terminal)
        self._task: LiveTask | None = None

    def start(self, title: str) -> LiveTask:
        """Begin with a worker; the last one begun is the one that :meth:`update` means."""
        self._task = LiveTask(self._bar, self._console, title)
        return self._task

    def update(self, event: dict[str, Any]) -> None:
        """Show an event of the worker begun last."""
        assert self._task is not None
        self._task.update(event)

    def __enter__(self) -> LiveProgress:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()
