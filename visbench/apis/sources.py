# SPDX-License-Identifier: Apache-2.0
"""What every source of frames has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from visbench.engine.errors import UserError
from visbench.structures import VideoInfo

Image = npt.NDArray[np.uint8]


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
        endless: Whether the frames go on until somebody ends them.
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
        endless: bool = False,
    ) -> None:
        self.name = name
        self.height = height
        self.width = width
        self.length = length
        self.expected_length = length if expected_length is None else expected_length
        self.fps = fps
        self.rereadable = rereadable
        self.endless = endless
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

    def frame_name(self, index: int) -> str:
        """Return the name of a frame's file without ending, for outputs with one file per frame."""
        return f"{index:05d}"

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
            size = (image.shape[1], image.shape[0])
            raise other_size(index, self.name, size, (self.width, self.height))
        return image

    def __iter__(self) -> Iterator[Image]:
        index = 0
        while (image := self.checked(index)) is not None:
            yield image
            index += 1


def other_size(index: int, name: str, size: tuple[int, ...], first: tuple[int, ...]) -> InputError:
    """Return the error about a frame whose size ``(width, height)`` is not the first one's."""
    return InputError(
        f"frame {index} of {name} is {size[0]}x{size[1]}, the first one is {first[0]}x{first[1]}; "
        "frames of one video must have one size"
    )
