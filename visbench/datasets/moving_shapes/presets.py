# SPDX-License-Identifier: Apache-2.0
"""The frozen numbers of MovingShapes v1. A change here that moves a pixel makes v2."""

from __future__ import annotations

from dataclasses import dataclass

VERSION = "v1"
VERSION_NUMBER = 1
FRAME_HEIGHT = 128
FRAME_WIDTH = 192
MINIMUM_VISIBLE = 16
"""An object with fewer visible pixels in a frame is absent (null) there."""

SPLITS = {"train": 0, "valid": 1}
"""Splits and their number in the seed."""

VIDEOS = {"train": 400, "valid": 60}
"""Videos of a full split."""


@dataclass(frozen=True)
class Preset:
    """How the videos of one preset are drawn. Ranges include both ends.

    Attributes:
        name: Name of the preset.
        code: Its number in the seed.
        frames: Frames per video.
        objects: Range of the number of objects.
        area: Range of an object's area in 1/1000 of the frame.
        speed: Range of the speed in 1/100 pixel per frame.
        companions: Per cent of objects that circle another one, partly hidden behind it.
        orbit: Range of the distance to the companion in per cent of the sum of both radii.
        turning: Per cent of companions that pass in front and behind by turns, as on an orbit
            seen from the side; the others stay in front or behind.
        wide_orbit: Range of the distance for companions that pass by turns.
        late: Per cent of free objects that come into the frame after the start.
        leave: Per cent of free objects that leave the frame and return.
        look_alikes: Per cent of objects that copy category and colour of an earlier one.
        categories: Largest number of categories in a video.
        colour_spread: Largest difference of a copied colour per channel, 0 to 255.
        colour_gap: Smallest difference, in some channel, between colours that are not copied.
        swing: Range of the amplitude of the rotation to and fro, degrees.
        spin: Largest steady rotation, degrees per frame.
        clutter: Pieces of clutter in the background.
        lifetime: Range of laps (from one side to the other) before an object is gone for good;
            None: until the last frame.
    """

    name: str
    code: int
    frames: int
    objects: tuple[int, int]
    area: tuple[int, int]
    speed: tuple[int, int]
    companions: int
    orbit: tuple[int, int]
    turning: int
    wide_orbit: tuple[int, int]
    late: int
    leave: int
    look_alikes: int
    categories: int
    colour_spread: int
    colour_gap: int
    swing: tuple[int, int]
    spin: int
    clutter: int
    lifetime: tuple[int, int] | None = None


_PRESETS = (
    Preset(
        name="easy", code=0, frames=36, objects=(1, 4), area=(24, 80), speed=(280, 600),
        companions=27, orbit=(40, 100), turning=50, wide_orbit=(50, 100), late=22, leave=22,
        look_alikes=0, categories=8, colour_spread=0, colour_gap=40, swing=(5, 25), spin=0,
        clutter=8,
    ),
    Preset(
        name="occluded", code=1, frames=36, objects=(4, 8), area=(16, 60), speed=(280, 600),
        companions=89, orbit=(20, 60), turning=92, wide_orbit=(58, 102), late=25, leave=25,
        look_alikes=25, categories=8, colour_spread=10, colour_gap=25, swing=(5, 35), spin=4,
        clutter=34,
    ),
    Preset(
        name="crowded", code=2, frames=36, objects=(5, 8), area=(16, 45), speed=(280, 600),
        companions=75, orbit=(20, 70), turning=90, wide_orbit=(60, 104), late=25, leave=25,
        look_alikes=100, categories=2, colour_spread=5, colour_gap=25, swing=(5, 35), spin=4,
        clutter=34,
    ),
    Preset(
        name="long", code=3, frames=500, objects=(8, 15), area=(16, 60), speed=(280, 600),
        companions=36, orbit=(20, 55), turning=38, wide_orbit=(50, 100), late=70, leave=30,
        look_alikes=25, categories=8, colour_spread=10, colour_gap=25, swing=(5, 35), spin=4,
        clutter=34, lifetime=(2, 7),
    ),
)  # fmt: skip

PRESETS = {preset.name: preset for preset in _PRESETS}
"""Presets that are drawn; ``mixed`` is put together from three of them."""

MIXED = "mixed"
MIXED_PARTS = ("easy", "occluded", "crowded")
"""Parts of ``mixed``, taken in turn: video i is video i // 3 of part i % 3, training only."""

PRESET_NAMES = (*PRESETS, MIXED)
