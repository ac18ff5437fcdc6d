# SPDX-License-Identifier: Apache-2.0
"""Where units run: side by side on this machine, or as jobs of a cluster."""

from __future__ import annotations

import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from rich.console import Console

from visbench.benchmark.claims.unit import Listener, Terms, Unit, failed_row, run_unit
from visbench.benchmark.live import LiveProgress, LiveTask
from visbench.benchmark.machine import check_device
from visbench.benchmark.processes import Event
from visbench.benchmark.rows import Row
from visbench.engine.errors import UserError


class Executor(ABC):
    """Runs units, at most ``slots`` at a time.

    Args:
        terms: How units are run.
        slots: How many at a time.
    """

    def __init__(self, terms: Terms, slots: int) -> None:
        self.terms = terms
        self.slots = slots

    @abstractmethod
    def submit(self, unit: Unit) -> None:
        """Start a unit."""

    @abstractmethod
    def finished(self) -> list[tuple[Unit, list[Row]]]:
        """Wait until a unit ends; return those that have ended, with their rows."""

    @abstractmethod
    def cancel(self) -> None:
        """End what is running; its checkpoints stay."""

    @abstractmethod
    def close(self) -> None:
        """Give back what the executor holds; nothing is running any more."""


class _Cancelled(Exception):
    pass


class LocalExecutor(Executor):
    """Worker processes on this machine.

    Args:
        terms: How units are run.
        slots: How many at a time.
        devices: Devices that runs take in turn, e.g. ``["cuda:0", "cuda:1"]``.
        console: Where progress is shown.
    """

    def __init__(
        self, terms: Terms, slots: int, devices: Sequence[str | None], console: Console
    ) -> None:
        super().__init__(terms, slots)
        self._console = console
        self._pool = ThreadPoolExecutor(slots)
        self._running: dict[Future[list[Row]], tuple[Unit, Terms]] = {}
        self._stop = threading.Event()
        self._shown: dict[Unit, tuple[str, LiveTask]] = {}
        groups = device_groups(terms, slots, devices)
        self._free = [replace(terms, **group) for group in groups]
        self._display = ExitStack()
        self._live: LiveProgress | None = None

    def submit(self, unit: Unit) -> None:
        """Start a unit in a thread, which waits for its processes."""
        if self._live is None:
            self._live = self._display.enter_context(LiveProgress(self._console))
        terms = self._free.pop(0)
        future = self._pool.submit(run_unit, unit, terms, self._listener(unit, self._live))
        self._running[future] = (unit, terms)

    def finished(self) -> list[tuple[Unit, list[Row]]]:
        """Wait until a unit ends; return those that have ended, with their rows."""
        done, _ = wait(self._running, return_when=FIRST_COMPLETED)
        found = []
        for future in done:
            unit, terms = self._running.pop(future)
            self._free.append(terms)
            self._hide(unit)
            found.append((unit, _rows(unit, terms, future)))
        return found

    def cancel(self) -> None:
        """End the workers at their next event."""
        self._stop.set()
        wait(self._running)
        self._running.clear()

    def close(self) -> None:
        """End the threads and the display."""
        self._pool.shutdown()
        self._display.close()

    def _listener(self, unit: Unit, live: LiveProgress) -> Listener:
        def listen(phase: str, event: Event) -> None:
            if self._stop.is_set():
                raise _Cancelled
            if unit not in self._shown or self._shown[unit][0] != phase:
                self._hide(unit)
                self._shown[unit] = (phase, live.start(f"{unit.title}: {phase}"))
            if "stage" in event:
                self._shown[unit][1].update(event)

        return listen

    def _hide(self, unit: Unit) -> None:
        if unit in self._shown:
            self._shown.pop(unit)[1].end()


def device_groups(terms: Terms, slots: int, devices: Sequence[str | None]) -> list[dict[str, Any]]:
    """Return what each slot changes of the terms, so that slots take devices in turn.

    Args:
        terms: How units are run.
        slots: How many run at a time.
        devices: The devices; ``[None]`` for the best one.

    Raises:
        UserError: If a run needs more devices than there are, or several of one that cannot be
            told apart by number.
    """
    size = terms.devices_per_run
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, (os.cpu_count() or 1) // slots))
    environment = {**(terms.environment or {}), "OMP_NUM_THREADS": threads}
    numbers = [device.rpartition(":")[2] for device in devices if device and ":" in device]
    if size == 1 or not numbers:
        return [
            {"device": devices[slot % len(devices)], "environment": environment}
            for slot in range(slots)
        ]
    if len(numbers) < size:
        raise UserError(
            f"--devices-per-run {size} needs {size} devices; --device names {len(numbers)}"
        )
    groups = [numbers[begin : begin + size] for begin in range(0, len(numbers) - size + 1, size)]
    return [
        {
            "device": "cuda",
            "environment": {
                **environment,
                "CUDA_VISIBLE_DEVICES": ",".join(groups[slot % len(groups)]),
            },
        }
        for slot in range(slots)
    ]


class SubmititExecutor(Executor):
    """Jobs of a cluster, through submitit. Work folder and rows must be visible to all nodes.

    Args:
        terms: How units are run.
        slots: How many jobs at a time.
        cluster: ``slurm``, or submitit's ``local``: processes of this machine.
        parameters: What submitit's ``update_parameters`` takes, e.g. ``slurm_partition``.
        console: Where jobs are told.
        poll_s: Seconds between looks at the jobs.

    Raises:
        UserError: If submitit is missing or refuses a parameter.
    """

    def __init__(
        self,
        terms: Terms,
        slots: int,
        cluster: str,
        parameters: Mapping[str, Any],
        console: Console,
        poll_s: float = 5.0,
    ) -> None:
        super().__init__(terms, slots)
        try:
            import submitit
        except ImportError as error:
            raise UserError(
                "jobs of a cluster need submitit; pip install 'visbench[cluster]'"
            ) from error
        self._console = console
        self._poll_s = poll_s
        self._running: list[tuple[Unit, Any]] = []
        try:
            self._executor = submitit.AutoExecutor(terms.work_dir / "jobs", cluster=cluster)
            self._executor.update_parameters(name="visbench-claims", **parameters)
        except (NameError, TypeError, ValueError, RuntimeError, AssertionError) as error:
            raise UserError(
                f"submitit cannot use cluster {cluster!r} with {dict(parameters)}: {error}"
            ) from error

    def submit(self, unit: Unit) -> None:
        """Submit a unit as one job."""
        try:
            job = self._executor.submit(run_unit, unit, self.terms)
        except (OSError, RuntimeError) as error:
            raise UserError(
                f"{unit.title} cannot be submitted: {error}; check --cluster NAME=VALUE"
            ) from error
        self._running.append((unit, job))
        self._console.print(f"{unit.title}: job {job.job_id}, log {job.paths.stdout}", markup=False)

    def finished(self) -> list[tuple[Unit, list[Row]]]:
        """Wait until a job ends; return those that have ended, with their rows."""
        while True:
            done = [entry for entry in self._running if entry[1].done()]
            if done:
                break
            time.sleep(self._poll_s)
        self._running = [entry for entry in self._running if entry not in done]
        return [(unit, _rows(unit, self.terms, job, str(job.paths.stderr))) for unit, job in done]

    def cancel(self) -> None:
        """Cancel the jobs."""
        for _, job in self._running:
            job.cancel()
        self._running.clear()

    def close(self) -> None:
        """Do nothing: what jobs hold belongs to the cluster."""


def _rows(unit: Unit, terms: Terms, work: Any, log: str = "") -> list[Row]:
    """Return the rows of a future or job; whatever it raised makes failed rows."""
    try:
        rows: list[Row] = work.result()
        return rows
    except Exception as error:
        # A job's error quotes the traceback of its process between lines of dashes.
        lines = str(error).partition("\nYou can check")[0].splitlines()
        said = [line for line in lines if line.strip("- ")]
        reason = f"{type(error).__name__}: {said[-1] if said else 'no message'}"
        return [failed_row(run, terms, reason, log) for run in unit.runs]


def make_executor(
    kind: str,
    terms: Terms,
    slots: int,
    devices: Sequence[str | None],
    parameters: Mapping[str, Any],
    console: Console,
) -> Executor:
    """Return an executor.

    Args:
        kind: A key of :data:`EXECUTORS`.
        terms: How units are run.
        slots: How many at a time.
        devices: Devices of this machine that runs take in turn.
        parameters: Parameters of submitit.
        console: Where progress is shown.

    Raises:
        UserError: If jobs are given several devices, a device is not there, or submitit is missing
            or refuses a parameter.
    """
    cluster = EXECUTORS[kind]
    if cluster != "slurm":
        # The machine that submits to a cluster often has none of its devices.
        for device in devices:
            check_device(device)
    if cluster is None:
        return LocalExecutor(terms, slots, devices, console)
    if len(devices) > 1:
        raise UserError(
            f"--device {' '.join(map(str, devices))}: every job chooses from the devices that it "
            "is given; name one kind, e.g. --device cuda"
        )
    if cluster == "slurm":
        # A cluster without GPUs refuses even a request for none.
        gpus = {} if terms.device == "cpu" else {"gpus_per_node": terms.devices_per_run}
        parameters = {"nodes": 1, **gpus, **parameters}
    return SubmititExecutor(terms, slots, cluster, parameters, console)


EXECUTORS: dict[str, str | None] = {
    "local": None,
    "slurm": "slurm",
    "submitit-local": "local",
}
"""Cluster of submitit by the name of an executor; None for this machine's own processes."""
