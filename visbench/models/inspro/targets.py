# SPDX-License-Identifier: Apache-2.0
"""Ground truth of a batch of clips and its matching with the slots."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from mmdet.structures import TrackDataSample
from mmengine.structures import InstanceData
from torch import Tensor

from visbench.models.inspro.association import (
    IndependentMatching,
    TemporallyConsistentMatching,
)

Matcher = TemporallyConsistentMatching | IndependentMatching


@dataclass
class ClipTargets:
    """The O visible objects of all frames of B clips of T frames.

    Frames are counted as ``t * B + b``; the objects of a frame are neighbours.

    Args:
        num_clips: B.
        whwh: ``(T * B, 4)`` width, height, width, height of the unpadded frames.
        frame: ``(O,)`` frame of each object.
        ids: O ids, unique within a frame and constant within a clip.
        labels: ``(O,)`` classes.
        boxes: ``(O, 4)`` xyxy in pixels.
        masks: ``(O, h, w)`` masks, 0 or 1, at the stride of the mask loss; None for boxes only.
    """

    num_clips: int
    whwh: Tensor
    frame: Tensor
    ids: list[int]
    labels: Tensor
    boxes: Tensor
    masks: Tensor | None

    @property
    def counts(self) -> Tensor:
        """Number of objects of every frame, ``(T * B,)``."""
        return torch.bincount(self.frame, minlength=len(self.whwh))

    def of_frames(self, frames: Tensor) -> tuple[ClipTargets, Tensor]:
        """Return the objects of some of the frames, which are counted anew.

        Args:
            frames: ``(T * B,)`` booleans, for all clips of a moment the same.

        Returns:
            The objects, and ``(O,)`` booleans that say which they are.
        """
        kept = frames[self.frame]
        number = frames.cumsum(0) - 1
        selected = ClipTargets(
            num_clips=self.num_clips,
            whwh=self.whwh[frames],
            frame=number[self.frame[kept]],
            ids=[value for value, keep in zip(self.ids, kept.tolist(), strict=True) if keep],
            labels=self.labels[kept],
            boxes=self.boxes[kept],
            masks=None if self.masks is None else self.masks[kept],
        )
        return selected, kept


def frame_sizes(samples: Sequence[TrackDataSample], device: torch.device) -> Tensor:
    """Return ``(T * B, 4)`` sizes (width, height, width, height) of the unpadded frames."""
    sizes = [
        (sample[index].img_shape[1], sample[index].img_shape[0])
        for index in range(len(samples[0]))
        for sample in samples
    ]
    return torch.tensor(sizes, dtype=torch.float32, device=device).repeat(1, 2)


def clip_targets(
    samples: Sequence[TrackDataSample], stride: int | None, device: torch.device
) -> ClipTargets:
    """Collect the visible objects of a batch of clips.

    Args:
        samples: B samples of T frames in temporal order with ``gt_instances``.
        stride: Every ``stride``-th pixel of the padded masks is taken, from ``stride // 2`` on;
            None for boxes only, then masks are not needed and not looked at.
        device: Where the tensors go.

    Returns:
        The objects whose box and, unless ``stride`` is None, mask are not empty.

    Raises:
        ValueError: If masks are wanted and the samples have none.
    """
    frames = [sample[index] for index in range(len(samples[0])) for sample in samples]
    parts = [_visible(frame.gt_instances, stride) for frame in frames]
    boxes, labels, ids, masks = (list(column) for column in zip(*parts, strict=True))
    index = torch.arange(len(frames)).repeat_interleave(
        torch.tensor([len(part) for part in labels])
    )
    return ClipTargets(
        num_clips=len(samples),
        whwh=frame_sizes(samples, device),
        frame=index.to(device),
        ids=torch.cat(ids).tolist(),
        labels=torch.cat(labels).to(device),
        boxes=torch.cat(boxes).to(device),
        masks=None if stride is None else torch.from_numpy(np.concatenate(masks)).to(device),
    )


def match_clips(costs: Tensor, targets: ClipTargets, new_matcher: Callable[[], Matcher]) -> Tensor:
    """Match the objects of every clip in temporal order.

    Args:
        costs: ``(M, O, N)`` cost of every slot for every object in every stage.
        targets: The objects.
        new_matcher: Makes the matcher of one clip.

    Returns:
        ``(M, O)`` slots, -1 for objects without one, on the device of ``costs``.
    """
    table = costs.detach().cpu().numpy().transpose(0, 2, 1)
    slots = np.full((len(costs), len(targets.ids)), -1, dtype=np.int64)
    frame = targets.frame.cpu().numpy()
    bounds = np.searchsorted(frame, np.arange(len(targets.whwh) + 1)).tolist()
    for clip in range(targets.num_clips):
        matcher = new_matcher()
        for index in range(clip, len(targets.whwh), targets.num_clips):
            objects = slice(bounds[index], bounds[index + 1])
            slots[:, objects] = matcher.match(targets.ids[objects], table[:, :, objects])
    return torch.from_numpy(slots).to(costs.device)


class IdentityTargets(NamedTuple):
    """What a track head shall say of n pairs of an object and another frame of its clip.

    Attributes:
        key: ``(n,)`` index of the object.
        candidates: ``(n, O)`` booleans, true for the objects of the other frame; each row has one.
        column: ``(n,)``: 0 for an object that is not in the other frame, else one plus the index
            of the same object there.
    """

    key: Tensor
    candidates: Tensor
    column: Tensor


def identity_targets(targets: ClipTargets) -> IdentityTargets:
    """Pair every object with every other frame of its clip in which there is any object.

    Args:
        targets: The objects. Clips of one frame give no pair.
    """
    frame = targets.frame
    ids = torch.tensor(targets.ids, dtype=torch.long, device=frame.device)
    frames = torch.arange(len(targets.whwh), device=frame.device)
    same_clip = (frame[:, None] - frames) % targets.num_clips == 0
    paired = same_clip & (frame[:, None] != frames) & (targets.counts > 0)
    key, reference = paired.nonzero(as_tuple=True)
    candidates = frame == reference[:, None]
    same = candidates & (ids == ids[key][:, None])
    there = same.long() * torch.arange(1, len(ids) + 1, device=frame.device)
    return IdentityTargets(key, candidates, there.sum(dim=1))


def _visible(
    instances: InstanceData, stride: int | None
) -> tuple[Tensor, Tensor, Tensor, np.ndarray | None]:
    boxes = instances.bboxes.detach().cpu().float()
    seen = ((boxes[:, 2:] - boxes[:, :2]) > 0).all(1)
    small = None
    if stride is not None:
        masks = _masks(instances)
        seen &= torch.from_numpy(masks.any((1, 2)))
        rows = masks[seen.numpy(), stride // 2 :: stride, stride // 2 :: stride]
        small = rows.astype(np.uint8)
    labels, ids = instances.labels.cpu(), torch.as_tensor(instances.instances_ids).cpu()
    return boxes[seen], labels[seen], ids[seen], small


def _masks(instances: InstanceData) -> np.ndarray:
    if "masks" not in instances:
        raise ValueError(
            "field 'masks' is missing in gt_instances, but the model has a mask branch; load masks "
            "(LoadTrackAnnotations with with_mask=True) or set model.mask_branch=None for boxes "
            "only"
        )
    masks: np.ndarray = instances.masks.to_ndarray()
    return masks
