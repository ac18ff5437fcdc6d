# SPDX-License-Identifier: Apache-2.0
"""One tiny conformance case per method of the library.

A new method adds a module here with a ``CASE`` and an entry below; a test fails while a registered
method has none.
"""

from visbench.testing.conformance.case import ConformanceCase
from visbench.testing.conformance.cases import (
    inspro,
    inspro_tracking_by_detection,
    mask2former_vis,
    masktrack_rcnn,
)

CASES: tuple[ConformanceCase, ...] = (
    masktrack_rcnn.CASE,
    mask2former_vis.CASE,
    inspro.CASE,
    inspro_tracking_by_detection.CASE,
)

__all__ = ["CASES"]
