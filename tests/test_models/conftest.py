# SPDX-License-Identifier: Apache-2.0
"""Set up the operators before any test of a model imports mmdet."""

from __future__ import annotations

import visbench.registry  # noqa: F401
