# SPDX-License-Identifier: Apache-2.0
"""What a worker process tells the comparison: JSON lines between the lines of its log."""

from __future__ import annotations

import json
import sys
from typing import Any

PREFIX = "@visbench "


def send(**event: Any) -> None:
    """Send an event to the process that started this one.

    Args:
        **event: Plain values, e.g. ``stage``, ``done``, ``total`` or ``error``.
    """
    sys.stdout.write(f"{PREFIX}{json.dumps(event)}\n")
    sys.stdout.flush()


def parse(line: str) -> dict[str, Any] | None:
    """Return the event of a line of output, or None for an ordinary line."""
    if not line.startswith(PREFIX):
        return None
    try:
        event = json.loads(line[len(PREFIX) :])
    except ValueError:
        return None
    return event if isinstance(event, dict) else None
