# SPDX-License-Identifier: Apache-2.0
"""Frames of a stream drawn as they come: into a video, a folder of masks, a window."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, nullcontext

import cv2

from visbench.apis.inference import VideoStream
from visbench.apis.sources import Image, InputError
from visbench.structures import FrameInstances, IdMaskWriter
from visbench.visualization import OverlayWriter, display_scale, draw_instances
from visbench.visualization.writer import VideoWriteError


def drawn_frames(
    frames: VideoStream,
    class_names: Sequence[str],
    writer: OverlayWriter | None = None,
    masks: IdMaskWriter | None = None,
    score_threshold: float = 0.3,
    window: float | None = None,
    wanted: bool = False,
) -> Generator[Image | None, None, None]:
    """Run a stream and draw its frames.

    Args:
        frames: The stream.
        class_names: Name of every 0-based label.
        writer: Writes an overlay video; closed at the end, also after an error.
        masks: Writes one PNG of track ids per frame.
        score_threshold: Instances with a lower score are neither drawn nor in the masks.
        window: Show the frames in a window, each for so many seconds; None shows none.
        wanted: Whether the drawn frames are yielded.

    Yields:
        The drawn frame (BGR), or None if it is not wanted.

    Raises:
        InputError: If video or masks cannot be written or no window can be opened.
    """
    scale = display_scale(frames.source.height, frames.source.width)
    draws = wanted or writer is not None or window is not None
    with _video_errors(), writer or nullcontext():
        for index, image, instances in frames:
            shown = instances.select(instances.scores >= score_threshold)
            if masks is not None:
                _write_masks(masks, frames.source.frame_name(index), shown)
            if not draws:
                yield None
                continue
            drawn = draw_instances(image, shown, class_names, score_threshold, scale=scale)
            if writer is not None:
                writer.write(drawn)
            ended = window is not None and _show(frames.source.name, drawn, window)
            yield drawn if wanted else None
            if ended:
                return


@contextmanager
def _video_errors() -> Iterator[None]:
    try:
        yield
    except VideoWriteError as error:
        raise InputError(f"video_out: {error}") from error


def _write_masks(writer: IdMaskWriter, name: str, instances: FrameInstances) -> None:
    try:
        writer.write(name, instances)
    except (ValueError, OSError) as error:
        raise InputError(f"masks_out: {error}") from error


def _show(title: str, image: Image, seconds: float) -> bool:
    """Show a frame; return whether the user wants no more."""
    try:
        cv2.imshow(title, image)
        key = cv2.waitKey(max(1, round(1000 * seconds))) & 0xFF
    except cv2.error as error:
        raise InputError(
            "show needs a display and an OpenCV with windows (opencv-python instead of "
            "opencv-python-headless); write a video instead (video_out)"
        ) from error
    return key in (ord("q"), ord("Q"), 27)
