# SPDX-License-Identifier: Apache-2.0
"""Draws the objects of one video."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from .draws import Draws
from .motion import PIXEL, TURN, Motion, Track1D, Wave
from .presets import FRAME_HEIGHT, FRAME_WIDTH, Preset
from .shapes import CATEGORIES, SPRITE_RADIUS, texel_area
from .textures import PATTERNS, Colour, Texture, colour_distance, draw_colour

_PULSE = 60
"""Largest amplitude of the scale, in 1/1024 of the radius."""


@dataclass(frozen=True)
class ObjectSpec:
    """One object of a scene.

    Attributes:
        category: Position in ``CATEGORIES``.
        texture: Its look.
        motion: Its motion.
        depth: Rank in depth; a larger one is nearer to the camera.
        turn: For a companion that passes its parent by turns: a wave that is positive while it
            is in front; otherwise None and ``depth`` decides.
        start: First frame of its life.
        stop: Frame after the last one of its life.
    """

    category: int
    texture: Texture
    motion: Motion
    depth: int
    start: int
    stop: int
    turn: Wave | None = None


@dataclass(frozen=True)
class _Look:
    category: int
    texture: Texture


def _draw_wave(draws: Draws, size: int, shortest: int, longest: int) -> Wave:
    """Draw a wave of a size with a period between two numbers of frames."""
    period = draws.integer(shortest, longest)
    return Wave(size, draws.sign() * (TURN // period), draws.integer(0, TURN - 1))


def _new_colour(preset: Preset, draws: Draws, looks: list[_Look]) -> Colour:
    """Draw a colour that is apart from those of the other objects, as far as that is possible."""
    gap = preset.colour_gap
    while True:
        for _ in range(20):
            colour = draw_colour(draws)
            if all(colour_distance(colour, look.texture.colour) >= gap for look in looks):
                return colour
        gap //= 2


def _draw_texture(draws: Draws, colour: Colour, pattern: int, rim: int) -> Texture:
    contrast = draws.integer(18, 40)
    lean = [contrast + draws.integer(-8, 8) for _ in range(3)]
    key = draws.integer(0, (1 << 31) - 1)
    return Texture(pattern, colour, (lean[0], lean[1], lean[2]), rim, key)


def _copy_look(preset: Preset, draws: Draws, original: _Look, category: int) -> _Look:
    """Draw a look-alike: same pattern and nearly the same colour, other parameters."""
    spread = preset.colour_spread
    blue, green, red = (c + draws.integer(-spread, spread) for c in original.texture.colour)
    texture = original.texture
    return _Look(category, _draw_texture(draws, (blue, green, red), texture.pattern, texture.rim))


def _draw_looks(preset: Preset, draws: Draws, count: int) -> list[_Look]:
    """Draw category and texture of every object."""
    order = draws.order(len(CATEGORIES))
    allowed = order[: draws.integer(1, 2)] if preset.categories == 2 else order
    looks: list[_Look] = []
    for _ in range(count):
        if looks and draws.chance(preset.look_alikes):
            # With few categories all objects copy the first one's colour, so that none differs
            # from another by more than twice the spread.
            original = looks[0] if preset.categories == 2 else draws.pick(looks)
            category = draws.pick(allowed) if preset.categories == 2 else original.category
            looks.append(_copy_look(preset, draws, original, category))
            continue
        colour = _new_colour(preset, draws, looks)
        rim = -draws.integer(60, 90) if sum(colour) > 330 or draws.chance(70) else 70
        texture = _draw_texture(draws, colour, draws.integer(0, len(PATTERNS) - 1), rim)
        looks.append(_Look(draws.pick(allowed), texture))
    return looks


def _draw_radius(preset: Preset, draws: Draws, category: int) -> int:
    """Draw the radius that gives the category's silhouette an area within the preset's range."""
    area = draws.integer(*preset.area) * FRAME_HEIGHT * FRAME_WIDTH // 1000
    return math.isqrt(area * (SPRITE_RADIUS * PIXEL) ** 2 // texel_area(category))


def _inside_course(draws: Draws, length: int, radius: int, velocity: int) -> Track1D:
    """Draw a course that stays in the frame, apart from a part of the radius."""
    low = radius * 7 // 10
    high = length * PIXEL - low
    return Track1D(draws.integer(low, high), draws.sign() * velocity, low, high)


def _outside_course(draws: Draws, length: int, radius: int, velocity: int) -> Track1D:
    """Draw a course that soon leaves the frame and comes back."""
    margin = radius * 12 // 10 + draws.integer(PIXEL, 20 * PIXEL)
    low, high = -margin, length * PIXEL + margin
    ahead = draws.integer(radius, max(radius, min(length * PIXEL // 2, 70 * PIXEL)))
    if draws.chance(50):
        return Track1D(ahead, -velocity, low, high)
    return Track1D(length * PIXEL - ahead, velocity, low, high)


def _late_course(draws: Draws, length: int, radius: int, velocity: int, start: int) -> Track1D:
    """Draw a course that is at its farthest outside the frame at frame ``start``."""
    margin = radius * 12 // 10
    low, high = -margin, length * PIXEL + margin
    if draws.chance(50):
        return Track1D(low - velocity * start, velocity, low, high)
    return Track1D(high + velocity * start, -velocity, low, high)


@dataclass(frozen=True)
class _Journey:
    x: Track1D
    y: Track1D
    start: int
    stop: int


def _draw_journey(preset: Preset, draws: Draws, radius: int) -> _Journey:
    """Draw where a free object goes and when it is there."""
    speed = draws.integer(*preset.speed) * PIXEL // 100
    aslant = draws.integer(15, 65) * speed // 100
    along_x = draws.chance(65)
    lengths = (FRAME_WIDTH, FRAME_HEIGHT) if along_x else (FRAME_HEIGHT, FRAME_WIDTH)
    start, stop = 0, preset.frames
    kind = draws.integer(0, 99)
    if kind < preset.late:
        if preset.lifetime is None:
            start = draws.integer(4, preset.frames * 6 // 10)
        else:
            start = draws.integer(10, preset.frames * 8 // 10)
        main = _late_course(draws, lengths[0], radius, speed, start)
    elif kind < preset.late + preset.leave:
        main = _outside_course(draws, lengths[0], radius, speed)
    else:
        main = _inside_course(draws, lengths[0], radius, speed)
    if preset.lifetime is not None and kind < preset.late:
        laps = draws.integer(*preset.lifetime)
        stop = min(stop, start + laps * (main.high - main.low) // speed)
    side = _inside_course(draws, lengths[1], radius, aslant)
    return _Journey(*((main, side) if along_x else (side, main)), start, stop)


def _free_object(preset: Preset, draws: Draws, look: _Look, depth: int) -> ObjectSpec:
    radius = _draw_radius(preset, draws, look.category)
    journey = _draw_journey(preset, draws, radius)
    sway = draws.integer(0, 5 * PIXEL)
    motion = _draw_motion(
        preset, draws, radius, (journey.x, journey.y),
        (_draw_wave(draws, sway, 24, 48), _draw_wave(draws, sway, 24, 48)), -1,
    )  # fmt: skip
    return ObjectSpec(look.category, look.texture, motion, depth, journey.start, journey.stop)


def _companion(
    preset: Preset, draws: Draws, look: _Look, depth: int, parent: ObjectSpec, index: int
) -> ObjectSpec:
    """Draw an object that circles another one and is partly hidden by it, or hides it."""
    radius = _draw_radius(preset, draws, look.category)
    turning = draws.chance(preset.turning)
    orbit = draws.integer(*(preset.wide_orbit if turning else preset.orbit))
    reach = (radius + parent.motion.radius) * orbit // 100
    flat = reach * (draws.integer(0, 40) if turning else draws.integer(40, 100)) // 100
    long_way = _draw_wave(draws, reach, 18, 40) if turning else _draw_wave(draws, reach, 26, 60)
    sways = (long_way, _draw_wave(draws, flat, 26, 60))
    sways = sways if draws.chance(50) else (sways[1], sways[0])
    courses = (parent.motion.x, parent.motion.y)
    motion = _draw_motion(preset, draws, radius, courses, sways, index)
    # A quarter turn ahead: in front or behind change where the distance is largest.
    turn = replace(long_way, phase=long_way.phase + TURN // 4) if turning else None
    start, stop = parent.start, parent.stop
    return ObjectSpec(look.category, look.texture, motion, depth, start, stop, turn)


def _draw_motion(
    preset: Preset,
    draws: Draws,
    radius: int,
    courses: tuple[Track1D, Track1D],
    sways: tuple[Wave, Wave],
    parent: int,
) -> Motion:
    """Add rotation and scale to a course."""
    spin = draws.integer(-preset.spin, preset.spin) * TURN // 360
    swing = draws.integer(*preset.swing) * TURN // 360
    angle = draws.integer(0, TURN - 1) if preset.spin else 0
    return Motion(
        *courses, *sways, parent, angle, spin,
        _draw_wave(draws, swing, 24, 60), radius, _draw_wave(draws, _PULSE, 24, 60),
    )  # fmt: skip


def draw_objects(preset: Preset, draws: Draws) -> tuple[ObjectSpec, ...]:
    """Draw the objects of one video.

    Args:
        preset: Numbers of the preset.
        draws: Stream of the video.

    Returns:
        The objects; companions come after the object that they circle.
    """
    count = draws.integer(*preset.objects)
    looks = _draw_looks(preset, draws, count)
    depths = draws.order(count)
    objects: list[ObjectSpec] = []
    for index, look in enumerate(looks):
        free = [i for i, other in enumerate(objects) if other.motion.parent < 0]
        taken = {other.motion.parent for other in objects}
        alone = [i for i in free if i not in taken] or free
        if index and draws.chance(preset.companions):
            parent = draws.pick(alone)
            spec = _companion(preset, draws, look, depths[index], objects[parent], parent)
        else:
            spec = _free_object(preset, draws, look, depths[index])
        objects.append(spec)
    return tuple(objects)
