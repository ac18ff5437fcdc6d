#!/usr/bin/env python
# SPDX-License-Identifier: Apache-2.0
"""Compare methods: ``python tools/benchmark.py compare --suite demo``."""

from __future__ import annotations

import sys

from visbench.benchmark.commands import benchmark

if __name__ == "__main__":
    sys.exit(benchmark())
