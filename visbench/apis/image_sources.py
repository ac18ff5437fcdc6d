# SPDX-License-Identifier: Apache-2.0
"""Frames that are images: of a folder, a list or a generator."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PillowImage
from PIL import UnidentifiedImageError

from visbench.apis.sources import Image, ImageSource, InputError, other_size
from visbench.structures.file_names import IMAGE_SUFFIXES, natural_key

# EXIF's tag of orientation, and the values with which width and height change places.
_ORIENTATION = 0x0112
_LYING = (5, 6, 7, 8)


class FolderSource(ImageSource):
    """The images of a folder, in natural order (``2.jpg`` before ``10.jpg``).

    All sizes are checked at once, from the files' headers.

    Args:
        folder: The folder; other files in it are left out.

    Raises:
        InputError: If there are no images, one is unreadable or sizes differ.

    Examples:
        >>> folder = FolderSource("frames")
        >>> folder.length, folder.frame_name(0)
        (5, '1')
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        path = Path(folder)
        self.paths = sorted(
            (item for item in path.iterdir() if item.suffix.lower() in IMAGE_SUFFIXES),
            key=lambda item: natural_key(item.name),
        )
        if not self.paths:
            found = sorted(item.name for item in path.iterdir())[:5]
            raise InputError(
                f"folder {path} holds no frames ({', '.join(IMAGE_SUFFIXES)}); "
                f"it holds {', '.join(found) if found else 'nothing'}"
            )
        width, height = self._check_sizes()
        super().__init__(path.resolve().name, height, width, len(self.paths))
        self._stems = [path.stem for path in self.paths]
        self._distinct = len(set(self._stems)) == len(self._stems)

    def _check_sizes(self) -> tuple[int, int]:
        first = _image_size(self.paths[0])
        for path in self.paths[1:]:
            size = _image_size(path)
            if size != first:
                raise InputError(
                    f"frame {path} is {size[0]}x{size[1]}, but {self.paths[0].name} is "
                    f"{first[0]}x{first[1]}; frames of one video must have one size: put others "
                    "into a folder of their own"
                )
        return first

    def read(self, index: int) -> Image | None:
        """Return the image at a position of the sorted folder; see :meth:`ImageSource.read`."""
        if index >= len(self.paths):
            return None
        return read_image(self.paths[index])

    def frame_name(self, index: int) -> str:
        """Return the image's file name without ending, if no other has the same."""
        return self._stems[index] if self._distinct else super().frame_name(index)


class ListSource(ImageSource):
    """Frames that are in memory, or image files in a given order.

    All sizes are checked at once.

    Args:
        frames: ``(H, W, 3)`` uint8 arrays, BGR as OpenCV reads them, or paths of images.
        name: Name of the video.

    Raises:
        InputError: If there are no frames, one is no image or sizes differ.

    Examples:
        >>> source = ListSource([np.zeros((48, 64, 3), np.uint8)] * 5)
        >>> source.length, source.height, source.width
        (5, 48, 64)
    """

    def __init__(
        self, frames: Sequence[Image | str | os.PathLike[str]] | Image, name: str = "frames"
    ) -> None:
        if len(frames) == 0:
            raise InputError(f"{name}: the list holds no frames")
        self._frames = frames
        sizes = [
            _image_size(Path(frame))
            if isinstance(frame, (str, os.PathLike))
            else _checked_image(frame, index, name).shape[1::-1]
            for index, frame in enumerate(frames)
        ]
        width, height = sizes[0]
        for index, size in enumerate(sizes):
            if size != sizes[0]:
                raise other_size(index, name, size, sizes[0])
        super().__init__(name, height, width, len(frames))

    def read(self, index: int) -> Image | None:
        """Return the frame at a position; see :meth:`ImageSource.read`."""
        if index >= len(self._frames):
            return None
        frame = self._frames[index]
        return read_image(Path(frame)) if isinstance(frame, (str, os.PathLike)) else frame


class IteratorSource(ImageSource):
    """Frames from a generator; they are asked for one by one and cannot be read again.

    Args:
        frames: Yields ``(H, W, 3)`` uint8 arrays, BGR as OpenCV reads them. They are copied, so
            that the generator may use its buffer again.
        name: Name of the video.

    Raises:
        InputError: If there is no frame or the first one is no image.

    Examples:
        >>> source = IteratorSource(np.zeros((48, 64, 3), np.uint8) for _ in range(5))
        >>> len(list(source))
        5
    """

    def __init__(self, frames: Iterable[Image], name: str = "generator") -> None:
        self._iterator = iter(frames)
        self._position = 0
        first = next(self._iterator, None)
        if first is None:
            raise InputError(f"{name}: the generator yields no frames")
        self._first: Image | None = _checked_image(first, 0, name).copy()
        height, width = self._first.shape[:2]
        super().__init__(name, height, width, rereadable=False)

    def read(self, index: int) -> Image | None:
        """Return the next frame; see :meth:`ImageSource.read`."""
        if index != self._position:
            raise InputError(
                f"{self.name}: frame {index} is asked for, but {self._position} is next"
            )
        self._position += 1
        if self._first is not None:
            image, self._first = self._first, None
            return image
        frame = next(self._iterator, None)
        return None if frame is None else _checked_image(frame, index, self.name).copy()


def read_image(path: Path) -> Image:
    """Read an image as ``(H, W, 3)`` uint8, BGR.

    Raises:
        InputError: If the file is missing, damaged or cut off.
    """
    from visbench.datasets import FrameError, LoadFrame

    try:
        image: Image = LoadFrame().transform(
            {"img_path": str(path), "video_name": path.parent.name}
        )["img"]
    except FrameError as error:
        raise InputError(str(error)) from error
    return image


def _checked_image(frame: Any, index: int, name: str) -> Image:
    if (
        not isinstance(frame, np.ndarray)
        or frame.dtype != np.uint8
        or frame.shape[2:] != (3,)
        or not frame.size
    ):
        found = type(frame).__name__
        if isinstance(frame, np.ndarray):
            found = f"{frame.dtype} array of shape {frame.shape}"
        raise InputError(
            f"frame {index} of {name} is a {found}; a uint8 array (height, width, 3) in BGR order "
            "is needed: scale floats by 255, repeat grey to three channels"
        )
    image: Image = frame
    return image


def _image_size(path: Path) -> tuple[int, int]:
    try:
        with PillowImage.open(path) as image:
            width, height = image.size
            # Frames are turned upright when they are read. Of a PNG without the mark in its header
            # Pillow would decode all pixels to look for one behind them.
            marked = image.format != "PNG" or "exif" in image.info
            lying = marked and image.getexif().get(_ORIENTATION) in _LYING
            return (height, width) if lying else (width, height)
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
        raise InputError(
            f"frame {path} cannot be read: {str(error).splitlines()[0]}; fetch it again or remove "
            "it from the folder"
        ) from error
