# SPDX-License-Identifier: Apache-2.0
"""Where an object is at a given time: closed forms in integers, so any frame costs the same.

Units: time in ticks (64 per frame), positions and radii in 1/256 pixel, angles in 1/65536 turn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TICKS = 64
"""Ticks per frame."""

PIXEL = 256
"""Units per pixel."""

TURN = 65536
"""Units per full turn."""

_SINE_BITS = 14
_SINE = np.array(
    [round(math.sin(2 * math.pi * step / 4096) * (1 << _SINE_BITS)) for step in range(4096)],
    dtype=np.int64,
)


@dataclass(frozen=True)
class Wave:
    """A sine: ``size * sin(phase + rate * time)``; rate in angle units per frame."""

    size: int = 0
    rate: int = 0
    phase: int = 0


@dataclass(frozen=True)
class Track1D:
    """Motion to and fro between two walls at constant speed.

    Attributes:
        origin: Unfolded position at time 0.
        velocity: Units per frame.
        low: Lower wall.
        high: Upper wall.
    """

    origin: int
    velocity: int
    low: int
    high: int


@dataclass(frozen=True)
class Motion:
    """The whole motion of an object.

    Attributes:
        x: Course along the width (ignored when ``parent`` is set).
        y: Course along the height (ignored when ``parent`` is set).
        sway_x: Wave added to x; for a companion its distance from the parent.
        sway_y: Wave added to y.
        parent: Position of the object that is circled, or -1.
        angle: Angle at time 0.
        spin: Angle per frame.
        swing: Wave added to the angle.
        radius: Radius at rest.
        pulse: Wave of the scale, size in 1/1024 of the radius.
    """

    x: Track1D
    y: Track1D
    sway_x: Wave
    sway_y: Wave
    parent: int
    angle: int
    spin: int
    swing: Wave
    radius: int
    pulse: Wave


def sine(angle: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the sine of an angle in 1/65536 turn, in 1/16384."""
    return _SINE[(angle >> 4) & 4095]


def _column(values: Sequence[int]) -> NDArray[np.int64]:
    return np.array(values, dtype=np.int64)[:, None]


class Waves:
    """Waves of several objects, evaluated together."""

    def __init__(self, waves: Sequence[Wave]) -> None:
        self._size = _column([wave.size for wave in waves])
        self._rate = _column([wave.rate for wave in waves])
        self._phase = _column([wave.phase for wave in waves])

    def at(self, ticks: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the values, (objects, times)."""
        angle = self._phase + self._rate * ticks // TICKS
        return self._size * sine(angle) >> _SINE_BITS


class Courses:
    """Courses between walls of several objects, evaluated together."""

    def __init__(self, courses: Sequence[Track1D]) -> None:
        self._origin = _column([course.origin for course in courses])
        self._velocity = _column([course.velocity for course in courses])
        self._low = _column([course.low for course in courses])
        self._span = _column([course.high - course.low for course in courses])

    def at(self, ticks: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the positions, (objects, times)."""
        way = self._origin + self._velocity * ticks // TICKS - self._low
        return self._low + self._span - np.abs(way % (2 * self._span) - self._span)


@dataclass(frozen=True)
class Poses:
    """Poses of n objects at m times, (n, m) int64 each.

    Attributes:
        x: Centre along the width, 1/256 pixel.
        y: Centre along the height, 1/256 pixel.
        radius: Radius, 1/256 pixel.
        cosine: Cosine of the angle, 1/16384.
        sine: Sine of the angle, 1/16384.
    """

    x: NDArray[np.int64]
    y: NDArray[np.int64]
    radius: NDArray[np.int64]
    cosine: NDArray[np.int64]
    sine: NDArray[np.int64]


class Motions:
    """Motions of all objects of a scene, evaluated together.

    Args:
        motions: One motion per object; a parent must itself have no parent.
    """

    def __init__(self, motions: Sequence[Motion]) -> None:
        self._x = Courses([motion.x for motion in motions])
        self._y = Courses([motion.y for motion in motions])
        self._sway_x = Waves([motion.sway_x for motion in motions])
        self._sway_y = Waves([motion.sway_y for motion in motions])
        self._swing = Waves([motion.swing for motion in motions])
        self._pulse = Waves([motion.pulse for motion in motions])
        self._angle = _column([motion.angle for motion in motions])
        self._spin = _column([motion.spin for motion in motions])
        self._radius = _column([motion.radius for motion in motions])
        self._children = [i for i, motion in enumerate(motions) if motion.parent >= 0]
        self._parents = [motion.parent for motion in motions if motion.parent >= 0]

    def at(self, ticks: NDArray[np.int64]) -> Poses:
        """Return the poses at times (m,) in ticks."""
        base_x, base_y = self._x.at(ticks), self._y.at(ticks)
        sway_x, sway_y = self._sway_x.at(ticks), self._sway_y.at(ticks)
        x, y = base_x + sway_x, base_y + sway_y
        x[self._children] = x[self._parents] + sway_x[self._children]
        y[self._children] = y[self._parents] + sway_y[self._children]
        angle = self._angle + self._spin * ticks // TICKS + self._swing.at(ticks)
        radius = self._radius + (self._radius * self._pulse.at(ticks) >> 10)
        return Poses(x, y, radius, sine(angle + TURN // 4), sine(angle))
