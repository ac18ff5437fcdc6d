#!/usr/bin/env python
# SPDX-License-Identifier: Apache-2.0
"""Run a trained method on a video file, a folder of frames or a camera."""

from __future__ import annotations

import sys

from visbench.apis.commands import demo

if __name__ == "__main__":
    sys.exit(demo())
