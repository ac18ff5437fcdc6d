# SPDX-License-Identifier: Apache-2.0
"""Native PyTorch and torchvision operators in place of MMCV's compiled ones.

Importing this package makes ``mmcv.ops`` and with it MMDetection work without ``mmcv._ext``. A
compiled extension wins when one is present. Import it (or ``visbench.registry``, which does)
before ``mmdet``: without it and without compiled operators ``import mmdet.models`` ends with
``ModuleNotFoundError: No module named 'mmcv._ext'``.
"""

from visbench.ops.extension import MissingOperatorError, setup_operators
from visbench.ops.ms_deform_attn import ms_deform_attn

NATIVE = setup_operators()
"""Whether native operators stand in for compiled ones."""

__all__ = ["NATIVE", "MissingOperatorError", "ms_deform_attn", "setup_operators"]
