# SPDX-License-Identifier: Apache-2.0
"""Contact sheets: some frames of some videos with the outlines of their masks."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from .render import render_frame
from .scene import Scene

_GAP = 4
_SCALE = 2
_COLOURS = (
    (80, 80, 255), (80, 255, 80), (255, 120, 60), (60, 220, 255), (255, 80, 220), (255, 255, 80),
    (255, 255, 255), (40, 140, 255),
)  # fmt: skip


def draw_masks(scene: Scene, index: int) -> NDArray[np.uint8]:
    """Return a frame at twice its size with the outline of every modal mask, BGR."""
    image, truth = render_frame(scene, index)
    large = np.repeat(np.repeat(image, _SCALE, axis=0), _SCALE, axis=1)
    for number in np.flatnonzero(truth.present):
        mask = np.kron(truth.mask(number).astype(np.uint8), np.ones((_SCALE, _SCALE)))
        lines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(large, lines, -1, _COLOURS[number % len(_COLOURS)], 1)
    return large


def contact_sheet(preset: str, split: str, videos: int = 6, columns: int = 6) -> NDArray[np.uint8]:
    """Return a sheet with one row per video and frames in equal distances, BGR."""
    rows = []
    for number in range(videos):
        scene = Scene.sample(preset, split, number)
        shown = [(scene.length - 1) * column // max(1, columns - 1) for column in range(columns)]
        tiles = [draw_masks(scene, index) for index in shown]
        border = ((_GAP, _GAP), (_GAP, _GAP), (0, 0))
        rows.append(np.hstack([np.pad(tile, border) for tile in tiles]))
    return np.vstack(rows)


def write_preview(path: str | Path, preset: str, split: str, videos: int = 6) -> None:
    """Write a contact sheet as an image file.

    Raises:
        OSError: If OpenCV cannot write the file.
    """
    try:
        written = cv2.imwrite(str(path), contact_sheet(preset, split, videos))
    except cv2.error as error:
        raise OSError(f"{path}: cannot write an image of this kind; use .png") from error
    if not written:
        raise OSError(f"{path}: cannot write; does the folder exist?")
