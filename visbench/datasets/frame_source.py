# SPDX-License-Identifier: Apache-2.0
"""Lazy frames of one video, read ahead by a background thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import mmcv.transforms
import numpy as np
import numpy.typing as npt
import torch
from mmcv.transforms import TransformBroadcaster

from visbench.registry import TRANSFORMS
from visbench.structures import Frame, VideoInfo

Reader = Callable[[int], "npt.NDArray[np.uint8]"]
"""Returns frame ``index`` as a ``(h, w, 3)`` uint8 BGR array; raises :class:`EndOfVideo`."""


class EndOfVideo(Exception):
    """Raised by the reader of a video of unknown length after its last frame."""


class FrameError(RuntimeError):
    """A frame could not be read or transformed; the message names frame and video."""


class FrameSource:
    """Sized, lazy and re-iterable frames of one video.

    Every iteration starts at frame 0. A single background thread reads and transforms at most
    ``look_ahead`` frames in advance, in order, so the result does not depend on timing. An
    exception is delivered at the frame that caused it; when the iteration is abandoned the thread
    ends and what was read ahead is dropped.

    Args:
        reader: Gives frame ``index``; called with 0, 1, 2, ... in order in every iteration, so a
            sequential reader may rewind when it is asked for frame 0.
        length: Number of frames; None if unknown, then the reader raises :class:`EndOfVideo`.
        transforms: Per-frame transforms after reading; each takes and returns a dictionary with
            ``img`` ``(h, w, 3)``, ``img_shape``, ``ori_shape``, ``height`` and ``width``.
        look_ahead: Number of frames read in advance; 0 reads in the calling thread.
        name: Name of the video, for error messages.

    Raises:
        ValueError: If ``look_ahead`` is negative.

    Examples:
        >>> source = FrameSource(lambda index: np.full((4, 6, 3), index, np.uint8), 3)
        >>> [(frame.index, tuple(frame.image.shape)) for frame in source]
        [(0, (3, 4, 6)), (1, (3, 4, 6)), (2, (3, 4, 6))]
    """

    def __init__(
        self,
        reader: Reader,
        length: int | None,
        transforms: Sequence[Callable[[dict[str, Any]], dict[str, Any] | None]] = (),
        look_ahead: int = 2,
        name: str = "video",
    ) -> None:
        if look_ahead < 0:
            raise ValueError(f"look_ahead must be 0 or more, got {look_ahead}")
        self.reader = reader
        self.length = length
        self.transforms = list(transforms)
        self.look_ahead = look_ahead
        self.name = name
        self._executors: set[ThreadPoolExecutor] = set()

    def __len__(self) -> int:
        if self.length is None:
            raise TypeError(f"the length of '{self.name}' is unknown")
        return self.length

    def __iter__(self) -> Iterator[Frame]:
        try:
            if self.look_ahead == 0:
                for index in self._indices():
                    yield self.read(index)
            else:
                yield from self._read_ahead()
        except EndOfVideo:
            return

    def read(self, index: int) -> Frame:
        """Read and transform one frame.

        Args:
            index: 0-based position in the video.

        Returns:
            A raw frame: ``image`` is a ``(3, h, w)`` uint8 BGR tensor.

        Raises:
            FrameError: If the frame cannot be read or transformed.
            EndOfVideo: After the last frame of a video of unknown length.
        """
        try:
            image = self.reader(index)
            original = (int(image.shape[0]), int(image.shape[1]))
            results: dict[str, Any] | None = {
                "img": image,
                "img_shape": original,
                "ori_shape": original,
                "height": original[0],
                "width": original[1],
                "frame_id": index,
            }
            for transform in self.transforms:
                results = transform(results or {})
            if results is None:
                raise ValueError("a transform of the test pipeline returned no result")
            return _to_frame(index, results["img"], original)
        except (EndOfVideo, FrameError):
            raise
        except Exception as error:
            raise FrameError(f"frame {index} of video '{self.name}': {error}") from error

    def close(self) -> None:
        """End the background threads of iterations that were left unfinished.

        Such an iteration cannot be continued; a new one starts at frame 0.
        """
        for executor in list(self._executors):
            executor.shutdown(wait=True, cancel_futures=True)
        self._executors.clear()

    def _indices(self) -> Iterator[int]:
        index = 0
        while self.length is None or index < self.length:
            yield index
            index += 1

    def _read_ahead(self) -> Iterator[Frame]:
        executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="frame-source")
        self._executors.add(executor)
        pending: deque[Future[Frame]] = deque()
        try:
            for index in self._indices():
                pending.append(executor.submit(self.read, index))
                if len(pending) > self.look_ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            executor.shutdown(wait=True, cancel_futures=True)
            self._executors.discard(executor)


def _to_frame(index: int, image: npt.NDArray[Any], original: tuple[int, int]) -> Frame:
    if image.ndim == 2:
        image = np.repeat(image[..., None], 3, axis=2)
    tensor = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
    return Frame(index, tensor, (int(tensor.shape[1]), int(tensor.shape[2])), original)


@dataclass(frozen=True)
class VideoItem:
    """A test item: one video and its frames, read when they are wanted.

    Args:
        video: What is known of the video.
        frames: Its frames.
    """

    video: VideoInfo
    frames: FrameSource


def per_frame_transforms(pipeline: Any, with_loading: bool = False) -> list[Any]:
    """Return the part of a test pipeline that works on a single frame.

    Transforms inside a ``TransformBroadcaster`` are unwrapped, annotation loaders and whatever
    packs the clip are left out.

    Args:
        pipeline: List of transform configs or transforms, or a ``Compose`` of them, as in
            ``cfg.test_dataloader.dataset.pipeline``.
        with_loading: Whether the transform that loads the image stays; without it the transforms
            start from an image in memory.

    Returns:
        Transforms that take and return the dictionary of one frame.
    """
    transforms = []
    for transform in getattr(pipeline, "transforms", pipeline):
        if isinstance(transform, dict):
            transform = TRANSFORMS.build(transform)
        if isinstance(transform, TransformBroadcaster):
            transforms += per_frame_transforms(transform.transforms, with_loading)
        elif type(transform).__name__.startswith("Pack"):
            break
        elif isinstance(transform, mmcv.transforms.LoadAnnotations):
            continue
        elif with_loading or not isinstance(transform, mmcv.transforms.LoadImageFromFile):
            transforms.append(transform)
    return transforms
