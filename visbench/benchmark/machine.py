# SPDX-License-Identifier: Apache-2.0
"""Machine, versions and memory of the process that measures."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from visbench.engine.provenance import machine, versions

__all__ = ["check_device", "machine", "peak_memory_mb", "versions"]


def peak_memory_mb() -> float:
    """Return the largest resident memory that this process has had, in MiB."""
    # Linux's rusage begins with the memory of the process that started this one.
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="utf-8").splitlines() if status.exists() else []
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def check_device(device: str | None) -> None:
    """Raise an error if a device is not there."""
    # Importing torch takes seconds; without a wish there is nothing to check.
    if device not in (None, "cpu"):
        from visbench.engine.device import select_device

        select_device(device)
