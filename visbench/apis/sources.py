# SPDX-License-Identifier: Apache-2.0
"""Frames of a video file, a folder or a camera."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import UnidentifiedImageError

from visbench.engine.errors import UserError
from visbench.structures import VideoInfo
from visbench.structures.id_masks import natural_key

Image = npt.NDArray[np.uint8]

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
"""Endings of the files that count as frames of a folder."""


class InputError(UserError, ValueError):
    """An input that cannot be read; the message names it and the remedy."""


class ImageSource(ABC):
    """Original frames of one video, in order.

    Args:
        name: Name of the video, for results and messages.
        height: Height of the frames in pixels.
        width: Width of the frames in pixels.
        length: Number of frames; None if it is not known for certain.
        expected_length: What the container says, for a progress bar; None if it says nothing.
        fps: Frames per second; None if unknown.
        rereadable: Whether :meth:`read` may start again at frame 0.
    """

    def __init__(
        self,
        name: str,
        height: int,
        width: int,
        length: int | None = None,
        expected_length: int | None = None,
        fps: float | None = None,
        rereadable: bool = True,
    ) -> None:
        self.name = name
        self.height = height
        self.width = width
        self.length = length
        self.expected_length = length if expected_length is None else expected_length
        self.fps = fps
        self.rereadable = rereadable
        self.max_frames: int | None = None

    @abstractmethod
    def read(self, index: int) -> Image | None:
        """Return a frame; frames are asked for in order 0, 1, 2, ...

        Args:
            index: Position in the video; 0 starts again if the source is rereadable.

        Returns:
            ``(height, width, 3)`` uint8, BGR; None after the last frame.

        Raises:
            InputError: If a frame cannot be read.
        """

    def close(self) -> None:  # noqa: B027 (a folder holds nothing open)
        """Let go of files and devices."""

    @property
    def video(self) -> VideoInfo:
        """What is known of the video beforehand."""
        return VideoInfo(0, self.name, self.height, self.width, self.length)

    def limit(self, max_frames: int) -> None:
        """End the video after some frames.

        Raises:
            InputError: If ``max_frames`` is below 1.
        """
        if max_frames < 1:
            raise InputError(f"at least 1 frame is needed, got max_frames={max_frames}")
        self.max_frames = max_frames
        if self.length is not None:
            self.length = min(self.length, max_frames)
        if self.expected_length is not None:
            self.expected_length = min(self.expected_length, max_frames)

    def checked(self, index: int) -> Image | None:
        """Read a frame as :meth:`read` does, within the limit and of the right size."""
        if self.max_frames is not None and index >= self.max_frames:
            return None
        image = self.read(index)
        if image is not None and image.shape[:2] != (self.height, self.width):
            raise InputError(
                f"frame {index} of {self.name} is {image.shape[1]}x{image.shape[0]}, the first one "
                f"is {self.width}x{self.height}; frames of one video must have one size"
            )
        return image

    def __iter__(self) -> Iterator[Image]:
        index = 0
        while (image := self.checked(index)) is not None:
            yield image
            index += 1


class FolderSource(ImageSource):
    """The images of a folder, in natural order (``2.jpg`` before ``10.jpg``).

    All sizes are checked at once, from the files' headers.

    Args:
        folder: The folder; other files in it are left out.

    Raises:
        InputError: If there are no images, one is unreadable or sizes differ.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        path = Path(folder)
        self.paths = sorted(
            (item for item in path.iterdir() if item.suffix.lower() in IMAGE_SUFFIXES),
            key=natural_key,
        )
        if not self.paths:
            found = sorted(item.name for item in path.iterdir())[:5]
            raise InputError(
                f"folder {path} holds no frames ({', '.join(IMAGE_SUFFIXES)}); "
                f"it holds {', '.join(found) if found else 'nothing'}"
            )
        width, height = self._check_sizes()
        super().__init__(path.resolve().name, height, width, len(self.paths))

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


class _CaptureSource(ImageSource):
    """Frames from OpenCV's ``VideoCapture``."""

    _capture: cv2.VideoCapture
    _position = 0

    def read(self, index: int) -> Image | None:
        """Return the next frame; see :meth:`ImageSource.read`."""
        if index != self._position:
            self._rewind(index)
        self._position = index + 1
        if index == 0:
            return self._first.copy()
        done, image = self._capture.read()
        return image.astype(np.uint8, copy=False) if done else None

    def _take_first(self, complaint: str) -> None:
        done, image = self._capture.read()
        if not done:
            self._capture.release()
            raise InputError(complaint)
        self._first: Image = image.astype(np.uint8, copy=False)

    def _rewind(self, index: int) -> None:
        raise InputError(f"{self.name}: frame {index} is asked for, but {self._position} is next")

    def close(self) -> None:
        """Let go of the file or device."""
        self._capture.release()


class VideoFileSource(_CaptureSource):
    """A video file. Its length is only known at the end: containers often state it wrongly.

    Args:
        path: The file.

    Raises:
        InputError: If the file cannot be decoded.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._open()
        count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        fps = float(self._capture.get(cv2.CAP_PROP_FPS))
        super().__init__(
            self.path.stem,
            self._first.shape[0],
            self._first.shape[1],
            expected_length=count if count > 0 else None,
            fps=fps if 0 < fps <= 1000 else None,
        )

    def _open(self) -> None:
        with _quiet():
            self._capture = cv2.VideoCapture(str(self.path))
            self._take_first(
                f"{self.path} cannot be decoded as a video: it is damaged, cut off or of a format "
                "that OpenCV lacks; convert it, for example: ffmpeg -i INPUT -c:v libx264 out.mp4"
            )
        self._position = 0

    def _rewind(self, index: int) -> None:
        if index != 0:
            super()._rewind(index)
        self._capture.release()
        self._open()


class CameraSource(_CaptureSource):
    """A camera; its frames cannot be read again.

    Args:
        index: Number of the camera, from 0.

    Raises:
        InputError: If there is no such camera or it gives no frame.
    """

    def __init__(self, index: int) -> None:
        with _quiet():
            self._capture = cv2.VideoCapture(index)
            self._take_first(
                f"camera {index} cannot be opened or gives no frame; check that it is connected, "
                "that no other program uses it and that you may read /dev/video*; the first "
                "camera is 0"
            )
        fps = float(self._capture.get(cv2.CAP_PROP_FPS))
        super().__init__(
            f"camera {index}",
            self._first.shape[0],
            self._first.shape[1],
            fps=fps if 0 < fps <= 1000 else None,
            rereadable=False,
        )


def open_source(source: str | os.PathLike[str], max_frames: int | None = None) -> ImageSource:
    """Open a video file, a folder of frames or a camera.

    Args:
        source: Path, or the number of a camera (``"0"``) if there is no such path.
        max_frames: End the video after so many frames; None: at its end.

    Raises:
        InputError: If it cannot be opened, with the remedy.

    Examples:
        >>> open_source("frames/")  # doctest: +SKIP
        >>> open_source("0", max_frames=300)  # doctest: +SKIP
    """
    opened = _open(Path(source), str(source))
    if max_frames is not None:
        opened.limit(max_frames)
    return opened


def _open(path: Path, text: str) -> ImageSource:
    if path.is_dir():
        return FolderSource(path)
    if path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES:
        raise InputError(f"{path} is a single image; give the folder of frames: {path.parent}")
    if path.is_file():
        return VideoFileSource(path)
    if text.isdigit():
        return CameraSource(int(text))
    raise InputError(
        f"input {text} does not exist; give a video file, a folder of frames or the number of a "
        "camera (0 is the first)"
    )


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


def _image_size(path: Path) -> tuple[int, int]:
    try:
        with PillowImage.open(path) as image:
            return image.size
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
        raise InputError(
            f"frame {path} cannot be read: {str(error).splitlines()[0]}; fetch it again or remove "
            "it from the folder"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep OpenCV from printing its own complaint beside ours."""
    level = cv2.getLogLevel()
    cv2.setLogLevel(0)
    try:
        yield
    finally:
        cv2.setLogLevel(level)
