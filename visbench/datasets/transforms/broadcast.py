# SPDX-License-Identifier: Apache-2.0
"""Applies per-frame transforms to the frames of a clip."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any

from mmcv.transforms import RandomChoice, TransformBroadcaster
from mmcv.transforms.utils import cache_random_params

from visbench.registry import TRANSFORMS


def build_transforms(transforms: Iterable[Any]) -> list[Any]:
    """Build transforms from their configs.

    MMEngine and MMCV build from the root registry, which knows its grandchildren only where the
    default scope names one.

    Args:
        transforms: Configs, or transforms that are left as they are.
    """
    return [
        TRANSFORMS.build(transform) if isinstance(transform, dict) else transform
        for transform in transforms
    ]


@TRANSFORMS.register_module()
class ClipBroadcaster(TransformBroadcaster):
    """Apply transforms to every frame of a clip, with shared or independent random parameters.

    Like MMCV's ``TransformBroadcaster`` without key mapping, except that a frame whose transforms
    give None (a crop without any object) makes the whole clip None, so that the data set draws
    again, and that frames may differ in the keys they end up with.

    Args:
        transforms: Transforms or their configs.
        share_random_params: Whether all frames of a clip get the same random parameters.
    """

    def __init__(self, transforms: list[Any], share_random_params: bool = False) -> None:
        super().__init__(build_transforms(transforms), share_random_params=share_random_params)

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Transform a clip given as dictionary of lists over its frames.

        Args:
            results: Every value is a list with one entry per frame.

        Returns:
            The same with the transforms applied to every frame, or None.
        """
        context = cache_random_params if self.share_random_params else nullcontext
        with context(self.transforms):
            frames = [self.transforms(frame) for frame in self.scatter_sequence(results)]
        if any(frame is None for frame in frames):
            return None
        keys = dict.fromkeys(key for frame in frames for key in frame)
        results.update({key: [frame.get(key) for frame in frames] for key in keys})
        return results


@TRANSFORMS.register_module()
class ChooseTransforms(RandomChoice):
    """Draw one of several lists of transforms, for a whole clip or, inside a broadcaster, a frame.

    MMCV's ``RandomChoice``, except that the transforms may be visbench's.

    Args:
        transforms: Lists of transforms or their configs; a list may be empty.
        prob: Probability of each list; equal by default.
    """

    def __init__(self, transforms: list[list[Any]], prob: list[float] | None = None) -> None:
        super().__init__([build_transforms(branch) for branch in transforms], prob)


CLIP_VIEWS = ("jitter", "identical")
"""What the frames of a clip made from one still image are: views of their own, or copies."""


@TRANSFORMS.register_module()
class JitterClip(ClipBroadcaster):
    """Give every frame of a clip made from a still image a view of its own.

    Any per-frame transforms do: MMDetection's ``Rotate`` and ``RandomCrop`` for small movements
    of a camera, ``Rotate`` alone by up to 30 degrees for pseudo videos. Objects keep their ids.

    Args:
        transforms: Transforms or their configs; each frame draws random parameters of its own.
        coco_clip: ``jitter`` applies them, ``identical`` leaves all frames the same.

    Raises:
        ValueError: If ``coco_clip`` is another word.
    """

    def __init__(self, transforms: list[Any], coco_clip: str = "jitter") -> None:
        if coco_clip not in CLIP_VIEWS:
            raise ValueError(f"coco_clip={coco_clip!r} is not one of {list(CLIP_VIEWS)}")
        super().__init__(transforms, share_random_params=False)
        self.coco_clip = coco_clip

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Transform a clip given as dictionary of lists over its frames."""
        return results if self.coco_clip == "identical" else super().transform(results)
