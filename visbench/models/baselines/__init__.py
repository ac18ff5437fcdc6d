# SPDX-License-Identifier: Apache-2.0
"""Baselines: MMDetection's video instance segmentors behind the contract of every method."""

from visbench.models.baselines.mask2former_vis import Mask2FormerVIS
from visbench.models.baselines.masktrack_rcnn import MaskTrackRCNN

__all__ = ["Mask2FormerVIS", "MaskTrackRCNN"]
