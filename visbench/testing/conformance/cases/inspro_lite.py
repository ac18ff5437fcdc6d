# SPDX-License-Identifier: Apache-2.0
"""InsPro-lite of width 16, every other frame a key frame."""

from __future__ import annotations

from visbench.testing.conformance.case import ConformanceCase
from visbench.testing.conformance.cases import inspro

MODEL = {
    **inspro.MODEL,
    "type": "InsProLite",
    "key_frame_interval": 2,
    "clip_pattern": "KKKNN",
}

CASE = ConformanceCase(name="InsProLite", model=MODEL, silence=inspro.CASE.silence, clip_length=5)
