#!/usr/bin/env python
# SPDX-License-Identifier: Apache-2.0
"""List methods, data sets, metrics, configs and plugins: ``python tools/list.py``."""

from __future__ import annotations

import sys

from visbench.apis.list_command import list_registered

if __name__ == "__main__":
    sys.exit(list_registered())
