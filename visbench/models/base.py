# SPDX-License-Identifier: Apache-2.0
"""The contract of every method: :class:`VISModel` and its state machine for online methods."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar, Generic, TypeVar

import torch
from mmdet.structures import TrackDataSample
from mmengine.model import BaseModel

from visbench.models.state import VideoState
from visbench.registry import MODELS
from visbench.structures import Frame, FrameInstances, VideoInfo, VideoTracks

StateT = TypeVar("StateT", bound=VideoState)


class VISModel(BaseModel):
    """A video instance segmentation method.

    Subclasses implement :meth:`loss` and :meth:`segment` (or, for online methods, the three
    methods of :class:`OnlineVISModel`). Nothing of a video hides in module attributes: two videos
    may be processed interleaved.

    Args:
        data_preprocessor: Config of a :class:`~visbench.models.ClipPreprocessor`.
        init_cfg: Initialisation config of MMEngine.
    """

    online: ClassVar[bool] = False
    """Whether the result of a frame depends on this and earlier frames only."""

    def __init__(self, data_preprocessor: dict | None = None, init_cfg: Any = None) -> None:
        # MMEngine would look in its own registry, which finds visbench only as the default scope.
        preprocessor = MODELS.build(data_preprocessor or {"type": "visbench.ClipPreprocessor"})
        super().__init__(preprocessor, init_cfg=init_cfg)

    @classmethod
    def parameters_without_gradient(cls, config: dict) -> dict[str, str]:
        """Return parameters that need no gradient on the standard clip.

        Args:
            config: The model's config, as it is built from.

        Returns:
            Reason by parameter name; names may be ``fnmatch`` patterns.
        """
        return {}

    @abstractmethod
    def loss(self, inputs: torch.Tensor, data_samples: list[TrackDataSample]) -> dict:
        """Return the losses of a batch of clips.

        Args:
            inputs: ``(B, T, 3, H, W)`` normalised frames, zero-padded.
            data_samples: B samples of T frames with ``gt_instances`` (``bboxes`` xyxy in pixels
                of ``inputs``, ``labels``, ``masks``, ``instances_ids``).

        Returns:
            Scalars by name; those with "loss" in the name are summed and back-propagated.
        """

    @abstractmethod
    def segment(self, video: VideoInfo, frames: Iterable[Frame]) -> VideoTracks:
        """Segment one video.

        Args:
            video: The video; its length may be None.
            frames: Prepared frames in order, read lazily.

        Returns:
            The tracks at original size, with the number of frames read as the video's length.
        """

    def prepare(self, frame: Frame) -> Frame:
        """Normalise, pad and move a raw frame to the model's device."""
        return self.data_preprocessor.prepare_frame(frame)

    @torch.no_grad()
    def predict(
        self, inputs: torch.Tensor, data_samples: list[TrackDataSample]
    ) -> list[TrackDataSample]:
        """Segment whole clips that are in memory, by the same code as the video loops.

        Args:
            inputs: ``(B, T, 3, H, W)`` normalised frames, zero-padded.
            data_samples: B samples of T frames with ``img_shape`` and ``ori_shape``.

        Returns:
            The same samples, each with its result in ``video_tracks``.
        """
        for clip, sample in zip(inputs, data_samples, strict=True):
            frames = [
                Frame(index, image, _size(meta.img_shape), _size(meta.ori_shape))
                for index, (image, meta) in enumerate(zip(clip, sample, strict=True))
            ]
            height, width = frames[0].original_size
            video_id = int(sample[0].metainfo.get("video_id", 0))
            video = VideoInfo(video_id, f"video {video_id}", height, width, len(frames))
            sample.set_field(self.segment(video, frames), "video_tracks", dtype=VideoTracks)
        return data_samples

    def forward(
        self,
        inputs: torch.Tensor,
        data_samples: list[TrackDataSample] | None = None,
        mode: str = "tensor",
    ) -> Any:
        """Dispatch to :meth:`loss`, :meth:`predict` or :meth:`forward_frames`.

        Args:
            inputs: ``(B, T, 3, H, W)`` normalised frames.
            data_samples: Samples of the clips; not needed for ``tensor``.
            mode: ``loss``, ``predict`` or ``tensor``, as MMEngine calls it.

        Raises:
            ValueError: If ``mode`` is another word.
        """
        if mode == "loss":
            return self.loss(inputs, data_samples or [])
        if mode == "predict":
            return self.predict(inputs, data_samples or [])
        if mode == "tensor":
            return self.forward_frames(inputs.flatten(0, 1))
        raise ValueError(f"mode must be 'loss', 'predict' or 'tensor', got {mode!r}")

    @abstractmethod
    def forward_frames(self, images: torch.Tensor) -> Any:
        """Run the network on frames without association, as GFLOPs are counted.

        Args:
            images: ``(N, 3, H, W)`` normalised frames.

        Returns:
            Raw outputs; their form is the method's own.
        """


class OnlineVISModel(VISModel, Generic[StateT]):
    """A method that sees one frame after the other: start, step, finish.

    By default whole video, streamed video and a video resumed from a saved state give the same
    bits on the CPU, since all go through :meth:`step`. Subclasses name their state:
    ``class InsPro(OnlineVISModel[InsProState])``.
    """

    online: ClassVar[bool] = True

    @abstractmethod
    def start(self, video: VideoInfo) -> StateT:
        """Return the state before the first frame."""

    @abstractmethod
    def step(self, frame: Frame, state: StateT) -> FrameInstances:
        """Process the next prepared frame, change ``state`` and return the frame's instances.

        Implementations end with ``state.recorder.add(frame.index, instances)``.
        """

    @abstractmethod
    def finish(self, state: StateT) -> VideoTracks:
        """Return the result of the video.

        It may drop, re-score or relabel tracks; it never renames an id or changes a mask.
        """

    @torch.no_grad()
    def segment(self, video: VideoInfo, frames: Iterable[Frame]) -> VideoTracks:
        """Segment one video frame by frame; see :meth:`VISModel.segment`."""
        state = self.start(video)
        for frame in frames:
            self.step(frame, state)
        return self.finish(state)


def _size(shape: Any) -> tuple[int, int]:
    return int(shape[0]), int(shape[1])
