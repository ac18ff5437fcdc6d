# SPDX-License-Identifier: Apache-2.0
"""Groups of objects and videos that metrics are broken down by.

==================  =============================================================================
split               groups
==================  =============================================================================
``class``           one per category
``video_length``    of videos: ``short`` up to 20 annotated frames, ``medium`` 21 to 60, ``long``
                    above 60
``object_size``     of objects, by the area of the annotation file (mean over its frames) as a
                    share of the frame: ``small`` up to 128² pixels of 720 x 1280 (1.78 %),
                    ``medium`` from there to 256² (7.11 %), ``large`` from there on. At that
                    frame size these are the ranges of APs, APm and APl; both ends belong to
                    both groups
``motion``          of objects, by the mean IoU of their boxes in consecutive frames: ``slow``
                    above 0.9, ``medium`` 0.7 to 0.9, ``fast`` below 0.7 (the limits that Zhu et
                    al., ICCV 2017, use for ImageNet VID, there over 10 frames before and after)
``occlusion``       of objects, by the occlusion score of OVIS: ``light`` 0 to 0.25, ``medium``
                    0.25 to 0.5, ``heavy`` from 0.5; both ends belong to both groups
==================  =============================================================================

What the file does not tell is left out: an object that is never there in two consecutive frames has
no motion, one without labels no occlusion. A split or group without members is left out too.

In groups of objects, the other objects are ignored as AP ignores what is outside an area range: who
finds one is neither right nor wrong. A prediction that found nothing is a false positive in every
group, so the numbers of groups are not parts of the total.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pycocotools import mask as mask_utils

from visbench.evaluation.annotations import Annotations, GroundTruthTrack
from visbench.evaluation.average_precision import AREA_RANGES, OCCLUSION_RANGES

__all__ = ["Selection", "make_splits", "motion_iou"]

Float64 = npt.NDArray[np.float64]

_LENGTHS: Mapping[str, tuple[int, float]] = {
    "short": (0, 20),
    "medium": (21, 60),
    "long": (61, float("inf")),
}
_REFERENCE_PIXELS = 720 * 1280
_SLOW, _FAST = 0.9, 0.7


@dataclass(frozen=True)
class Selection:
    """A part of the data set; None does not restrict.

    Attributes:
        videos: Ids of the videos that are looked at.
        categories: Ids of the categories that are averaged.
        objects: Annotation ids of the objects that count; others are ignored.
    """

    videos: frozenset[int] | None = None
    categories: frozenset[int] | None = None
    objects: frozenset[int] | None = None


def make_splits(
    annotations: Annotations, class_agnostic: bool = False
) -> dict[str, dict[str, Selection]]:
    """Return the selection of every group, by split.

    Args:
        annotations: The annotation file; motion needs masks or boxes.
        class_agnostic: Leave out the split by class.
    """
    splits = {
        "class": {} if class_agnostic else _by_class(annotations),
        "video_length": _by_length(annotations),
        "object_size": _by_size(annotations),
        "motion": _by_motion(annotations),
        "occlusion": _by_occlusion(annotations),
    }
    return {name: groups for name, groups in splits.items() if groups}


def _by_class(annotations: Annotations) -> dict[str, Selection]:
    used = {track.category_id for track in annotations.tracks or [] if not track.is_crowd}
    names = annotations.categories
    same = Counter(names.values())
    return {
        names[key] if same[names[key]] == 1 else f"{names[key]} ({key})": Selection(
            categories=frozenset([key])
        )
        for key in sorted(used)
    }


def _by_length(annotations: Annotations) -> dict[str, Selection]:
    groups = {
        name: frozenset(v.id for v in annotations.videos.values() if low <= v.length <= high)
        for name, (low, high) in _LENGTHS.items()
    }
    return {name: Selection(videos=ids) for name, ids in groups.items() if ids}


def _objects(groups: Mapping[str, list[int]], order: tuple[str, ...]) -> dict[str, Selection]:
    return {name: Selection(objects=frozenset(groups[name])) for name in order if groups.get(name)}


def _tracks(annotations: Annotations) -> list[GroundTruthTrack]:
    return [track for track in annotations.tracks or [] if not track.is_crowd]


def _by_size(annotations: Annotations) -> dict[str, Selection]:
    groups: dict[str, list[int]] = defaultdict(list)
    order = ("small", "medium", "large")
    for track in _tracks(annotations):
        video = annotations.videos[track.video_id]
        area = track.area * _REFERENCE_PIXELS / (video.height * video.width)
        for name in order:
            if AREA_RANGES[name][0] <= area <= AREA_RANGES[name][1]:
                groups[name].append(track.id)
    return _objects(groups, order)


def _by_motion(annotations: Annotations) -> dict[str, Selection]:
    groups: dict[str, list[int]] = defaultdict(list)
    for track in _tracks(annotations):
        iou = motion_iou(track)
        if iou is not None:
            name = "slow" if iou > _SLOW else "fast" if iou < _FAST else "medium"
            groups[name].append(track.id)
    return _objects(groups, ("slow", "medium", "fast"))


def _by_occlusion(annotations: Annotations) -> dict[str, Selection]:
    groups: dict[str, list[int]] = defaultdict(list)
    order = ("light", "medium", "heavy")
    for track in _tracks(annotations):
        if track.occlusion is not None:
            for name in order:
                if OCCLUSION_RANGES[name][0] <= track.occlusion <= OCCLUSION_RANGES[name][1]:
                    groups[name].append(track.id)
    return _objects(groups, order)


def motion_iou(track: GroundTruthTrack) -> float | None:
    """Return the mean IoU of an object's boxes in consecutive frames.

    Args:
        track: The object; the boxes are those around its masks, else those of the file.

    Returns:
        A number in [0, 1]; None if the object is never there in two consecutive frames.
    """
    boxes = _boxes(track)
    first, second = boxes[:-1], boxes[1:]
    both = (first[:, 2:] > 0).all(axis=1) & (second[:, 2:] > 0).all(axis=1)
    if not both.any():
        return None
    first, second = first[both], second[both]
    ends = np.minimum(first[:, :2] + first[:, 2:], second[:, :2] + second[:, 2:])
    sides = np.maximum(ends - np.maximum(first[:, :2], second[:, :2]), 0.0)
    common = sides.prod(axis=1)
    unions = first[:, 2:].prod(axis=1) + second[:, 2:].prod(axis=1) - common
    return float((common / unions).mean())


def _boxes(track: GroundTruthTrack) -> Float64:
    if track.masks is None:
        return np.zeros((0, 4)) if track.boxes is None else track.boxes.boxes
    boxes = np.zeros((len(track.masks.counts), 4))
    for frame in range(len(boxes)):
        mask = track.masks.rle(frame)
        if mask is not None:
            boxes[frame] = mask_utils.toBbox(mask)
    return boxes
