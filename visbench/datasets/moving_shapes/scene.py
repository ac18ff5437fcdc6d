# SPDX-License-Identifier: Apache-2.0
"""A scene: everything that is known about one video before it is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .draws import Draws
from .motion import TICKS, Motions, Poses, Wave, sine
from .presets import (
    FRAME_HEIGHT,
    FRAME_WIDTH,
    MIXED,
    MIXED_PARTS,
    PRESET_NAMES,
    PRESETS,
    SPLITS,
    VERSION_NUMBER,
    VIDEOS,
    Preset,
)
from .sampling import ObjectSpec, draw_objects
from .textures import PAN_MARGIN, background, object_sprite

_CHECKED_FRAMES = 18
"""Frames in which a drawn scene is looked at before it is accepted."""

_NEEDED_FRAMES = 2
"""Checked frames in which every object must be visible."""


def split_name(split: str) -> str:
    """Return the name of a split on disk; ``val`` is another word for ``valid``.

    Raises:
        ValueError: If there is no such split.
    """
    name = "valid" if split == "val" else split
    if name not in SPLITS:
        raise ValueError(f"split: {split!r} is unknown; use train or val")
    return name


def check_preset(preset: str, split: str) -> None:
    """Refuse an unknown preset, and a validation split of ``mixed``.

    Raises:
        ValueError: With the names that exist.
    """
    if preset not in PRESET_NAMES:
        raise ValueError(f"preset: {preset!r} is unknown; use one of {', '.join(PRESET_NAMES)}")
    if preset == MIXED and split_name(split) != "train":
        raise ValueError(
            f"preset {MIXED!r} has a train split only; validate on {', '.join(MIXED_PARTS)}"
        )


@dataclass(frozen=True)
class Scene:
    """One video, as a list of objects and a background.

    Attributes:
        preset: Numbers of the preset.
        split: ``train`` or ``valid``.
        index: Number of the video in its split, from 0.
        objects: The objects, in the order of their annotations.
        background_key: Seed of the background.
        pan: Waves of the background's place along x and y, size in pixels.
    """

    preset: Preset
    split: str
    index: int
    objects: tuple[ObjectSpec, ...]
    background_key: int
    pan: tuple[Wave, Wave]

    @classmethod
    def sample(cls, preset: str, split: str, index: int) -> Scene:
        """Return the scene of a video; the same one on every machine.

        Args:
            preset: Name of a preset; for ``mixed`` the scene of the part it is taken from.
            split: ``train`` or ``val`` (also ``valid``).
            index: Number of the video in the split, from 0.

        Raises:
            ValueError: If preset, split or index do not exist.
        """
        check_preset(preset, split)
        split = split_name(split)
        if not 0 <= index < VIDEOS[split]:
            raise ValueError(
                f"index: video {index} does not exist; {preset} {split} has 0 to "
                f"{VIDEOS[split] - 1}"
            )
        if preset == MIXED:
            preset, index = MIXED_PARTS[index % 3], index // 3
        attempt = 0
        while True:
            scene = cls._draw(PRESETS[preset], split, index, attempt)
            if scene._every_object_is_seen():
                return scene
            attempt += 1

    @classmethod
    def _draw(cls, preset: Preset, split: str, index: int, attempt: int) -> Scene:
        draws = Draws(VERSION_NUMBER, preset.code, SPLITS[split], index, attempt)
        objects = draw_objects(preset, draws)
        key = draws.integer(0, (1 << 31) - 1)
        pan = [
            Wave(draws.integer(0, PAN_MARGIN), draws.integer(-1100, 1100), draws.integer(0, 65535))
            for _ in range(2)
        ]
        return cls(preset, split, index, objects, key, (pan[0], pan[1]))

    def _every_object_is_seen(self) -> bool:
        from .render import frame_truth

        step = max(1, self.preset.frames // _CHECKED_FRAMES)
        seen = [0] * len(self.objects)
        for index in range(step // 2, self.preset.frames, step):
            truth = frame_truth(self, index)
            seen = [count + int(shown) for count, shown in zip(seen, truth.present, strict=True)]
        return min(seen) >= _NEEDED_FRAMES

    @property
    def name(self) -> str:
        """Name of the video, unique over all presets and splits."""
        return f"{self.preset.name}_{self.split}_{self.index:04d}"

    @property
    def length(self) -> int:
        """Number of frames."""
        return self.preset.frames

    @cached_property
    def motions(self) -> Motions:
        """The motions of all objects."""
        return Motions([spec.motion for spec in self.objects])

    def poses(self, index: int, shutter: NDArray[np.int64]) -> Poses:
        """Return the poses in a frame at times relative to the shutter's middle, in ticks."""
        return self.motions.at(index * TICKS + shutter)

    def alive(self, index: int) -> list[int]:
        """Return the objects that live in a frame, nearest to the camera first."""
        living = [i for i, spec in enumerate(self.objects) if spec.start <= index < spec.stop]
        return sorted(living, key=lambda i: self._nearness(i, index), reverse=True)

    def _nearness(self, number: int, index: int) -> tuple[int, int]:
        """Return a key that is larger for nearer objects."""
        spec = self.objects[number]
        if spec.turn is None:
            return spec.depth, 0
        front = int(sine(np.array(spec.turn.phase + spec.turn.rate * index))) > 0
        parent = self.objects[spec.motion.parent]
        return parent.depth, number if front else -number

    @cached_property
    def sprites(self) -> list[NDArray[np.uint8]]:
        """Sprites of all objects, (128, 128, 4) each."""
        return [object_sprite(spec.category, spec.texture) for spec in self.objects]

    @cached_property
    def _background(self) -> NDArray[np.uint8]:
        colours = [spec.texture.colour for spec in self.objects]
        clutter = self.preset.clutter
        return background(self.background_key, FRAME_HEIGHT, FRAME_WIDTH, clutter, colours)

    def backdrop(self, index: int) -> NDArray[np.uint8]:
        """Return a copy of the background of a frame, (128, 192, 3) BGR."""
        left, top = (
            PAN_MARGIN + (wave.size * int(sine(np.array(wave.phase + wave.rate * index))) >> 14)
            for wave in self.pan
        )
        return self._background[top : top + FRAME_HEIGHT, left : left + FRAME_WIDTH].copy()
