# SPDX-License-Identifier: Apache-2.0
"""Overlay videos and contact sheets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from visbench.structures import FrameInstances, VideoTracks, instances_at
from visbench.visualization.overlay import (
    Image,
    display_scale,
    draw_instances,
    pad_to,
    side_by_side,
)


class VideoWriteError(RuntimeError):
    """A video or contact sheet that cannot be written; the message names the file and remedy."""


class OverlayWriter:
    """Writes frames to an mp4 file, one by one, and optionally a contact sheet.

    The file appears under its name when the writer is closed, also after an exception or Ctrl-C
    inside the ``with`` block: what has been written up to there is a playable video. An older
    video of that name stays until then.

    Args:
        path: The video, ``*.mp4`` (MPEG-4 part 2, which OpenCV's wheels can always encode).
        fps: Frames per second of the video.
        contact_sheet: A PNG with frames spread evenly over the video; none by default.
        sheet_frames: How many frames the contact sheet shows at most.

    Raises:
        ValueError: If the name does not end in ``.mp4`` or is a folder's, ``fps`` is not positive,
            or (on writing) frames differ in size.
        VideoWriteError: If the folder cannot be made, OpenCV cannot encode, or the written file
            cannot be read back.

    Examples:
        >>> with OverlayWriter("out.mp4", fps=25) as writer:
        ...     writer.write(draw_instances(image, instances))
        >>> writer.num_frames
        1
    """

    def __init__(
        self,
        path: str | Path,
        fps: float = 25.0,
        contact_sheet: str | Path | None = None,
        sheet_frames: int = 12,
    ) -> None:
        self.path = Path(path)
        if self.path.suffix.lower() != ".mp4":
            raise ValueError(f"{self.path}: the name of the video must end in .mp4")
        if self.path.is_dir():
            raise ValueError(f"{self.path} is a folder; give the name of a file")
        if not 0 < fps <= 1000:
            raise ValueError(f"{self.path}: {fps} frames per second is not possible; use 1 to 1000")
        self.fps = float(fps)
        self.num_frames = 0
        self._part = self.path.with_name(f".{self.path.stem}.part.mp4")
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._sheet = _ContactSheet(sheet_frames)
        self._sheet_path = None if contact_sheet is None else Path(contact_sheet)

    def write(self, image: Image) -> None:
        """Append a frame: ``(H, W, 3)`` uint8, BGR, all of one size."""
        size = (image.shape[1], image.shape[0])
        if self._writer is None:
            self._writer = self._open(size)
            self._size = size
        if size != self._size:
            raise ValueError(
                f"{self.path}: frame {self.num_frames} is {size[0]}x{size[1]}, the video is "
                f"{self._size[0]}x{self._size[1]}"
            )
        # The encoder cuts odd sides to even ones; a repeated border loses nothing.
        even = cv2.copyMakeBorder(image, 0, size[1] % 2, 0, size[0] % 2, cv2.BORDER_REPLICATE)
        self._writer.write(even)
        if self._sheet_path is not None:
            self._sheet.add(image)
        self.num_frames += 1

    def close(self) -> None:
        """Finish the file under its final name; a writer without frames leaves nothing."""
        if self._writer is None:
            return
        self._writer.release()
        self._writer = None
        if not _readable(self._part):
            raise VideoWriteError(
                f"{self._part}: the video cannot be read back; is the disk full? {_REMEDY}"
            )
        self._part.replace(self.path)
        if self._sheet_path is not None:
            self._sheet.save(self._sheet_path)

    def __enter__(self) -> OverlayWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _open(self, size: tuple[int, int]) -> cv2.VideoWriter:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise VideoWriteError(f"{error}; give another place for {self.path.name}") from error
        even = (size[0] + size[0] % 2, size[1] + size[1] % 2)
        codec = cv2.VideoWriter.fourcc(*"mp4v")
        writer = cv2.VideoWriter(str(self._part), codec, self.fps, even)
        if not writer.isOpened():
            raise VideoWriteError(f"{self.path}: OpenCV cannot open an mp4 video here. {_REMEDY}")
        return writer


_REMEDY = (
    "Check that the folder is writable and that OpenCV has its video encoder: "
    "pip install --force-reinstall opencv-python-headless"
)


def write_overlay_video(
    path: str | Path,
    images: Iterable[Image],
    result: VideoTracks,
    class_names: Sequence[str] = (),
    score_threshold: float = 0.3,
    *,
    fps: float = 10.0,
    beside_input: bool = False,
    contact_sheet: str | Path | None = None,
) -> int:
    """Write the overlay of a finished video; small frames are enlarged.

    Args:
        path: The video, ``*.mp4``.
        images: The original frames in order, BGR; the video ends with the shorter of frames and
            tracks.
        result: The result of the video.
        class_names: Name of every 0-based label.
        score_threshold: Predictions with a lower score are left out.
        fps: Frames per second.
        beside_input: Whether the plain frame stands at the left.
        contact_sheet: Also write a PNG with frames spread over the video.

    Returns:
        The number of frames written.
    """
    with OverlayWriter(path, fps, contact_sheet) as writer:
        for index, image in enumerate(images):
            if result.tracks and index >= len(result.tracks[0]):
                break
            scale = display_scale(*image.shape[:2])
            drawn = draw_instances(
                image, instances_at(result, index), class_names, score_threshold, scale=scale
            )
            if beside_input:
                plain = draw_instances(image, FrameInstances.empty(), scale=scale)
                drawn = side_by_side([plain, drawn], ["input", "result"])
            writer.write(drawn)
        return writer.num_frames


class _ContactSheet:
    """Keeps frames spread evenly over a video of unknown length, in constant memory."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._stride = 1
        self._count = 0
        self._frames: list[Image] = []

    def add(self, image: Image) -> None:
        if self._count % self._stride == 0:
            self._frames.append(_shrink(image, 480))
        self._count += 1
        if len(self._frames) >= 2 * self._limit:
            self._frames = self._frames[::2]
            self._stride *= 2

    def save(self, path: Path) -> None:
        count = min(self._limit, len(self._frames))
        picks = np.linspace(0, len(self._frames) - 1, count).round().astype(int)
        frames = [self._frames[pick] for pick in picks]
        columns = min(4, len(frames))
        rows = [frames[start : start + columns] for start in range(0, len(frames), columns)]
        write_contact_sheet(path, rows)


def write_contact_sheet(path: str | Path, rows: Sequence[Sequence[Image]]) -> None:
    """Write images side by side and below each other; smaller ones and gaps are filled with grey.

    Args:
        path: An image file, such as ``*.png``.
        rows: ``(H, W, 3)`` uint8, BGR, of any sizes; at least one.

    Raises:
        VideoWriteError: If the file cannot be written.
    """
    path = Path(path)
    images = [image for row in rows for image in row]
    height, width = (max(image.shape[axis] for image in images) for axis in (0, 1))
    columns = max(map(len, rows))
    sheet = [
        np.concatenate([pad_to(image, height, width) for image in row], axis=1) for row in rows
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    joined = np.concatenate([pad_to(row, height, width * columns) for row in sheet], axis=0)
    try:
        written = cv2.imwrite(str(path), joined)
    except cv2.error:
        written = False
    if not written:
        raise VideoWriteError(f"{path}: the contact sheet cannot be written; use a .png name")


def _shrink(image: Image, width: int) -> Image:
    if image.shape[1] <= width:
        return image.copy()
    size = (width, max(1, round(image.shape[0] * width / image.shape[1])))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _readable(path: Path) -> bool:
    capture = cv2.VideoCapture(str(path))
    try:
        return bool(capture.read()[0])
    finally:
        capture.release()
