# SPDX-License-Identifier: Apache-2.0
"""The golden cases of InsPro.

Networks are built with the sizes that the group's ``weight_keys.json`` shows, filled by name, and
loaded under our names. Frames, slots, stages and classes come from the stored arrays.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from visbench.testing.golden_parts import PartedGroup
from visbench.testing.goldens.inspro import masks, matching, network
from visbench.testing.parity import GoldenCase


class InsProGroup(PartedGroup):
    """Runner of the group ``inspro``."""

    def cases(self, folder: Path) -> list[str]:
        """Return the names of the cases in a folder; ``weight_keys.json`` is none."""
        return sorted(path.stem for path in folder.glob("*.npz"))

    @torch.no_grad()
    def compute(self, golden: GoldenCase) -> Mapping[str, Any]:
        """Return the outputs of the library for the inputs of a case."""
        return super().compute(golden)


GROUP = InsProGroup("inspro", [network.PART, masks.PART, matching.PART])
