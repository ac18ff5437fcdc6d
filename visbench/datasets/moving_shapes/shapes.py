# SPDX-License-Identifier: Apache-2.0
"""The eight categories as silhouettes on a square sprite, drawn with integers only."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

CATEGORIES = ("disc", "square", "triangle", "star", "ring", "cross", "crescent", "capsule")
"""Category names; the id in the annotation file is the position plus one."""

SPRITE_SIZE = 128
"""Side of a sprite in texels."""

SPRITE_RADIUS = 62
"""Distance of the farthest texel of a silhouette from the sprite's centre, in texels."""

OUTLINE = 5
"""Width of the outline in texels."""

_POLYGONS: dict[str, tuple[tuple[int, int], ...]] = {
    "square": ((-438, -438), (438, -438), (438, 438), (-438, 438)),
    "triangle": ((0, -618), (536, 310), (-536, 310)),
    "star": (
        (0, -618), (155, -213), (588, -191), (250, 81), (363, 500),
        (0, 263), (-363, 500), (-250, 81), (-588, -191), (-155, -213),
    ),
    "cross": (
        (-190, -586), (190, -586), (190, -190), (586, -190), (586, 190), (190, 190),
        (190, 586), (-190, 586), (-190, 190), (-586, 190), (-586, -190), (-190, -190),
    ),
}  # fmt: skip
"""Corners in tenths of a texel, y downwards."""


def _grid() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return x and y of the texel centres in tenths of a texel, (128, 128) each."""
    line = 10 * np.arange(SPRITE_SIZE, dtype=np.int64) - 5 * (SPRITE_SIZE - 1)
    return np.broadcast_to(line, (SPRITE_SIZE, SPRITE_SIZE)), line[:, None] + 0 * line


def _inside_polygon(corners: tuple[tuple[int, int], ...]) -> NDArray[np.bool_]:
    """Return which texel centres lie inside a polygon (even-odd rule)."""
    x, y = _grid()
    inside = np.zeros(x.shape, dtype=bool)
    for (x0, y0), (x1, y1) in zip(corners, (*corners[1:], corners[0]), strict=True):
        if y0 == y1:
            continue
        crosses = (y0 > y) != (y1 > y)
        left = (x - x0) * (y1 - y0) < (x1 - x0) * (y - y0)
        inside ^= crosses & (left if y1 > y0 else ~left)
    return inside


def _disc(radius: int, centre_x: int = 0) -> NDArray[np.bool_]:
    x, y = _grid()
    return (x - centre_x) ** 2 + y**2 <= radius**2


def _capsule() -> NDArray[np.bool_]:
    x, y = _grid()
    beyond = np.maximum(np.abs(x) - 395, 0)
    return beyond**2 + y**2 <= 220**2


@cache
def silhouette(category: int) -> NDArray[np.bool_]:
    """Return the silhouette of a category, (128, 128) bool, read-only.

    Args:
        category: Position in ``CATEGORIES``.
    """
    name = CATEGORIES[category]
    if name == "disc":
        mask = _disc(600)
    elif name == "ring":
        mask = _disc(612) & ~_disc(330)
    elif name == "crescent":
        mask = _disc(612) & ~_disc(500, 330)
    elif name == "capsule":
        mask = _capsule()
    else:
        mask = _inside_polygon(_POLYGONS[name])
    mask.setflags(write=False)
    return mask


@cache
def outline(category: int) -> NDArray[np.bool_]:
    """Return the rim of a category's silhouette, ``OUTLINE`` texels wide, read-only."""
    line = np.arange(-OUTLINE, OUTLINE + 1)
    kernel = (line[:, None] ** 2 + line**2 <= OUTLINE**2).astype(np.uint8)
    mask = silhouette(category).astype(np.uint8)
    rim = silhouette(category) & (cv2.erode(mask, kernel) == 0)
    rim.setflags(write=False)
    return rim


@cache
def texel_area(category: int) -> int:
    """Return the number of texels of a category's silhouette."""
    return int(silhouette(category).sum())
