# SPDX-License-Identifier: Apache-2.0
"""Ground truth in the YouTube-VIS layout (also OVIS, and box sequences of ImageNet VID).

The per-frame form ("COCO-VID") is read as well.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from visbench.evaluation.errors import InputError, Notes
from visbench.evaluation.fields import Fields, shorten
from visbench.evaluation.per_frame import is_per_frame, join_frames
from visbench.evaluation.run_lengths import MAX_PIXELS
from visbench.evaluation.streams import read_json_records
from visbench.evaluation.tracks import BoxTrack, MaskTrack, mean_area, read_boxes, read_masks

__all__ = [
    "Annotations",
    "GroundTruthTrack",
    "Video",
    "load_annotations",
    "occlusion_score",
]

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


def load_annotations(
    annotations: str | Path | Mapping[str, Any] | Annotations,
    *,
    masks: bool = True,
    boxes: bool = False,
    official_bugs: bool = False,
    tolerant: bool = False,
    source: str = "annotations",
) -> Annotations:
    """Read an annotation file.

    Args:
        annotations: Path of a json or json.gz file, or its content; a loaded file is returned
            unchanged.
        masks: Read ``segmentations`` (RLE, compressed or not, or polygons).
        boxes: Read ``bboxes``.
        official_bugs: Accept what only the official evaluator accepts (masks of another size,
            lists of another length).
        tolerant: Leave out annotations with defects and list them in ``notes.skipped``.
        source: Name of the content for messages, where no path is given.

    Returns:
        The file, with all masks checked and measured.

    Raises:
        InputError: The file or one of its records has a defect.
    """
    if isinstance(annotations, Annotations):
        return annotations
    content: Any = annotations
    records: Iterable[Any] | None = None
    if not isinstance(annotations, Mapping):
        # One object after the other: all at once take many times the memory of the file.
        source = str(annotations)
        content, records = read_json_records(Path(annotations), "annotations")
    if not isinstance(content, Mapping):
        raise InputError(source, "", "", "is no annotation file: its top level is no object")
    if is_per_frame(content):
        content, records = join_frames(content, records, source), None
    top = Fields(source, "", content)
    videos = _read_videos(top)
    categories = _read_categories(top)
    if content.get("annotations") is None:
        return Annotations(source, videos, categories, None)
    loaded = Annotations(source, videos, categories, [])
    reader = _TrackReader(loaded, masks, boxes, official_bugs)
    for index, record in enumerate(top.list("annotations") if records is None else records):
        try:
            track = reader.read(index, record)
        except InputError as error:
            if not tolerant:
                raise
            loaded.notes.skipped.append(str(error))
            continue
        assert loaded.tracks is not None
        loaded.tracks.append(track)
    return loaded


def _records(top: Fields, name: str) -> Iterable[Fields]:
    for index, record in enumerate(top.list(name, "This is no YouTube-VIS annotation file")):
        place = f"{name}[{index}]"
        if not isinstance(record, Mapping):
            raise InputError(top.source, place, "", f"must be an object, found {shorten(record)}")
        yield Fields(top.source, place, record)


def _read_videos(top: Fields) -> dict[int, Video]:
    videos: dict[int, Video] = {}
    for record in _records(top, "videos"):
        video_id = record.integer("id", 1, "Number the videos from 1")
        if video_id in videos:
            raise record.error("id", f"{video_id} occurs twice", "Video ids must be unique")
        height, width = record.integer("height", 1), record.integer("width", 1)
        if height * width > MAX_PIXELS:
            raise record.error("height", f"{height} x {width} is larger than any image")
        if record.has("file_names"):
            length = len(record.list("file_names"))
        else:
            length = record.integer("length", 0)
        videos[video_id] = Video(video_id, height, width, length)
    return videos


def _read_categories(top: Fields) -> dict[int, str]:
    categories: dict[int, str] = {}
    for record in _records(top, "categories"):
        category_id = record.integer("id", 1, "Number the categories from 1")
        if category_id in categories:
            raise record.error("id", f"{category_id} occurs twice", "Category ids must be unique")
        categories[category_id] = str(record.values.get("name", category_id))
    return categories


class _TrackReader:
    """Reads the records of ``annotations`` one by one."""

    def __init__(self, file: Annotations, masks: bool, boxes: bool, official_bugs: bool) -> None:
        self.file = file
        self.masks = masks
        self.boxes = boxes
        self.official_bugs = official_bugs
        self.seen: set[int] = set()

    def read(self, index: int, record: Any) -> GroundTruthTrack:
        place = f"annotations[{index}]"
        if not isinstance(record, Mapping):
            raise InputError(
                self.file.source, place, "", f"must be an object, found {shorten(record)}"
            )
        fields = Fields(self.file.source, place, record)
        # The official evaluator never matches id 0; here it is an id like any other.
        track_id = fields.integer("id", 0, "Number the annotations from 1")
        if track_id in self.seen:
            raise fields.error("id", f"{track_id} occurs twice", "Annotation ids must be unique")
        video_id = self._known(fields, "video_id", self.file.videos)
        category_id = self._known(fields, "category_id", self.file.categories)
        video = self.file.videos[video_id]
        masks = boxes = None
        if self.masks:
            masks = read_masks(
                fields, (video.height, video.width), any_size=self.official_bugs, polygons=True
            )
            self._check_length(fields, "segmentations", len(masks.counts), video)
        if self.boxes:
            boxes = read_boxes(fields)
            self._check_length(fields, "bboxes", len(boxes.boxes), video)
        area = self._area(fields, masks, boxes)
        occlusion = self._occlusion(fields)
        is_crowd = bool(fields.integer("iscrowd")) if fields.has("iscrowd") else False
        self.seen.add(track_id)
        return GroundTruthTrack(
            track_id, video_id, category_id, is_crowd, area, occlusion, masks, boxes
        )

    def _known(self, fields: Fields, name: str, known: Mapping[int, Any]) -> int:
        value = fields.integer(name)
        if value not in known:
            group = "videos" if name == "video_id" else "categories"
            raise fields.error(name, f"{value} is not among the file's {group}")
        return value

    def _check_length(self, fields: Fields, name: str, length: int, video: Video) -> None:
        if length != video.length and not self.official_bugs:
            raise fields.error(
                name,
                f"has {length} entries, video {video.id} has {video.length} frames",
                "One entry per frame is needed, null where the object is absent",
            )

    def _area(self, fields: Fields, masks: MaskTrack | None, boxes: BoxTrack | None) -> float:
        if fields.has("areas"):
            areas = [0 if area is None else area for area in fields.list("areas")]
            try:
                values = np.asarray(areas, dtype=np.float64)
            except (TypeError, ValueError, OverflowError):
                values = np.full(1, np.nan)
            if values.ndim != 1 or not np.isfinite(values).all() or (values < 0).any():
                raise fields.error("areas", "must be a list of numbers of at least 0 or null")
            return mean_area(values)
        track = masks or boxes
        return track.mean_area if track is not None else 0.0

    def _occlusion(self, fields: Fields) -> float | None:
        if not fields.has("occlusion"):
            return None
        labels = fields.list("occlusion")
        try:
            return occlusion_score(labels)
        except (KeyError, TypeError) as error:
            names = ", ".join(OCCLUSION_VALUES)
            raise fields.error(
                "occlusion", f"unknown label {error}", f"Labels are {names} or null"
            ) from None
