# SPDX-License-Identifier: Apache-2.0
"""Colours of track ids."""

from __future__ import annotations

import colorsys
from functools import lru_cache

_GOLDEN_RATIO = 0.6180339887498949
# Saturation and value change after every round of hues, so that ids far apart with a similar hue
# still look different.
_TONES = ((0.90, 1.00), (0.65, 0.95), (1.00, 0.75))
_HUES_PER_ROUND = 13


@lru_cache(maxsize=4096)
def track_colour(track_id: int) -> tuple[int, int, int]:
    """Return the colour of a track: a function of its id alone, the same in every run.

    Consecutive ids are a golden ratio of the hue circle apart, which keeps any few of them well
    separated.

    Args:
        track_id: Any integer.

    Returns:
        Blue, green and red, 0 to 255.

    Examples:
        >>> track_colour(1) == track_colour(1), track_colour(1) == track_colour(2)
        (True, False)
    """
    hue = (track_id * _GOLDEN_RATIO) % 1.0
    saturation, value = _TONES[track_id // _HUES_PER_ROUND % len(_TONES)]
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(blue * 255), round(green * 255), round(red * 255)


def text_colour(background: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return black or white (BGR), whichever is easier to read on a BGR background."""
    blue, green, red = background
    # Rec. 601 luma.
    luma = 0.114 * blue + 0.587 * green + 0.299 * red
    return (0, 0, 0) if luma > 128 else (255, 255, 255)
