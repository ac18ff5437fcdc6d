# SPDX-License-Identifier: Apache-2.0
"""Golden cases of IDOL: network."""

from __future__ import annotations

from visbench.testing.golden_parts import GoldenPart

PART = GoldenPart(inputs={}, tolerances={}, computes={})
