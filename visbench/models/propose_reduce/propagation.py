# SPDX-License-Identifier: Apache-2.0
"""Memory propagation of the objects of one key frame, forward and backward through a video."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from visbench.models.propose_reduce.feature_store import FEATURE_STORES, FeatureStore
from visbench.models.propose_reduce.head import SeqPropHead, aggregated_masks, soft_aggregate


@dataclass(frozen=True)
class ProposeSettings:
    """How sequences are proposed (Propose-Reduce, section 3.1; reference code).

    Args:
        memory_interval: Every so many frames the memory takes up a frame: 5 in the paper, 1 in the
            released YouTube-VIS configs.
        memory_count: In place of the interval: the interval is ``max(T // memory_count, 1)`` for
            T frames, as in the released DAVIS configs (10).
        max_memory_frames: How many frames the memory holds at most: the key frame and the most
            recent ones. None, as in the reference, lets it grow with the video.
        feature_store: Where features stay: ``device``, ``cpu`` or ``recompute``; equal results.
        mask_iou_threshold: A detected mask that overlaps a better one by at least this IoU is
            dropped.

    Raises:
        ValueError: If not exactly one of ``memory_interval`` and ``memory_count`` is given, a
            number is out of range or the feature store is unknown.
    """

    memory_interval: int | None = None
    memory_count: int | None = None
    max_memory_frames: int | None = None
    feature_store: str = "device"
    mask_iou_threshold: float = 0.2

    def __post_init__(self) -> None:
        if (self.memory_interval is None) == (self.memory_count is None):
            raise ValueError(
                "propose needs exactly one of memory_interval and memory_count, got "
                f"{self.memory_interval} and {self.memory_count}; set the other to None"
            )
        for name in ("memory_interval", "memory_count", "max_memory_frames"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"propose.{name} must be at least 1, got {value}")
        if not 0 < self.mask_iou_threshold <= 1:
            raise ValueError(
                "propose.mask_iou_threshold must be above 0 and at most 1, got "
                f"{self.mask_iou_threshold}; 1 drops equal masks only"
            )
        if self.feature_store not in FEATURE_STORES:
            raise ValueError(
                f"propose.feature_store must be one of {', '.join(FEATURE_STORES)}, got "
                f"{self.feature_store!r}"
            )

    def interval(self, length: int) -> int:
        """Return after how many frames the memory takes up a frame of a video of that length."""
        if self.memory_interval is not None:
            return self.memory_interval
        assert self.memory_count is not None
        return max(length // self.memory_count, 1)

    def capacity(self, length: int, key_frame: int) -> int:
        """Return how many frames the memory holds at most when a key frame is propagated.

        The last frame of a direction need not be remembered.
        """
        furthest = max(key_frame, length - 1 - key_frame)
        needed = 1 + max(furthest - 1, 0) // self.interval(length)
        return min(needed, self.max_memory_frames or needed)


class PropagationMemory:
    """Keys and values of remembered frames; the key frame's stays, the oldest others give way.

    The order of entries means nothing to the reader, so that a new entry takes the oldest's place.

    Args:
        capacity: How many frames it holds.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._added = 0
        self._key: Tensor | None = None
        self._value: Tensor | None = None

    def __len__(self) -> int:
        """Return how many frames are held."""
        return min(self._added, self.capacity)

    def add(self, key: Tensor, value: Tensor) -> None:
        """Remember one more frame.

        Args:
            key: ``(O, K, 1, h, w)``; the key frame's at first.
            value: ``(O, V, 1, h, w)``.
        """
        if self._key is None or self._value is None:
            self._key, self._value = (_slots(part, self.capacity) for part in (key, value))
        slot = self._added
        if slot >= self.capacity:
            if self.capacity == 1:
                return
            slot = 1 + (slot - 1) % (self.capacity - 1)
        self._key[:, :, slot] = key[:, :, 0]
        self._value[:, :, slot] = value[:, :, 0]
        self._added += 1

    def restart(self) -> None:
        """Forget all but the key frame."""
        self._added = 1

    @property
    def keys(self) -> Tensor:
        """Keys of the held frames, ``(O, K, T, h, w)``."""
        assert self._key is not None
        return self._key[:, :, : len(self)]

    @property
    def values(self) -> Tensor:
        """Values of the held frames, ``(O, V, T, h, w)``."""
        assert self._value is not None
        return self._value[:, :, : len(self)]


class PropagationStep(NamedTuple):
    """The objects of a key frame in one frame.

    Attributes:
        frame: Index of the frame.
        masks: ``(O, H, W)`` soft masks at the padded size.
        pyramid: The frame's feature levels.
        memory_frames: How many frames the memory held.
    """

    frame: int
    masks: Tensor
    pyramid: tuple[Tensor, ...]
    memory_frames: int


def propagate(
    head: SeqPropHead,
    store: FeatureStore,
    key_frame: int,
    masks: Tensor,
    settings: ProposeSettings,
) -> Iterator[PropagationStep]:
    """Segment the objects of a key frame in all frames.

    The key frame comes first, itself segmented anew from its memory (reference code; the paper
    keeps the detected masks), then the later frames in order, then, with a memory of the key frame
    alone, the earlier ones in reverse. A mask that has vanished stays in the memory as it is; its
    object may come back.

    Args:
        head: The Seq-Prop head.
        store: The video's features.
        key_frame: Index of the key frame.
        masks: ``(O, h, w)`` masks in the key frame, 0 or 1, at least one.
        settings: How often and how much is remembered.

    Yields:
        One step per frame.
    """
    length = len(store)
    memory = PropagationMemory(settings.capacity(length, key_frame))
    interval = settings.interval(length)
    features = store[key_frame]
    memory.add(*head.memorize(features.pyramid[0], masks))

    def step(frame: int) -> PropagationStep:
        features = store[frame]
        probabilities = head.decode(memory.keys, memory.values, features.encoding)
        soft = aggregated_masks(soft_aggregate(probabilities))
        return PropagationStep(frame, soft, features.pyramid, len(memory))

    yield step(key_frame)
    for direction in (range(key_frame + 1, length), range(key_frame - 1, -1, -1)):
        memory.restart()
        for frame in direction:
            result = step(frame)
            yield result
            if abs(frame - key_frame) % interval == 0 and frame != direction[-1]:
                memory.add(*head.memorize(result.pyramid[0], result.masks))


def _slots(like: Tensor, capacity: int) -> Tensor:
    """Return room for entries like ``(O, C, 1, h, w)``, laid out as the memory is read."""
    objects, channels, _, height, width = like.shape
    return like.new_empty((objects, capacity, height, width, channels)).permute(0, 4, 1, 2, 3)
