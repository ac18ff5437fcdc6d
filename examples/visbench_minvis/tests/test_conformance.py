# SPDX-License-Identifier: Apache-2.0
"""The contract of every method, checked by the kit of visbench on the model of the demo."""

from __future__ import annotations

import torch
from visbench_minvis import MinVIS

from visbench.engine import load_config
from visbench.testing import ConformanceCase, conformance_tests


def find_nothing(model: MinVIS) -> None:
    # Mask logits of exactly 0 are background everywhere.
    torch.nn.init.zeros_(model.panoptic_head.mask_embed[-1].weight)
    torch.nn.init.zeros_(model.panoptic_head.mask_embed[-1].bias)


MODEL = load_config("minvis_demo_movingshapes").model
test_conformance = conformance_tests(ConformanceCase("MinVIS", MODEL, silence=find_nothing))
