# SPDX-License-Identifier: Apache-2.0
"""Pairs of a query frame and a guidance frame, from which Seq Mask R-CNN learns to propagate."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from visbench.datasets.transforms.sampling import FrameSampler
from visbench.registry import TRANSFORMS

Objects = Mapping[int, int]
"""Labels of the objects of a frame by their ids."""


def guidance_positions(frames: Sequence[Objects], query: int) -> list[int]:
    """Return the frames that may guide the segmentation of a query frame.

    As in the reference implementation of Propose-Reduce (fact sheet, section 12): of every class
    of the query's objects, such a frame has all of these objects or no object at all, and it has
    those of at least one class. No distance is too far. The paper (section 3.1.3) takes any frame.

    Args:
        frames: The objects of every frame.
        query: Position of the query frame.

    Returns:
        Sorted positions without the query's; empty if no frame qualifies.

    Examples:
        >>> fox, cat = 0, 1
        >>> guidance_positions([{7: fox, 8: fox, 9: cat}, {7: fox, 8: fox}, {7: fox}, {}], 0)
        [1]
    """
    by_class = defaultdict(set)
    for identity, label in frames[query].items():
        by_class[label].add(identity)
    return [
        position
        for position, objects in enumerate(frames)
        if position != query and _covers(objects, by_class)
    ]


def _covers(objects: Objects, by_class: Mapping[int, set[int]]) -> bool:
    shared = set(objects.values()) & by_class.keys()
    return bool(shared) and all(by_class[label] <= objects.keys() for label in shared)


def _draw_guidance(positions: Sequence[int], query: int) -> int:
    return positions[np.random.randint(len(positions))] if positions else query


@TRANSFORMS.register_module()
class SampleGuidance(FrameSampler):
    """Choose a query frame, which is the key frame, and one guidance frame of its video.

    The query is the key frame of the item where items are frames (``items="frames"`` of the data
    set), else a random frame with objects. The guidance is drawn evenly from
    :func:`guidance_positions`; without any it is the query itself. The query comes first.

    Args:
        coverage: Whether the rule of the reference implementation holds; False takes any other
            frame with objects, as the paper does.
    """

    def __init__(self, coverage: bool = True) -> None:
        super().__init__(annotated="all", order="key_first")
        self.coverage = coverage

    def candidates(self, frames: Sequence[dict[str, Any]], key: int) -> list[int]:
        """Return the positions that the guidance may be taken from; see the class."""
        if not self.coverage:
            return [position for position in super().candidates(frames, key) if position != key]
        return guidance_positions([objects_of(frame) for frame in frames], key)

    def choose(self, candidates: list[int], key: int) -> list[int]:
        """Draw the guidance frame."""
        return [_draw_guidance(candidates, key)]


def objects_of(frame: Mapping[str, Any]) -> dict[int, int]:
    """Return the labels of a frame's objects that are not crowds, by id.

    Args:
        frame: A frame with its ``instances``, as in ``images`` of a video.
    """
    return {
        instance["instance_id"]: instance["bbox_label"]
        for instance in frame["instances"]
        if not instance.get("ignore_flag")
    }


@TRANSFORMS.register_module()
class SelectGuidance(BaseTransform):
    """Keep a query frame and a guidance frame of a clip that has been made before.

    This serves pseudo videos, whose frames differ only once they have been rotated: what counts
    are the objects with pixels left. The query is a random frame with objects and becomes the key
    frame; the guidance is drawn as in :class:`SampleGuidance`. A clip without objects gives None,
    so that the data set draws again.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Select two frames.

        Args:
            results: Lists over T frames, with annotations loaded (``gt_masks`` included).

        Returns:
            The same with two frames, the query first, and ``key_frame_flags``; or None.
        """
        frames = [_visible_objects(results, frame) for frame in range(len(results["gt_masks"]))]
        queries = [position for position, objects in enumerate(frames) if objects]
        if not queries:
            return None
        query = queries[np.random.randint(len(queries))]
        guidance = _draw_guidance(guidance_positions(frames, query), query)
        # A frame that guides itself must not be transformed twice.
        pair = {
            k: [values[query], copy.deepcopy(values[guidance])] for k, values in results.items()
        }
        return {**pair, "key_frame_flags": [True, False], "video_length": [2, 2]}


def _visible_objects(results: Mapping[str, Any], frame: int) -> dict[int, int]:
    columns = ("gt_instances_ids", "gt_bboxes_labels", "gt_ignore_flags")
    rows = zip(
        results["gt_masks"][frame].areas, *(results[key][frame] for key in columns), strict=True
    )
    return {int(i): int(label) for area, i, label, ignored in rows if area > 0 and not ignored}
