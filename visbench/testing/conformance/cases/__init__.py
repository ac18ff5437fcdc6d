# SPDX-License-Identifier: Apache-2.0
"""Tiny conformance cases of the methods of the library, at least one for each.

A new method adds a module here and an entry below; a test fails while a registered method has none.
"""

from visbench.testing.conformance.case import ConformanceCase
from visbench.testing.conformance.cases import (
    iai,
    iai_mask_rcnn,
    iai_tracking_by_detection,
    idol,
    inspro,
    inspro_lite,
    inspro_track_detect,
    inspro_tracking_by_detection,
    mask2former_vis,
    masktrack_rcnn,
    propose_reduce,
)

CASES: tuple[ConformanceCase, ...] = (
    masktrack_rcnn.CASE,
    mask2former_vis.CASE,
    iai.CASE,
    iai_mask_rcnn.CASE,
    iai_tracking_by_detection.CASE,
    idol.CASE,
    idol.STILL_IMAGES_CASE,
    inspro.CASE,
    inspro.BOXES_CASE,
    inspro_lite.CASE,
    inspro_track_detect.CASE,
    inspro_tracking_by_detection.CASE,
    propose_reduce.CASE,
)

__all__ = ["CASES"]
