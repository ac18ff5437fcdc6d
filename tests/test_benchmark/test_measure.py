# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

import visbench.registry  # noqa: F401  (sets up the operators before the cases build models)
from visbench.benchmark.measure import count_parameters, gflops_per_frame
from visbench.structures import Frame
from visbench.testing.conformance.case import ConformanceCase
from visbench.testing.conformance.cases import CASES


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_method_is_counted_and_left_as_it_was(case: ConformanceCase) -> None:
    model = case.build()
    trainable = [name for name, value in model.named_parameters() if value.requires_grad]
    frame = Frame(0, torch.zeros(3, 64, 96, dtype=torch.uint8), (64, 96), (64, 96))
    assert gflops_per_frame(model, frame) > 1e-4
    assert count_parameters(model) > 0
    assert [n for n, value in model.named_parameters() if value.requires_grad] == trainable
