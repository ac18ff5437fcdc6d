# SPDX-License-Identifier: Apache-2.0
"""Annotation files in the YouTube-VIS layout (also OVIS, and box sequences of ImageNet VID).

The per-frame form ("COCO-VID") is read as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from visbench.evaluation.annotations import (
    OCCLUSION_VALUES,
    Annotations,
    GroundTruthTrack,
    Video,
    occlusion_score,
)
from visbench.evaluation.errors import InputError
from visbench.evaluation.fields import Fields, shorten
from visbench.evaluation.json_lists import JsonRecords, read_json_records
from visbench.evaluation.large_files import (
    SecondProcess,
    can_fork,
    check_workers,
    without_collector,
)
from visbench.evaluation.mask_fields import read_masks
from visbench.evaluation.per_frame import is_per_frame, join_frames
from visbench.evaluation.run_lengths import MAX_PIXELS
from visbench.evaluation.tracks import BoxTrack, MaskTrack, mean_area, read_boxes

__all__ = ["LARGE_ANNOTATIONS", "load_annotations"]

LARGE_ANNOTATIONS = 20_000_000
"""Size in bytes of the annotated objects from which two processes are worth their while."""


def load_annotations(
    annotations: str | Path | Mapping[str, Any] | Annotations,
    *,
    masks: bool = True,
    boxes: bool = False,
    official_bugs: bool = False,
    tolerant: bool = False,
    source: str = "annotations",
    workers: int | None = None,
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
        workers: 1 or 2 processes; None takes two for files from :data:`LARGE_ANNOTATIONS` bytes
            on. Two are used where processes can be forked safely, otherwise one.

    Returns:
        The file, with all masks checked and measured.

    Raises:
        InputError: The file or one of its records has a defect.
        ValueError: ``workers`` is neither None nor 1 nor 2.
    """
    check_workers(workers)
    if isinstance(annotations, Annotations):
        return annotations
    top, records = _content(annotations, source)
    loaded = Annotations(top.source, _read_videos(top), _read_categories(top), None)
    if top.values.get("annotations") is None:
        return loaded
    reader = _TrackReader(loaded, masks, boxes, official_bugs, tolerant)
    with without_collector():
        if records is None:
            tracks = reader.read_all(top.list("annotations"))
        else:
            tracks = _read_records(reader, records, workers)
    return replace(loaded, tracks=tracks)


def _content(
    annotations: str | Path | Mapping[str, Any], source: str
) -> tuple[Fields, JsonRecords | None]:
    """Return the top level of a file, and the objects of a long list that it was spared."""
    content: Any = annotations
    records: JsonRecords | None = None
    if not isinstance(annotations, Mapping):
        # One object after the other: all at once take many times the memory of the file.
        source = str(annotations)
        content, records = read_json_records(Path(annotations), "annotations")
    if not isinstance(content, Mapping):
        raise InputError(source, "", "", "is no annotation file: its top level is no object")
    if is_per_frame(content):
        content, records = join_frames(content, records, source), None
    return Fields(source, "", content), records


def _read_records(
    reader: _TrackReader, records: JsonRecords, workers: int | None
) -> list[GroundTruthTrack]:
    large = records.size >= LARGE_ANNOTATIONS
    if workers == 1 or (workers is None and not large) or not can_fork():
        return reader.read_all(records)
    return _read_in_two(reader, records)


def _read_in_two(reader: _TrackReader, records: JsonRecords) -> list[GroundTruthTrack]:
    """Read the second half in another process.

    Warnings and errors come in file order: unless all of the second half is well, it is read once
    more behind the first.
    """
    middle = records.middle()
    number = len(reader.file.notes.skipped)

    def second_half() -> list[GroundTruthTrack] | None:
        found = reader.read_all(records, middle)
        return found if len(reader.file.notes.skipped) == number else None

    second = SecondProcess.start(second_half)
    if second is None:
        return reader.read_all(records)
    with second:
        tracks = reader.read_all(records, 0, middle)
        others = second.result()
    if others is None or not reader.seen.isdisjoint(track.id for track in others):
        others = reader.read_all(records, middle)
    return tracks + others


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

    def __init__(
        self, file: Annotations, masks: bool, boxes: bool, official_bugs: bool, tolerant: bool
    ) -> None:
        self.file = file
        self.masks = masks
        self.boxes = boxes
        self.official_bugs = official_bugs
        self.tolerant = tolerant
        self.seen: set[int] = set()

    def read_all(
        self, records: Sequence[Any], start: int = 0, stop: int | None = None
    ) -> list[GroundTruthTrack]:
        """Read the records from one index to another."""
        tracks = []
        for index in range(start, len(records) if stop is None else stop):
            try:
                tracks.append(self.read(index, records[index]))
            except InputError as error:
                if not self.tolerant:
                    raise
                self.file.notes.skipped.append(str(error))
        return tracks

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
