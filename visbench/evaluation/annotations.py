# SPDX-License-Identifier: Apache-2.0
"""What an annotation file holds: videos, categories and annotated objects."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from visbench.evaluation.errors import InputError, Notes
from visbench.evaluation.tracks import BoxTrack, MaskTrack

__all__ = ["OCCLUSION_VALUES", "Annotations", "GroundTruthTrack", "Video", "occlusion_score"]

OCCLUSION_VALUES: Mapping[str, float] = {
    "no_occlusion": 0.0,
    "slight_occlusion": 0.25,
    "severe_occlusion": 0.75,
}


@dataclass(frozen=True)
class Video:
    """A video of the annotation file: its id, its size in pixels and its number of frames."""

    id: int
    height: int
    width: int
    length: int


@dataclass(frozen=True)
class GroundTruthTrack:
    """One annotated object.

    Attributes:
        id: Annotation id.
        video_id: The video it is in.
        category_id: Its category.
        is_crowd: Whether it stands for a group; matches with it are ignored.
        area: Mean of the non-zero areas of the file, in pixels (of the masks where the file has
            no areas).
        occlusion: Occlusion score in [0, 1] (OVIS); None if the file has no labels for it.
        masks: Its masks, if they were asked for.
        boxes: Its boxes, if they were asked for.
    """

    id: int
    video_id: int
    category_id: int
    is_crowd: bool
    area: float
    occlusion: float | None
    masks: MaskTrack | None
    boxes: BoxTrack | None


@dataclass(frozen=True)
class Annotations:
    """An annotation file.

    Attributes:
        source: Where it came from, for messages.
        videos: Videos by id, in file order.
        categories: Category names by id, in file order.
        tracks: The annotated objects in file order; None if the file has no ground truth.
        notes: Warnings and skipped annotations.
    """

    source: str
    videos: dict[int, Video]
    categories: dict[int, str]
    tracks: list[GroundTruthTrack] | None
    notes: Notes = field(default_factory=Notes)

    @cached_property
    def tracks_by_video(self) -> dict[int, list[GroundTruthTrack]]:
        """The annotated objects of each video that has any, in file order."""
        groups: dict[int, list[GroundTruthTrack]] = {}
        for track in self.tracks or []:
            groups.setdefault(track.video_id, []).append(track)
        return groups

    def require_tracks(self) -> None:
        """Check that the file has ground truth.

        Raises:
            InputError: It has none, as the public files of validation and test splits.
        """
        if self.tracks is None:
            raise InputError(
                self.source,
                "",
                "annotations",
                "is missing or null, so there is no ground truth and AP cannot be computed",
                "The public YouTube-VIS and OVIS files of the validation and test splits come "
                "without annotations: submit the results to the server, or evaluate on a held-out "
                "part of the training split",
            )


def occlusion_score(labels: Iterable[str | None]) -> float | None:
    """Return how much an object is occluded, as OVIS defines it.

    Args:
        labels: One label per frame; null where the object is absent.

    Returns:
        The mean of the highest ``ceil(n / 2)`` of the n values of the labels (0, 0.25 or 0.75),
        or None without any label.

    Raises:
        KeyError: A label is unknown.
    """
    values = sorted((OCCLUSION_VALUES[label] for label in labels if label), reverse=True)
    if not values:
        return None
    highest = values[: math.ceil(len(values) / 2)]
    return sum(highest) / len(highest)
