# SPDX-License-Identifier: Apache-2.0
"""Convert weights for a config: ``python tools/convert_checkpoint.py CONFIG --source ...``."""

import sys

from visbench.apis.conversion import convert_checkpoint
from visbench.engine.commands import run_command

if __name__ == "__main__":
    sys.exit(run_command(convert_checkpoint))
