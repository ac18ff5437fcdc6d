# SPDX-License-Identifier: Apache-2.0
"""What the association module remembers of a video."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

TENSORS = ("local_key", "local_value", "global_key", "global_value")


@dataclass
class AssociationMemory:
    """Keys and values of the last frame, and of some earlier ones (fact sheet, section 4.4).

    The local memory is the last frame. The global memory is the first frame, then every frame
    that is ``global_interval`` frames after the last remembered one (counted from 0, so that
    frames 1, 3, 6, 9 ... are remembered), and every frame with new objects.

    Args:
        global_interval: Frames between entries of the global memory; None for a model without.
        max_global_frames: How many frames the global memory holds at most: the first and the most
            recent ones. None is the reference: it grows with the video without bound.
        num_frames: Frames written so far.
        last_global: Count of the last frame written to the global memory.
        num_global: Frames in the global memory.
        local_key: ``(B, L, C)``, None before the first frame.
        local_value: ``(B, L, C)``.
        global_key: ``(B, num_global * L, C)``, newest frame first.
        global_value: ``(B, num_global * L, C)``.

    Raises:
        ValueError: If a limit is below 1.
    """

    global_interval: int | None = 3
    max_global_frames: int | None = None
    num_frames: int = 0
    last_global: int = 0
    num_global: int = 0
    local_key: Tensor | None = None
    local_value: Tensor | None = None
    global_key: Tensor | None = None
    global_value: Tensor | None = None

    def __post_init__(self) -> None:
        for name in ("global_interval", "max_global_frames"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}={value} of the association memory must be at least 1")

    @property
    def empty(self) -> bool:
        """Whether no frame has been written yet."""
        return self.local_key is None

    def write(self, key: Tensor, value: Tensor, new: bool = False) -> None:
        """Remember the next frame.

        Args:
            key: ``(B, L, C)``.
            value: ``(B, L, C)``.
            new: Whether objects have appeared in this frame.
        """
        first = self.empty
        self.local_key, self.local_value = key, value
        self.num_frames += 1
        if self.global_interval is None:
            return
        if first:
            self.global_key, self.global_value, self.num_global = key, value, 1
        elif new or self.num_frames - self.last_global >= self.global_interval:
            self._extend(key, value)
            self.last_global = self.num_frames

    def _extend(self, key: Tensor, value: Tensor) -> None:
        assert self.global_key is not None and self.global_value is not None
        tokens = key.size(1)
        kept = self.num_global
        if self.max_global_frames is not None:
            kept = min(kept, self.max_global_frames - 1)
        if kept == 0:
            return
        recent, first = (kept - 1) * tokens, (self.num_global - 1) * tokens
        self.global_key, self.global_value = (
            torch.cat([latest, held[:, :recent], held[:, first:]], dim=1)
            for latest, held in ((key, self.global_key), (value, self.global_value))
        )
        self.num_global = kept + 1

    def detach(self) -> None:
        """Cut the tensors from the graph that they were computed in."""
        for name in TENSORS:
            tensor = getattr(self, name)
            setattr(self, name, None if tensor is None else tensor.detach())

    def state_dict(self) -> dict[str, Any]:
        """Return everything but the settings, as tensors and numbers."""
        names = ("num_frames", "last_global", "num_global", *TENSORS)
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned."""
        for name, value in state.items():
            setattr(self, name, value)
