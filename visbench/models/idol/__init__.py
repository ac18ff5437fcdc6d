# SPDX-License-Identifier: Apache-2.0
"""IDOL: online video instance segmentation by contrastive embeddings (Wu et al., ECCV 2022)."""

import visbench.registry  # noqa: F401  (sets up the operators before mmdet is imported)

# isort: split
from visbench.models.idol import checkpoint as _converters  # noqa: F401  (registers them)
from visbench.models.idol.assembly import FrameAssociation, IDOLState
from visbench.models.idol.association import EmbeddingMatching, IDOLTracker, MultiCueMatching
from visbench.models.idol.detector import IDOL
from visbench.models.idol.head import IDOLHead
from visbench.models.idol.identity_losses import (
    ContrastiveIdentityLoss,
    FrameQueries,
    InstanceClassificationLoss,
)
from visbench.models.idol.image_results import StillImageAssociation
from visbench.models.idol.losses import IDOLCriterion
from visbench.models.idol.matching import (
    CostRankSelection,
    IoUSelection,
    OptimalTransportSelection,
    SimOTAMatcher,
)

__all__ = [
    "IDOL",
    "ContrastiveIdentityLoss",
    "CostRankSelection",
    "EmbeddingMatching",
    "FrameAssociation",
    "FrameQueries",
    "IDOLCriterion",
    "IDOLHead",
    "IDOLState",
    "IDOLTracker",
    "InstanceClassificationLoss",
    "IoUSelection",
    "MultiCueMatching",
    "OptimalTransportSelection",
    "SimOTAMatcher",
    "StillImageAssociation",
]
