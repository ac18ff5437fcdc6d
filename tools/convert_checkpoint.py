# SPDX-License-Identifier: Apache-2.0
"""Convert weights for a config: ``python tools/convert_checkpoint.py CONFIG --source ...``."""

import sys

from visbench.engine.commands import run_command
from visbench.engine.conversion import convert_checkpoint

if __name__ == "__main__":
    sys.exit(run_command(convert_checkpoint))
