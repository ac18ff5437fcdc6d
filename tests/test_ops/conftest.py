# SPDX-License-Identifier: Apache-2.0
"""Sets up the operators before a test module imports ``mmcv.ops``."""

import visbench.ops  # noqa: F401
