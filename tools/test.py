# SPDX-License-Identifier: Apache-2.0
"""Test a method: ``python tools/test.py CONFIG CHECKPOINT``."""

import sys

from visbench.engine.commands import run_command, test

if __name__ == "__main__":
    sys.exit(run_command(test))
