# SPDX-License-Identifier: Apache-2.0
"""The golden cases of IDOL."""

from visbench.testing.golden_parts import PartedGroup
from visbench.testing.goldens.idol import learning, network, tracking, training

GROUP = PartedGroup("idol", [learning.PART, network.PART, tracking.PART, training.PART])
