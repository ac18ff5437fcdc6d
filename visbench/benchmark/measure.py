# SPDX-License-Identifier: Apache-2.0
"""Size and cost of a network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode


def count_parameters(model: torch.nn.Module) -> float:
    """Return the number of parameters in millions, frozen ones included."""
    return sum(parameter.numel() for parameter in model.parameters()) / 1e6


def gflops_per_frame(model: Any, frame: Any) -> float:
    """Count the floating point operations of the network on one frame, without association.

    Args:
        model: A method of visbench.
        frame: A raw frame of a data set, see :class:`visbench.structures.Frame`.

    Returns:
        Operations in 10^9, see ``visbench.benchmark.tables.FLOPS_NOTE``.
    """
    return gflops_by_part(model, frame)[""]


@torch.no_grad()
def gflops_by_part(model: Any, frame: Any, depth: int = 1) -> dict[str, float]:
    """Count the operations on one frame by parts of the model.

    Args:
        model: A method of visbench.
        frame: A raw frame of a data set.
        depth: Parts are modules whose names have so many words at most.

    Returns:
        Operations in 10^9 by name of the module, the whole under ``""``. A module contains its
        parts, so names of different depth are not added. What is computed outside of the
        ``forward`` of a module counts in the whole alone.
    """
    training = model.training
    # The counter hooks the gradients of module inputs, which fails for views of parameters.
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    model.eval().requires_grad_(False)
    try:
        with FlopCounterMode(display=False) as counter, _parts(model, counter, depth) as parts:
            model.forward_frames(model.prepare(frame).image[None])
    finally:
        model.train(training)
        for parameter in trainable:
            parameter.requires_grad_(True)
    return {"": float(counter.get_total_flops()) / 1e9, **parts}


@contextmanager
def _parts(model: Any, counter: FlopCounterMode, depth: int) -> Iterator[dict[str, float]]:
    """Yield a dictionary that is filled while modules run."""
    found: dict[str, float] = {}
    started: dict[str, list[int]] = {}
    handles = []

    def watch(name: str, module: torch.nn.Module) -> None:
        def before(*_: Any) -> None:
            started.setdefault(name, []).append(counter.get_total_flops())

        def after(*_: Any) -> None:
            counted = counter.get_total_flops() - started[name].pop()
            found[name] = found.get(name, 0.0) + counted / 1e9

        handles.append(module.register_forward_pre_hook(before))
        handles.append(module.register_forward_hook(after))

    for name, module in model.named_modules():
        if name and name.count(".") < depth:
            watch(name, module)
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def blank_frame(pipeline: Any, height: int, width: int) -> Any:
    """Return a black frame after a test pipeline.

    Args:
        pipeline: As in ``cfg.test_dataloader.dataset.pipeline``.
        height: Height of the video's frames in pixels.
        width: Width of the video's frames in pixels.
    """
    from visbench.datasets.frame_source import FrameSource, per_frame_transforms

    black = np.zeros((height, width, 3), dtype=np.uint8)
    return FrameSource(lambda _: black, 1, per_frame_transforms(pipeline), look_ahead=0).read(0)
