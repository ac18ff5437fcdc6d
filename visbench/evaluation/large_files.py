# SPDX-License-Identifier: Apache-2.0
"""What makes reading large files quick: a second process, and no collector of reference cycles."""

from __future__ import annotations

import gc
import multiprocessing
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Generic, TypeVar

__all__ = ["SecondProcess", "can_fork", "check_workers", "without_collector"]

Value = TypeVar("Value")


def can_fork() -> bool:
    """Return whether a process can be forked safely here.

    Locks that other threads hold stay locked in a forked process, and daemons may not have any.
    """
    alone = threading.active_count() == 1 and not multiprocessing.current_process().daemon
    return sys.platform == "linux" and alone


def check_workers(workers: int | None) -> None:
    """Check a number of processes that somebody asked for.

    Raises:
        ValueError: It is neither None nor 1 nor 2.
    """
    if workers not in (None, 1, 2):
        raise ValueError(f"workers must be 1, 2 or None, found {workers!r}")


@contextmanager
def without_collector() -> Iterator[None]:
    """Pause the collector of reference cycles: there are none here, but very many objects."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class SecondProcess(Generic[Value]):
    """A forked process, from :meth:`start`; it ends with the block that it is used in.

    Args:
        connection: Where its value arrives.
        process: The process.
    """

    def __init__(self, connection: Connection, process: BaseProcess) -> None:
        self._connection = connection
        self._process = process

    @classmethod
    def start(cls, function: Callable[[], Value | None]) -> SecondProcess[Value] | None:
        """Fork a process that calls a function; None if the system has no room for it.

        Args:
            function: Returns the value, or None if the first process has to do the work itself
                after all. An exception counts as None: the first process meets the same problem
                and reports it.
        """
        context = multiprocessing.get_context("fork")
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(function, theirs), daemon=True)
        try:
            process.start()
        except OSError:
            ours.close()
            return None
        finally:
            theirs.close()
        return cls(ours, process)

    def __enter__(self) -> SecondProcess[Value]:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._process.terminate()
        self._process.join()

    def result(self) -> Value | None:
        """Wait for the value; None if there is none, or the process died."""
        try:
            value: Value | None = self._connection.recv()
        except EOFError:
            return None
        return value


def _work(function: Callable[[], object], connection: Connection) -> None:
    try:
        value = function()
    except Exception:
        value = None
    connection.send(value)
    connection.close()
