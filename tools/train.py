# SPDX-License-Identifier: Apache-2.0
"""Train a method: ``python tools/train.py CONFIG``."""

import sys

from visbench.engine.commands import run_command, train

if __name__ == "__main__":
    sys.exit(run_command(train))
