# SPDX-License-Identifier: Apache-2.0
"""The explicit state of one video in an online method."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any

import torch

from visbench.structures import TrackRecorder, VideoInfo

_PLAIN = (bool, int, float, str, type(None))


@dataclass
class VideoState:
    """All that an online method remembers of one video; methods add fields in a subclass.

    Fields hold tensors, numbers, strings, None, lists, tuples and dictionaries of these, or
    objects with ``state_dict``/``load_state_dict``. So a saved state loads with
    ``torch.load(..., weights_only=True)``.

    Args:
        video: The video the state belongs to.
        recorder: What has been emitted so far.
    """

    video: VideoInfo
    recorder: TrackRecorder = field(default_factory=TrackRecorder)

    def state_dict(self) -> dict[str, Any]:
        """Return a deep copy of the state as tensors, numbers and strings."""
        values = {
            item.name: _pack(item.name, getattr(self, item.name))
            for item in fields(self)
            if item.name != "video"
        }
        return {"video_id": self.video.video_id, **values}

    def num_bytes(self) -> int:
        """Return the memory behind the tensors of the state, the recorder aside.

        A view counts with everything that it keeps alive, and memory that is shared once.
        """
        values = [
            getattr(self, item.name)
            for item in fields(self)
            if item.name not in ("video", "recorder")
        ]
        storages = [tensor.untyped_storage() for tensor in _tensors(values)]
        return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned, for the same video.

        Raises:
            ValueError: If the state is of another video or has other fields.
        """
        names = {item.name for item in fields(self)} - {"video"}
        if set(state) != names | {"video_id"}:
            raise ValueError(
                f"the saved state has the fields {sorted(state)}, this method needs "
                f"{sorted(names | {'video_id'})}; it was saved by another method or version"
            )
        if state["video_id"] != self.video.video_id:
            raise ValueError(
                f"the saved state is of video {state['video_id']}, not {self.video.video_id}"
            )
        for name in names:
            current = getattr(self, name)
            if hasattr(current, "load_state_dict"):
                current.load_state_dict(copy.deepcopy(state[name]))
            else:
                setattr(self, name, _pack(name, state[name]))


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item)
    elif hasattr(value, "state_dict"):
        yield from _tensors(value.state_dict())


def _pack(name: str, value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if isinstance(value, _PLAIN):
        return value
    if hasattr(value, "state_dict"):
        return copy.deepcopy(value.state_dict())
    if isinstance(value, dict):
        return {key: _pack(f"{name}[{key!r}]", item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_pack(f"{name}[{i}]", item) for i, item in enumerate(value))
    raise TypeError(
        f"state field {name} holds a {type(value).__name__}; use tensors, numbers, strings, "
        "lists, dictionaries or an object with state_dict and load_state_dict"
    )
