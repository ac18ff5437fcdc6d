# SPDX-License-Identifier: Apache-2.0
"""Processes that write videos.

A worker is a fresh interpreter that imports this package alone, under the name
``moving_shapes``: it starts in a fraction of a second, and neither the caller's main module nor
libraries that do not survive a fork are touched. Jobs go in and annotations come out as lines of
JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

_START = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from moving_shapes.workers import serve; serve(sys.stdin, sys.stdout)"
)


def serve(requests: IO[str], answers: IO[str]) -> None:
    """Write the videos asked for and answer each with its annotations, until the input ends."""
    from .writer import Job, write_video

    for line in requests:
        answer = json.dumps(write_video(Job.from_json(line)), separators=(",", ":"))
        answers.write(answer + "\n")
        answers.flush()


def write_in_parallel(jobs: Sequence[str], workers: int) -> Iterator[list[dict[str, Any]]]:
    """Yield the annotations of every job, in order.

    Args:
        jobs: Jobs as lines of JSON.
        workers: Number of processes; job i goes to process ``i % workers``.

    Raises:
        OSError: If a process ends early, with the last lines of its error output.
    """
    with ExitStack() as stack:
        crew = [stack.enter_context(_Worker(jobs[first::workers])) for first in range(workers)]
        for number in range(len(jobs)):
            yield crew[number % workers].answer()


class _Worker:
    """One process; ended when the context is left."""

    def __init__(self, jobs: Sequence[str]) -> None:
        self._jobs = jobs

    def __enter__(self) -> _Worker:
        self._requests = _scratch_file("\n".join(self._jobs) + "\n")
        self._errors = _scratch_file("")
        folder = str(Path(__file__).resolve().parents[1])
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START, folder],
            stdin=self._requests,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},
            encoding="utf-8",
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._requests.close()
        self._errors.close()

    def answer(self) -> list[dict[str, Any]]:
        """Return the next answer, waiting for it."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.endswith("\n"):
            code = self._process.wait()
            self._errors.seek(0)
            reason = "\n".join(self._errors.read().splitlines()[-5:])
            raise OSError(f"a process that writes videos ended early (exit {code}):\n{reason}")
        return json.loads(line)


def _scratch_file(text: str) -> IO[str]:
    """Return an unnamed file that holds a text, at its start."""
    handle = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115
    handle.write(text)
    handle.seek(0)
    return handle
