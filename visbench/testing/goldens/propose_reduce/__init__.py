# SPDX-License-Identifier: Apache-2.0
"""The golden cases of Propose-Reduce."""

from visbench.testing.golden_parts import PartedGroup
from visbench.testing.goldens.propose_reduce import clips, data, detector, propagation, sequences

GROUP = PartedGroup(
    "propose_reduce", [part.PART for part in (data, detector, propagation, clips, sequences)]
)
