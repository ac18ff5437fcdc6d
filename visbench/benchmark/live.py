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


class LiveProgress:
    """Shows the events of one worker.

    Args:
        console: Where to show them. If it is no terminal, a line is written every 15 seconds.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        columns = (
            *(SpinnerColumn(), TextColumn("{task.description}"), BarColumn()),
            *(MofNCompleteColumn(), TextColumn("{task.fields[note]}")),
            *(TimeElapsedColumn(), TimeRemainingColumn()),
        )
        self._bar = Progress(*columns, console=console, disable=not console.is_terminal)
        self._task: Any = None
        self._title = ""
        self._begin = self._last = time.monotonic()

    def start(self, title: str) -> None:
        """Begin with a worker."""
        self._title = title
        self._begin = self._last = time.monotonic()
        self._task = self._bar.add_task(title, total=None, note="starting")
        if not self._console.is_terminal:
            self._console.print(f"{title}: starting", markup=False)

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
