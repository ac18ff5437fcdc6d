# SPDX-License-Identifier: Apache-2.0
"""Where the time of a video goes: a clock that is in exactly one stage at any moment."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

DECODE, PREPROCESS, NETWORK = "decode", "preprocess", "network"
ASSOCIATION, ENCODING = "association", "mask encoding"
STAGES = (DECODE, PREPROCESS, NETWORK, ASSOCIATION, ENCODING)
"""All stages, in the order in which a frame passes through them."""

MEANINGS = {
    DECODE: "reading and decoding a frame",
    PREPROCESS: "the transforms of the test pipeline, normalisation, padding and the copy to the "
    "device",
    NETWORK: "all that a method does beside association and mask encoding, the resizing of masks "
    "to the size of the frame included",
    ASSOCIATION: "how identities come about, and what is left to do after the last frame",
    ENCODING: "masks to run lengths, their copy from the device included",
}
"""What is counted as what."""


def _nothing() -> None:
    pass


class StageClock:
    """Gives every moment to one stage, so that the stages add up to the total.

    A stage that begins within another one interrupts it. Times are kept in chunks: one per frame,
    ended by :meth:`end_frame`, and one for what comes after the last frame.

    Args:
        now: Returns seconds.
        wait: Called before the time is read, so that a device finishes what belongs to a stage.

    Examples:
        >>> ticks = iter([0.0, 1.0, 4.0, 6.0])
        >>> clock = StageClock(lambda: next(ticks))
        >>> with clock.running(NETWORK), clock.stage(DECODE):
        ...     pass
        >>> clock.seconds(NETWORK), clock.seconds(DECODE), clock.total
        (3.0, 3.0, 6.0)
    """

    def __init__(
        self, now: Callable[[], float] = time.perf_counter, wait: Callable[[], None] = _nothing
    ) -> None:
        self._now, self._wait = now, wait
        self._stages: list[str] = []
        self._since = self._begin = self._end = 0.0
        self._frames: list[dict[str, float]] = []
        self._chunk = dict.fromkeys(STAGES, 0.0)

    @contextmanager
    def running(self, stage: str) -> Iterator[None]:
        """Measure the block; what is in no other stage belongs to this one.

        Args:
            stage: One of :data:`STAGES`.
        """
        self._wait()
        self._begin = self._since = self._now()
        self._stages.append(stage)
        try:
            yield
        finally:
            self._switch()
            self._end = self._since
            self._stages.pop()

    @contextmanager
    def stage(self, stage: str) -> Iterator[None]:
        """Count the block as a stage; does nothing while the clock is not running.

        Args:
            stage: One of :data:`STAGES`.
        """
        if not self._stages:
            yield
            return
        self._switch()
        self._stages.append(stage)
        try:
            yield
        finally:
            self._switch()
            self._stages.pop()

    def timed(self, function: Callable[..., Any], stage: str) -> Callable[..., Any]:
        """Return a function that does the same and counts as a stage.

        Args:
            function: Any callable.
            stage: One of :data:`STAGES`.
        """

        @functools.wraps(function, updated=())
        def call(*args: Any, **kwargs: Any) -> Any:
            with self.stage(stage):
                return function(*args, **kwargs)

        return call

    def end_frame(self) -> None:
        """End the chunk of a frame."""
        self._switch()
        self._frames.append(self._chunk)
        self._chunk = dict.fromkeys(STAGES, 0.0)

    def _switch(self) -> None:
        self._wait()
        now = self._now()
        self._chunk[self._stages[-1]] += now - self._since
        self._since = now

    @property
    def total(self) -> float:
        """Seconds from begin to end."""
        return self._end - self._begin

    def seconds(self, stage: str) -> float:
        """Return the seconds of a stage, frames and rest."""
        return sum(chunk[stage] for chunk in (*self._frames, self._chunk))

    def per_frame(self, stage: str) -> list[float]:
        """Return the seconds of a stage in each frame."""
        return [chunk[stage] for chunk in self._frames]

    @property
    def frames(self) -> list[float]:
        """Seconds of each frame, all stages together."""
        return [sum(chunk.values()) for chunk in self._frames]


def percentile(values: Sequence[float], percent: float) -> float:
    """Return a percentile, linear between the two nearest values as NumPy has it.

    Args:
        values: At least one number.
        percent: 0 to 100.

    Raises:
        ValueError: If there is no value or ``percent`` is out of range.

    Examples:
        >>> percentile([4.0, 1.0, 3.0, 2.0], 50)
        2.5
    """
    if not values or not 0 <= percent <= 100:
        raise ValueError(f"percentile {percent} of {len(values)} values is not defined")
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def summary(seconds: Sequence[float]) -> dict[str, float]:
    """Return ``p50_ms`` and ``p95_ms`` of seconds; empty without any."""
    if not seconds:
        return {}
    return {f"p{percent}_ms": 1000 * percentile(seconds, percent) for percent in (50, 95)}
