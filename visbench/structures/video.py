# SPDX-License-Identifier: Apache-2.0
"""A video's facts and one frame on its way into a model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class VideoInfo:
    """What is known of a video before its first frame is read.

    Args:
        video_id: Id in the annotation file; 0 for a stray file or a camera.
        name: Human-readable name, the folder of the frames in data sets.
        height: Height of the original frames in pixels.
        width: Width of the original frames in pixels.
        length: Number of frames; None while it is unknown (camera, pipe).

    Raises:
        ValueError: If a size is below 1 or the length is negative.
    """

    video_id: int
    name: str
    height: int
    width: int
    length: int | None = None

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise ValueError(
                f"video {self.video_id} ({self.name}): size {self.height}x{self.width} is not "
                "positive; correct 'height' and 'width' of its record"
            )
        if self.length is not None and self.length < 0:
            raise ValueError(
                f"video {self.video_id} ({self.name}): length {self.length} is negative"
            )


@dataclass(frozen=True)
class Frame:
    """One frame of a video.

    Two moments of its life share the class. From a frame source it is *raw*: ``image`` is a
    ``(3, h, w)`` uint8 tensor (BGR, values 0 to 255) after the test pipeline, and ``valid_size``
    is ``(h, w)``. From :meth:`visbench.models.VISModel.prepare` it is *prepared*: normalised
    float, on the model's device, zero-padded at the right and lower border; ``valid_size`` still
    says which part is image.

    Args:
        index: Position in the video, 0-based.
        image: Tensor of shape ``(3, H, W)``.
        valid_size: ``(height, width)`` of the part of ``image`` that is not padding.
        original_size: ``(height, width)`` of the frame as filmed; results have this size.
    """

    index: int
    image: Any
    valid_size: tuple[int, int]
    original_size: tuple[int, int]

    @property
    def scale_factor(self) -> tuple[float, float]:
        """``(x, y)`` factors from original pixels to pixels of ``image``."""
        return (
            self.valid_size[1] / self.original_size[1],
            self.valid_size[0] / self.original_size[0],
        )

    def with_image(self, image: Any) -> Frame:
        """Return a copy with another image tensor."""
        return replace(self, image=image)
