# SPDX-License-Identifier: Apache-2.0
"""Frames that OpenCV decodes: of a video file or a camera."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from visbench.apis.sources import Image, ImageSource, InputError


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

    Examples:
        >>> video = VideoFileSource("video.mp4")
        >>> video.name, video.fps, len(list(video))
        ('video', 12.0, 5)
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

    Examples:
        >>> camera = CameraSource(0)
        >>> camera.name, camera.length, camera.rereadable
        ('camera 0', None, False)
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
            endless=True,
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep OpenCV from printing its own complaint beside ours."""
    level = cv2.getLogLevel()
    cv2.setLogLevel(0)
    try:
        yield
    finally:
        cv2.setLogLevel(level)
