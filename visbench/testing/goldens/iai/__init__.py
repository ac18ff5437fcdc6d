# SPDX-License-Identifier: Apache-2.0
"""The golden cases of IAI."""

from visbench.testing.golden_parts import PartedGroup
from visbench.testing.goldens.iai import association, detector, identities

GROUP = PartedGroup("iai", [association.PART, detector.PART, identities.PART])
