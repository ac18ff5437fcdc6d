# SPDX-License-Identifier: Apache-2.0
"""visbench: train, test and compare video instance segmentation methods on MMDetection.

Importing this module is cheap: it holds the version only. ``visbench.evaluation`` needs neither
torch nor MMDetection; ``visbench.registry`` sets up the operators and must be imported before
``mmdet``.
"""

from visbench.version import __version__

__all__ = ["__version__"]
