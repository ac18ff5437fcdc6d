# SPDX-License-Identifier: Apache-2.0
"""Size and cost of a network."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode


def count_parameters(model: torch.nn.Module) -> float:
    """Return the number of parameters in millions, frozen ones included."""
    return sum(parameter.numel() for parameter in model.parameters()) / 1e6


@torch.no_grad()
def gflops_per_frame(model: Any, frame: Any) -> float:
    """Count the floating point operations of the network on one frame, without association.

    Args:
        model: A method of visbench.
        frame: A raw frame of a data set, see :class:`visbench.structures.Frame`.

    Returns:
        Operations in 10^9, see ``visbench.benchmark.tables.FLOPS_NOTE``.
    """
    training = model.training
    # The counter hooks the gradients of module inputs, which fails for views of parameters.
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    model.eval().requires_grad_(False)
    try:
        with FlopCounterMode(display=False) as counter:
            model.forward_frames(model.prepare(frame).image[None])
    finally:
        model.train(training)
        for parameter in trainable:
            parameter.requires_grad_(True)
    return float(counter.get_total_flops()) / 1e9
