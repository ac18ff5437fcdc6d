# SPDX-License-Identifier: Apache-2.0
"""What IAI learns: ids of the objects of a clip, and which pixel belongs to which id."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from mmdet.structures import TrackDataSample
from mmengine.structures import InstanceData
from torch import Tensor

from visbench.models.iai.association import NO_ID, overflow_rule

Ids = npt.NDArray[np.int64]


class TimeStep(NamedTuple):
    """The targets of frame t of B clips.

    Attributes:
        instances: B frames of ``bboxes``, ``labels``, ``masks`` and ``id_targets``.
        metas: B dictionaries of MMDetection's metainfo.
        label_maps: ``(B, H, W)`` id of every pixel, N for background.
        new: Whether an object of a clip is seen here for the first time.
        past_ids: Whether the N-th object of a clip, which has no id left, is seen again here. The
            reference implementation takes this for the sign of new objects.
    """

    instances: list[InstanceData]
    metas: list[dict[str, Any]]
    label_maps: Tensor
    new: bool
    past_ids: bool


def clip_targets(
    data_samples: Sequence[TrackDataSample],
    num_ids: int,
    device: torch.device,
    overflow: str = "discard",
    padding_id: int | None = None,
    pad_size_divisor: int = 1,
) -> list[TimeStep]:
    """Return the targets of B clips of T frames, one entry per frame.

    Args:
        data_samples: B samples of T frames with ``gt_instances``; frames may be empty.
        num_ids: Number of ids N.
        device: Where the label maps are wanted.
        overflow: What holds for objects beyond the ids; see :func:`id_targets`.
        padding_id: Id of the pixels by which an image is padded to the size of larger ones; None
            for background. The reference implementation has 0, as if the first object were there.
        pad_size_divisor: Height and width of every image are padded to multiples of it first;
            this padding is background whatever ``padding_id`` is.

    Raises:
        ValueError: If the frames lack masks or ids, or an id occurs twice in a frame.
    """
    clips = [_clip(list(sample), num_ids, overflow) for sample in data_samples]
    steps = []
    for frames in zip(*clips, strict=True):
        instances, metas, maps, new, past_ids = zip(*frames, strict=True)
        if padding_id is not None:
            for label_map, meta in zip(maps, metas, strict=True):
                height, width = (
                    -(-side // pad_size_divisor) * pad_size_divisor
                    for side in meta["img_shape"][:2]
                )
                label_map[height:], label_map[:, width:] = padding_id, padding_id
        label_maps = torch.from_numpy(np.stack(maps)).to(device)
        steps.append(TimeStep(list(instances), list(metas), label_maps, any(new), any(past_ids)))
    return steps


def _clip(
    frames: list[Any], num_ids: int, overflow: str
) -> list[tuple[InstanceData, dict[str, Any], Ids, bool, bool]]:
    ids = rank_ids([_annotation_ids(frame) for frame in frames])
    targets = id_targets(ids, num_ids, overflow)
    clip = []
    for index, frame in enumerate(frames):
        annotated = frame.gt_instances
        instances = InstanceData(
            bboxes=annotated.bboxes,
            labels=annotated.labels,
            masks=annotated.masks,
            id_targets=torch.from_numpy(targets[index]).to(annotated.labels.device),
        )
        label_map = id_label_map(annotated.masks.masks, ids[index], num_ids, overflow)
        seen = {object_id for earlier in ids[:index] for object_id in earlier.tolist()}
        present = set(ids[index].tolist())
        new, past_ids = bool(present - seen), num_ids in present & seen
        clip.append((instances, frame.metainfo, label_map, new, past_ids))
    return clip


def _annotation_ids(frame: Any) -> Ids:
    instances = frame.gt_instances
    for name in ("instances_ids", "masks"):
        if name not in instances:
            raise ValueError(
                f"frame {frame.metainfo.get('img_path', '')} has no {name!r} in gt_instances; IAI "
                "trains on videos with masks and ids (LoadTrackAnnotations with_mask=True)"
            )
    ids: Ids = np.asarray(instances.instances_ids.cpu(), dtype=np.int64)
    if len(np.unique(ids)) != len(ids):
        raise ValueError(
            f"frame {frame.metainfo.get('img_path', '')}: an object id occurs twice: "
            f"{ids.tolist()}; correct 'instances_ids' of the data"
        )
    return ids


def rank_ids(ids: Sequence[Ids]) -> list[Ids]:
    """Replace the annotation ids of a clip by 0 to K - 1, in ascending order.

    Args:
        ids: T arrays ``(n_t,)``, any numbers.
    """
    known = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *ids]))
    return [np.searchsorted(known, frame).astype(np.int64) for frame in ids]


def id_targets(ids: Sequence[Ids], num_ids: int, overflow: str = "discard") -> list[Ids]:
    """Return what the id branch shall predict: N - 1 for an object not seen before, else its id.

    The reference implementation finds the entry to replace by the iteration order of a set, which
    can hit another object if ids reach 8; this is not copied.

    Args:
        ids: T arrays ``(n_t,)`` of the clip's ids, 0 to K - 1.
        num_ids: Number of ids N.
        overflow: With ``discard``, objects from the N-th on have no id and stay "not seen before",
            as they are at test time. With ``share``, as in the reference, an id counts as it is:
            the N-th object shares its id with "not seen before", later ones are background.

    Returns:
        T arrays ``(n_t,)``, 0 to N; N means background.
    """
    limit = OVERFLOW_TARGETS[_known(overflow)]
    seen: set[int] = set()
    targets = []
    for frame in ids:
        is_new = np.array([object_id not in seen for object_id in frame.tolist()], dtype=bool)
        targets.append(np.where(is_new, num_ids - 1, limit(frame, num_ids)))
        seen.update(frame.tolist())
    return targets


def id_label_map(masks: npt.NDArray[Any], ids: Ids, num_ids: int, overflow: str = "discard") -> Ids:
    """Return which object every pixel belongs to: the smallest one that covers it.

    Args:
        masks: ``(n, H, W)``, non-zero is foreground; of equally large ones the first wins.
        ids: ``(n,)`` of the clip, 0 to K - 1.
        num_ids: Number of ids N.
        overflow: With ``discard``, pixels of objects from the N-th on are background. With
            ``share`` they keep their id: N is background; later objects are in no channel.

    Returns:
        ``(H, W)``, N for background and -1 for pixels in no channel.
    """
    values = OVERFLOW_PIXELS[_known(overflow)](ids, num_ids)
    masks = masks.astype(bool)
    areas = masks.sum(axis=(1, 2))
    label_map = np.full(masks.shape[1:], num_ids, dtype=np.int64)
    for index in np.argsort(areas, kind="stable")[::-1]:
        label_map[masks[index]] = values[index]
    return label_map


def _known(overflow: str) -> str:
    overflow_rule(overflow)
    return overflow


Limit = Callable[[Ids, int], Ids]

OVERFLOW_TARGETS: dict[str, Limit] = {
    "discard": lambda ids, num_ids: np.minimum(ids, num_ids - 1),
    "share": lambda ids, num_ids: np.minimum(ids, num_ids),
}
"""Id target of an object that was seen before, by the rule of overflow."""

OVERFLOW_PIXELS: dict[str, Limit] = {
    "discard": lambda ids, num_ids: np.where(ids < num_ids - 1, ids, num_ids),
    "share": lambda ids, num_ids: np.where(ids <= num_ids, ids, NO_ID),
}
"""Value of an object's pixels in the label map, by the rule of overflow."""
