# SPDX-License-Identifier: Apache-2.0
"""Whatever a user has, opened as a source of frames."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from visbench.apis.capture_sources import CameraSource, VideoFileSource
from visbench.apis.image_sources import (
    FolderSource,
    IteratorSource,
    ListSource,
)
from visbench.apis.sources import Image, ImageSource, InputError
from visbench.structures.file_names import IMAGE_SUFFIXES

Source = str | os.PathLike[str] | int | Sequence[Image | str | os.PathLike[str]] | Iterable[Image]
"""What :func:`open_source` opens."""


def open_source(
    source: Source | ImageSource, max_frames: int | None = None, name: str | None = None
) -> ImageSource:
    """Open a video, whatever it comes from.

    Args:
        source: Path of a video file or of a folder of frames; number of a camera (``0``, or ``"0"``
            if there is no such path); list of frames or of image files, or an array
            ``(T, H, W, 3)``; generator of frames; or a source, which is passed on.
        max_frames: End the video after so many frames; None: at its end.
        name: Name of the video, for results and messages; the file's by default.

    Raises:
        InputError: If it cannot be opened, with the remedy.

    Examples:
        >>> open_source("video.mp4").expected_length
        5
        >>> [image.shape for image in open_source("frames", max_frames=2)]
        [(48, 64, 3), (48, 64, 3)]
        >>> open_source([np.zeros((48, 64, 3), np.uint8)] * 3, name="black").video
        VideoInfo(video_id=0, name='black', height=48, width=64, length=3)
    """
    opened = _open(source)
    if name is not None:
        opened.name = name
    if max_frames is not None:
        opened.limit(max_frames)
    return opened


def _open(source: Any) -> ImageSource:
    if isinstance(source, ImageSource):
        return source
    if isinstance(source, (str, os.PathLike)):
        return _open_path(Path(source), str(source))
    if isinstance(source, (int, np.integer)) and not isinstance(source, bool):
        return CameraSource(int(source))
    if isinstance(source, np.ndarray) and source.ndim == 3:
        raise InputError("the input is a single image; give a list of frames, [image]")
    if isinstance(source, (Sequence, np.ndarray)):
        return ListSource(source)
    if isinstance(source, Iterable):
        return IteratorSource(source)
    raise InputError(
        f"the input is a {type(source).__name__}; give a path, the number of a camera, a list or a "
        "generator of frames"
    )


def _open_path(path: Path, text: str) -> ImageSource:
    if not text:
        raise InputError("the input is an empty text; give a path or the number of a camera")
    if path.is_dir():
        return FolderSource(path)
    if path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES:
        raise InputError(f"{path} is a single image; give the folder of frames: {path.parent}")
    if path.is_file():
        return VideoFileSource(path)
    if text.isdecimal():
        return CameraSource(int(text))
    raise InputError(
        f"input {text} does not exist; give a video file, a folder of frames or the number of a "
        "camera (0 is the first)"
    )
