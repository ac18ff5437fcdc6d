# SPDX-License-Identifier: Apache-2.0
"""Worker processes: one phase of one run each, so that a crash stays where it happened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from visbench.benchmark.events import parse

Event = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """How a worker ended: an empty ``error`` means well."""

    error: str
    log: Path


def run_worker(
    arguments: Sequence[str],
    log: Path,
    on_event: Callable[[Event], None],
    module: str = "visbench.benchmark.worker",
    own_stderr: bool = False,
    environment: Mapping[str, str] | None = None,
) -> Outcome:
    """Run a worker to its end; its output goes to the log, its events to a function.

    Args:
        arguments: Words for the worker.
        log: File that its output is appended to.
        on_event: Called for every event, see :mod:`visbench.benchmark.events`.
        module: The Python module to run.
        own_stderr: Whether the worker's standard error, e.g. a progress bar, is shown instead of
            going to the log.
        environment: Variables that the worker gets beside those of this process.

    Returns:
        The error, if there was one, and the log.

    Raises:
        KeyboardInterrupt: After the worker has been ended.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    error = ""
    with log.open("a", encoding="utf-8") as file:
        file.write(f"$ python -m {module} {' '.join(arguments)}\n")
        process = _start(module, arguments, own_stderr, environment or {})
        assert process.stdout is not None
        try:
            for line in process.stdout:
                event = parse(line)
                if event is None:
                    file.write(line)
                    file.flush()
                elif "error" in event:
                    error = str(event["error"])
                else:
                    on_event(event)
            status = process.wait()
        except BaseException:
            _end(process)
            raise
    return Outcome(_explain(status, error, log), log)


def _start(
    module: str, arguments: Sequence[str], own_stderr: bool, environment: Mapping[str, str]
) -> subprocess.Popen[str]:
    package_root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        [sys.executable, "-u", "-m", module, *arguments],
        stdout=subprocess.PIPE,
        stderr=None if own_stderr else subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        errors="replace",
        env={**os.environ, **environment, "PYTHONPATH": path},
    )


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _explain(status: int, error: str, log: Path) -> str:
    if status == 0:
        return ""
    if error:
        return error
    if status < 0:
        name = signal.Signals(-status).name
        hint = "; was there too little memory?" if name == "SIGKILL" else ""
        return f"the process was ended by {name}{hint}"
    lines = [line for line in log.read_text(encoding="utf-8").splitlines() if line.strip()]
    return f"exit status {status}: {lines[-1] if lines else 'no output'}"
