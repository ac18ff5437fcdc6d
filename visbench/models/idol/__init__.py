# SPDX-License-Identifier: Apache-2.0
"""IDOL: contrastive embeddings for online association (Wu et al., ECCV 2022)."""

from visbench.models.idol import checkpoint as _converters  # noqa: F401  (registers them)
from visbench.models.idol.detector import IDOL
from visbench.models.idol.head import IDOLHead

__all__ = ["IDOL", "IDOLHead"]
