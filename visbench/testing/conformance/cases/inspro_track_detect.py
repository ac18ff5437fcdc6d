# SPDX-License-Identifier: Apache-2.0
"""InsProTrackDetect of width 16."""

from __future__ import annotations

from typing import Any

import torch

from visbench.models import VISModel
from visbench.testing.conformance.case import ConformanceCase
from visbench.testing.conformance.cases import inspro


def _find_something(model: VISModel) -> None:
    """Spread the scores around one half: by their start all are near 0.01."""
    for stage in model.head.stages:
        torch.nn.init.normal_(stage.interaction.fc_cls.weight, std=0.3)
        torch.nn.init.zeros_(stage.interaction.fc_cls.bias)


MODEL: dict[str, Any] = {
    **inspro.MODEL,
    "type": "InsProTrackDetect",
    "head": {**inspro.MODEL["head"], "bank_size": 1},
    "track_life_cycle": {"open_score": 0.8, "keep_score": 0.65, "patience": 2, "max_tracks": 6},
}

CASE = ConformanceCase(
    name="InsProTrackDetect",
    model=MODEL,
    silence=inspro.CASE.silence,
    adjust=_find_something,
    clip_length=3,
)
