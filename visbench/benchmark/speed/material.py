# SPDX-License-Identifier: Apache-2.0
"""The video that methods are measured on: any length, one size."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from visbench.engine.errors import UserError
from visbench.files import partial_path

PRESET, SPLIT, INDEX = "easy", "val", 0
SHAPES = f"movingshapes-{PRESET}"
_JPEG_QUALITY = 95

Reader = Callable[[int], Any]


@dataclass(frozen=True)
class Material:
    """Where frames come from.

    Args:
        name: What rows call it.
        path: A folder of frames or a video file.
        height: Height of the frames in pixels.
        width: Width of the frames in pixels.
    """

    name: str
    path: Path
    height: int
    width: int


def file_digest(path: str | Path) -> str:
    """Return eight hexadecimal digits of a file's content.

    Raises:
        UserError: If it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with Path(path).open("rb") as file:
            while block := file.read(2**20):
                digest.update(block)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); check the path") from error
    return digest.hexdigest()[:8]


def video_material(path: str | Path) -> Material:
    """Return a video file or a folder of frames as material, in its own size.

    Args:
        path: The file or folder.

    Raises:
        UserError: If it cannot be read.
    """
    from visbench.apis import open_source

    source = open_source(str(path))
    source.close()
    path = Path(path)
    name = path.resolve().stem
    if path.is_file():
        name = f"{name}-{file_digest(path)}"
    return Material(name, path, source.height, source.width)


def shapes_material(folder: str | Path, height: int, width: int) -> Material:
    """Return a video of MovingShapes in some size; its frames are written as JPEG if missing.

    Args:
        folder: Folder of such videos.
        height: Height in pixels.
        width: Width in pixels.
    """
    target = Path(folder) / f"{SHAPES}-{height}x{width}"
    if not target.is_dir():
        _write_shapes(target, height, width)
    return Material(SHAPES, target, height, width)


def _write_shapes(target: Path, height: int, width: int) -> None:
    import cv2

    from visbench.datasets.moving_shapes.render import render_frame
    from visbench.datasets.moving_shapes.scene import Scene

    scene = Scene.sample(PRESET, SPLIT, INDEX)
    partial = partial_path(target)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for index in range(scene.length):
        image = cv2.resize(render_frame(scene, index)[0], (width, height))
        done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
        if not done:
            raise UserError(f"{target}: OpenCV cannot encode a frame of {height}x{width} as JPEG")
        (partial / f"{index:05d}.jpg").write_bytes(data.tobytes())
    os.replace(partial, target)


def endless_reader(material: Material) -> Reader:
    """Return what reads any frame 0, 1, 2, ... in order, however short the material is.

    A folder is read forth and back, so that objects never jump; a video file begins again.

    Args:
        material: The material.
    """
    from visbench.apis import open_source

    source = open_source(str(material.path))
    if source.length is not None:
        length = source.length
        return lambda index: source.checked(forth_and_back(index, length))
    start = 0

    def read(index: int) -> Any:
        nonlocal start
        start = 0 if index == 0 else start
        image = source.checked(index - start)
        if image is None:
            start = index
            image = source.checked(0)
        return image

    return read


def forth_and_back(index: int, length: int) -> int:
    """Return which of ``length`` frames is shown at a moment.

    Examples:
        >>> [forth_and_back(index, 3) for index in range(7)]
        [0, 1, 2, 1, 0, 1, 2]
    """
    if length == 1:
        return 0
    position = index % (2 * length - 2)
    return min(position, 2 * length - 2 - position)
