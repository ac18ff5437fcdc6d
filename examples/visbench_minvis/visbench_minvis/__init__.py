# SPDX-License-Identifier: Apache-2.0
"""MinVIS-style video instance segmentation as a plugin of visbench."""

import visbench.registry  # noqa: F401  (sets up the operators before mmdet is imported)

# isort: split
from visbench_minvis.detector import MinVIS, MinVISState
from visbench_minvis.head import MinVISHead

__all__ = ["MinVIS", "MinVISHead", "MinVISState"]
