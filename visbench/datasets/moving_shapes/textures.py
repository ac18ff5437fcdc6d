# SPDX-License-Identifier: Apache-2.0
"""Colours, patterns, sprites of objects and backgrounds, all in integer arithmetic.

Colours are (blue, green, red), the channel order of OpenCV and of MMCV's image loader.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .draws import Draws
from .shapes import SPRITE_SIZE, outline, silhouette

Colour = tuple[int, int, int]

PATTERNS = ("stripes", "checks", "dots", "blotches", "rings", "waves")
"""Kinds of texture; drawn independently of the category."""

PAN_MARGIN = 20
"""Pixels by which a background exceeds the frame on each side, for a slow pan."""


@dataclass(frozen=True)
class Texture:
    """The look of one object.

    Attributes:
        pattern: Position in ``PATTERNS``.
        colour: Mean colour, blue, green, red, 0 to 255.
        contrast: Amplitude of the pattern per channel, 0 to 64.
        rim: Amount added to the colour on the outline.
        key: Seed of the pattern's parameters.
    """

    pattern: int
    colour: Colour
    contrast: Colour
    rim: int
    key: int


def draw_colour(draws: Draws) -> Colour:
    """Draw a colour of random hue, medium to strong saturation and medium brightness."""
    value = draws.integer(105, 195)
    low = value - draws.integer(25, 95)
    middle = draws.integer(low, value)
    order = draws.order(3)
    channels = (value, middle, low)
    return channels[order[0]], channels[order[1]], channels[order[2]]


def colour_distance(first: Colour, second: Colour) -> int:
    """Return the largest difference over the three channels."""
    return max(abs(a - b) for a, b in zip(first, second, strict=True))


def value_noise(draws: Draws, height: int, width: int, cell: int) -> NDArray[np.int64]:
    """Return smooth noise, (height, width), 0 to 255: random lattice values, joined linearly."""
    lattice = draws.array(0, 255, height // cell + 2, width // cell + 2)
    row, down = np.divmod(np.arange(height), cell)
    column, right = np.divmod(np.arange(width), cell)
    wide = lattice[:, column] * (cell - right) + lattice[:, column + 1] * right
    both = wide[row] * (cell - down)[:, None] + wide[row + 1] * down[:, None]
    return both // (cell * cell)


def _pattern(kind: str, draws: Draws) -> NDArray[np.int64]:
    """Return a pattern field on the sprite, (128, 128), -127 to 127."""
    size = SPRITE_SIZE
    x = np.arange(size, dtype=np.int64) - size // 2
    y = x[:, None]
    period = draws.integer(18, 38)
    shift = draws.integer(0, 255)
    a, b = draws.pick(((8, 0), (7, 3), (6, 6), (3, 7), (0, 8), (-3, 7), (-6, 6), (-7, 3)))
    if kind == "blotches":
        return np.where(value_noise(draws, size, size, period // 2) > 127, 127, -127)
    if kind == "rings":
        phase = (x - draws.integer(-20, 20)) ** 2 + (y - draws.integer(-20, 20)) ** 2
        return np.where((phase // (period * 12) + shift) % 2 == 0, 127, -127)
    along = (a * x + b * y) // 8 + shift
    across = (a * y - b * x) // 8 + shift
    if kind == "stripes":
        return np.where(along % period < period // 2, 127, -127)
    if kind == "checks":
        cells = (along // (period // 2) + across // (period // 2)) % 2
        return np.where(cells == 0, 127, -127)
    if kind == "dots":
        u, v = along % period - period // 2, across % period - period // 2
        return np.where(9 * (u * u + v * v) < period * period, 127, -127)
    return 254 * np.abs(2 * (along % period) - period) // period - 127


def object_sprite(category: int, texture: Texture) -> NDArray[np.uint8]:
    """Return an object's sprite, (128, 128, 4): blue, green, red, alpha (0 or 255).

    Colours are 0 outside the silhouette. Their mean over the silhouette equals
    ``texture.colour`` up to rounding.
    """
    mask = silhouette(category)
    field = _pattern(PATTERNS[texture.pattern], Draws(texture.key))
    field = field[..., None] * np.array(texture.contrast) // 127
    field = np.where(outline(category)[..., None], texture.rim, field)
    mean = field[mask].sum(axis=0) // int(mask.sum())
    colour = np.clip(field - mean + np.array(texture.colour), 0, 255)
    sprite = np.zeros((SPRITE_SIZE, SPRITE_SIZE, 4), dtype=np.uint8)
    sprite[..., :3] = colour * mask[..., None]
    sprite[..., 3] = 255 * mask
    return sprite


def _scrawl(canvas: NDArray[np.uint8], draws: Draws, colour: Colour) -> None:
    """Draw one piece of clutter: a bent stroke or a ragged patch, with a darker edge."""
    height, width = canvas.shape[:2]
    x, y = draws.integer(0, width), draws.integer(0, height)
    dark = tuple(max(0, c - 70) for c in colour)
    if draws.chance(55):
        steps = draws.array(-34, 34, draws.integer(2, 4), 2)
        line = np.cumsum(np.vstack([[x, y], steps]), axis=0).astype(np.int32)
        thickness = draws.integer(5, 17)
        cv2.polylines(canvas, [line], False, dark, thickness + 5, cv2.LINE_8)
        cv2.polylines(canvas, [line], False, colour, thickness, cv2.LINE_8)
        return
    corners = np.array([x, y]) + draws.array(-26, 26, draws.integer(5, 8), 2)
    cv2.fillPoly(canvas, [corners.astype(np.int32)], colour, cv2.LINE_8)
    cv2.polylines(canvas, [corners.astype(np.int32)], True, dark, 4, cv2.LINE_8)


def background(
    key: int, height: int, width: int, clutter: int, extra: list[Colour]
) -> NDArray[np.uint8]:
    """Return a cluttered background, frame size plus ``PAN_MARGIN`` on each side, BGR.

    Args:
        key: Seed.
        height: Height of the frame in pixels.
        width: Width of the frame in pixels.
        clutter: Number of strokes and patches.
        extra: Colours of objects, which half of the clutter takes up, so that colour
            alone does not tell an object from the background.
    """
    draws = Draws(key)
    height, width = height + 2 * PAN_MARGIN, width + 2 * PAN_MARGIN
    palette = [draw_colour(draws) for _ in range(4)]
    coarse = value_noise(draws, height, width, 40)[..., None]
    fine = value_noise(draws, height, width, 11)[..., None]
    first, second, third = (np.array(colour) for colour in palette[:3])
    ground = (first * coarse + second * (255 - coarse)) // 255
    ground = (ground * (2 * 255 - fine) + third * fine) // (2 * 255)
    canvas = np.repeat(np.repeat(ground.astype(np.uint8), 2, axis=0), 2, axis=1)
    for _ in range(clutter):
        colour = draws.pick(extra if extra and draws.chance(50) else palette)
        _scrawl(canvas, draws, colour)
    quads = canvas.reshape(height, 2, width, 2, 3).astype(np.int64).sum(axis=(1, 3))
    grain = value_noise(draws, height, width, 4)[..., None] // 8 - 16
    grain = grain + draws.array(-2, 2, height, width, 1)
    return np.clip(quads // 4 + grain, 0, 255).astype(np.uint8)
