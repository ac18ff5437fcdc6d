# SPDX-License-Identifier: Apache-2.0
"""Draws a frame of a scene and measures its exact masks.

A pixel belongs to an object's amodal mask if its centre lies on the silhouette at the middle of
the shutter's opening, and to the modal mask if no nearer object's amodal mask holds it. The
image is the mean of five samples per pixel, spread over the opening and over the pixel, so edges
are smooth and fast objects slightly blurred. Everything is integer arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from .motion import PIXEL, Poses
from .presets import FRAME_HEIGHT, FRAME_WIDTH, MINIMUM_VISIBLE
from .scene import Scene
from .shapes import SPRITE_RADIUS, SPRITE_SIZE, silhouette

_SHUTTER = np.array([0, -10, -5, 5, 10], dtype=np.int64)
"""Times of the samples, ticks from the middle (64 ticks are a frame)."""

_JITTER = ((0, 0), (-100, -36), (36, -100), (-36, 100), (100, 36))
"""Places of the samples, 1/256 pixel from the pixel's centre."""

_MIDDLE = _SHUTTER[:1]
_SAMPLES = len(_JITTER)


@dataclass(frozen=True)
class FrameTruth:
    """What is visible in one frame; n objects.

    Attributes:
        labels: (128, 192) uint8: 0 background, i + 1 where object i is seen.
        visible: Pixels of the modal masks, (n,).
        amodal: Pixels of the amodal masks inside the frame, (n,).
    """

    labels: NDArray[np.uint8]
    visible: NDArray[np.int64]
    amodal: NDArray[np.int64]

    @property
    def present(self) -> NDArray[np.bool_]:
        """Whether each object is annotated: at least ``MINIMUM_VISIBLE`` pixels are seen, (n,)."""
        return self.visible >= MINIMUM_VISIBLE

    def mask(self, index: int) -> NDArray[np.bool_]:
        """Return the modal mask of an object, (128, 192)."""
        return self.labels == index + 1


@dataclass(frozen=True)
class _Window:
    """The part of the frame that an object may touch: rows top:bottom, columns left:right."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)


def _window(poses: Poses, index: int) -> _Window | None:
    """Return the window of an object over all samples, None if it is outside the frame."""
    reach = int(poses.radius[index].max()) + PIXEL
    x, y = poses.x[index], poses.y[index]
    left = max(0, (int(x.min()) - reach) // PIXEL)
    right = min(FRAME_WIDTH, (int(x.max()) + reach) // PIXEL + 1)
    top = max(0, (int(y.min()) - reach) // PIXEL)
    bottom = min(FRAME_HEIGHT, (int(y.max()) + reach) // PIXEL + 1)
    if left >= right or top >= bottom:
        return None
    return _Window(top, bottom, left, right)


@cache
def _alpha(category: int) -> NDArray[np.uint8]:
    return silhouette(category).astype(np.uint8)


def _texel_map(poses: Poses, index: int, window: _Window, samples: int) -> NDArray[np.int16]:
    """Return the texel (column, row) under every sample, (samples * h, w, 2)."""
    height, width = window.bottom - window.top, window.right - window.left
    places = np.empty((samples, height, width, 2), dtype=np.int16)
    columns = np.arange(width, dtype=np.int32)
    rows = np.arange(height, dtype=np.int32)[:, None]
    for sample in range(samples):
        # Texels per pixel in 1/65536; the 14 bits of sine and cosine go with PIXEL's 8 bits.
        scale = (SPRITE_RADIUS << 24) // int(poses.radius[index, sample])
        a = scale * int(poses.cosine[index, sample]) >> 14
        b = scale * int(poses.sine[index, sample]) >> 14
        dx = window.left * PIXEL + PIXEL // 2 - int(poses.x[index, sample]) + _JITTER[sample][0]
        dy = window.top * PIXEL + PIXEL // 2 - int(poses.y[index, sample]) + _JITTER[sample][1]
        u = ((a * dx + b * dy) >> 8) + (SPRITE_SIZE << 15)
        v = ((a * dy - b * dx) >> 8) + (SPRITE_SIZE << 15)
        places[sample, ..., 0] = (np.int32(u) + a * columns + b * rows) >> 16
        places[sample, ..., 1] = (np.int32(v) + a * rows - b * columns) >> 16
    return places.reshape(samples * height, width, 2)


def _look_up(sprite: NDArray[np.uint8], places: NDArray[np.int16]) -> NDArray[np.uint8]:
    """Return the texels at integer places; 0 outside the sprite. Copies, no interpolation."""
    empty = np.empty(0, dtype=np.int16)
    texels = cv2.remap(sprite, places, empty, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT)
    return np.asarray(texels, dtype=np.uint8)


def frame_truth(scene: Scene, index: int) -> FrameTruth:
    """Return the exact masks of a frame, without drawing it.

    Args:
        scene: The video.
        index: Frame, from 0.

    Raises:
        IndexError: If the video has no such frame.
    """
    _check_frame(scene, index)
    poses = scene.poses(index, _MIDDLE)
    truth = _Painter(len(scene.objects))
    for i in scene.alive(index):
        window = _window(poses, i)
        if window is not None:
            places = _texel_map(poses, i, window, 1)
            truth.put(i, window, _look_up(_alpha(scene.objects[i].category), places) > 0)
    return truth.finish()


class _Painter:
    """Collects masks from the nearest object to the farthest."""

    def __init__(self, objects: int) -> None:
        self._labels = np.zeros((FRAME_HEIGHT, FRAME_WIDTH), dtype=np.uint8)
        self._amodal = np.zeros(objects, dtype=np.int64)

    def put(self, index: int, window: _Window, mask: NDArray[np.bool_]) -> None:
        """Add an object whose amodal mask in its window is given."""
        self._amodal[index] = np.count_nonzero(mask)
        area = self._labels[window.slices]
        area[mask & (area == 0)] = index + 1

    def finish(self) -> FrameTruth:
        """Return the truth of the frame."""
        counts = np.bincount(self._labels.ravel(), minlength=len(self._amodal) + 1)
        return FrameTruth(self._labels, counts[1:].astype(np.int64), self._amodal)


def render_frame(scene: Scene, index: int) -> tuple[NDArray[np.uint8], FrameTruth]:
    """Draw a frame.

    Args:
        scene: The video.
        index: Frame, from 0. Any frame costs the same: nothing is replayed.

    Returns:
        The image, (128, 192, 3) uint8 in the channel order blue, green, red, and its masks.

    Raises:
        IndexError: If the video has no such frame.
    """
    _check_frame(scene, index)
    image = scene.backdrop(index)
    poses = scene.poses(index, _SHUTTER)
    truth = _Painter(len(scene.objects))
    layers: list[tuple[_Window, NDArray[np.uint16]]] = []
    for i in scene.alive(index):
        window = _window(poses, i)
        if window is None:
            continue
        places = _texel_map(poses, i, window, _SAMPLES)
        samples = _look_up(scene.sprites[i], places)
        samples = samples.reshape(_SAMPLES, -1, window.right - window.left, 4)
        truth.put(i, window, samples[0, ..., 3] > 0)
        layers.append((window, samples.sum(axis=0, dtype=np.uint16)))
    for window, layer in reversed(layers):
        _blend(image[window.slices], layer)
    return image, truth.finish()


def _blend(below: NDArray[np.uint8], layer: NDArray[np.uint16]) -> None:
    """Put a layer (colours times coverage, coverage) over an image, in place."""
    cover = layer[..., 3:] // np.uint16(255)
    mixed = below * (np.uint16(_SAMPLES) - cover) + layer[..., :3]
    below[...] = (mixed + np.uint16(_SAMPLES // 2)) // np.uint16(_SAMPLES)


def _check_frame(scene: Scene, index: int) -> None:
    if not 0 <= index < scene.length:
        raise IndexError(f"{scene.name}: frame {index} does not exist; it has {scene.length}")
