# SPDX-License-Identifier: Apache-2.0
"""IDOL: online video instance segmentation by contrastive embeddings (Wu et al., ECCV 2022)."""

import visbench.registry  # noqa: F401  (sets up the operators before mmdet is imported)

# isort: split
from visbench.models.idol import checkpoint as _converters  # noqa: F401  (registers them)
from visbench.models.idol.detector import IDOL
from visbench.models.idol.head import IDOLHead
from visbench.models.idol.identity_losses import (
    ContrastiveIdentityLoss,
    FrameQueries,
    InstanceClassificationLoss,
)
from visbench.models.idol.losses import IDOLCriterion
from visbench.models.idol.matching import IoUSelection, OptimalTransportSelection, SimOTAMatcher

__all__ = [
    "IDOL",
    "ContrastiveIdentityLoss",
    "FrameQueries",
    "IDOLCriterion",
    "IDOLHead",
    "InstanceClassificationLoss",
    "IoUSelection",
    "OptimalTransportSelection",
    "SimOTAMatcher",
]
