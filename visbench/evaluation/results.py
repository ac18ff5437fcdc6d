# SPDX-License-Identifier: Apache-2.0
"""Predictions in the layout of ``results.json``: read record by record and checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from visbench.evaluation.annotations import Annotations, Video
from visbench.evaluation.average_precision import CLASS_AGNOSTIC
from visbench.evaluation.errors import InputError, Notes
from visbench.evaluation.fields import Fields, shorten
from visbench.evaluation.mask_fields import UncheckedMasks, check_masks, collect_masks
from visbench.evaluation.streams import iterate_records
from visbench.evaluation.tracks import BoxTrack, MaskTrack, read_boxes

__all__ = ["Prediction", "ResultReader", "group_by_video", "iterate_results"]

# Masks are decoded in batches that fit the cache of a processor.
_BATCH_CHARACTERS = 400_000
_BATCH_TRACKS = 256
_LARGEST_GROUP = 256


@dataclass(frozen=True)
class Prediction:
    """One predicted track.

    Attributes:
        index: Position in the results; breaks ties between equal scores.
        video_id: The video it is in.
        category_id: Its category; ``CLASS_AGNOSTIC`` if it has none and needs none.
        score: Its confidence.
        masks: Its masks, if they were asked for.
        boxes: Its boxes, if they were asked for.
    """

    index: int
    video_id: int
    category_id: int
    score: float
    masks: MaskTrack | None
    boxes: BoxTrack | None


@dataclass(frozen=True)
class _Unchecked:
    """A prediction whose masks are not decoded yet."""

    index: int
    video: Video
    category_id: int
    score: float
    masks: UncheckedMasks | None
    boxes: BoxTrack | None

    @property
    def characters(self) -> int:
        """Length of its compressed masks."""
        return self.masks.texts.length if self.masks else 0


def _finish(waiting: Sequence[_Unchecked]) -> list[Prediction]:
    """Decode the masks of some records at once.

    Raises:
        InputError: A mask is damaged; the first one is named.
    """
    masks = iter(check_masks([item.masks for item in waiting if item.masks is not None]))
    return [
        Prediction(
            item.index,
            item.video.id,
            item.category_id,
            item.score,
            None if item.masks is None else next(masks),
            item.boxes,
        )
        for item in waiting
    ]


def iterate_results(
    results: str | Path | Iterable[Any], *, plain: bool = False
) -> tuple[str, Iterator[Any]]:
    """Return a name for messages and the records of a results file or of a list.

    Args:
        results: Path, or the records.
        plain: Read a file as :func:`iterate_records` does with ``plain``.

    Raises:
        InputError: ``results`` is neither a path nor a sequence of records.
    """
    if isinstance(results, (str, Path)):
        return str(results), iterate_records(Path(results), plain=plain)
    if isinstance(results, Mapping) or not isinstance(results, Iterable):
        raise InputError("results", "", "", f"must be a list of records, found {shorten(results)}")
    return "results", iter(results)


class ResultReader:
    """Checks records against the annotation file and decodes them.

    Args:
        annotations: The annotation file.
        source: Name of the results for messages.
        masks: Read ``segmentations``.
        boxes: Read ``bboxes``.
        official_bugs: Accept tracks whose length or mask size is not the video's.
        tolerant: Leave out records with defects and list them in ``notes.skipped``.
        notes: Where to put warnings and skipped records.
        class_agnostic: Accept predictions without a category.
    """

    def __init__(
        self,
        annotations: Annotations,
        source: str = "results",
        *,
        masks: bool = True,
        boxes: bool = False,
        official_bugs: bool = False,
        tolerant: bool = False,
        notes: Notes | None = None,
        class_agnostic: bool = False,
    ) -> None:
        self.annotations = annotations
        self.source = source
        self.masks = masks
        self.boxes = boxes
        self.official_bugs = official_bugs
        self.tolerant = tolerant
        self.class_agnostic = class_agnostic
        self.notes = Notes() if notes is None else notes
        self.count = 0
        self.unknown_categories: dict[int, int] = {}

    def read_all(self, records: Iterable[Any], video_id: int | None = None) -> Iterator[Prediction]:
        """Yield the predictions of known categories among some records.

        Args:
            records: Records in file order; numbering goes on from the last call.
            video_id: The video all of them belong to; a record may then do without ``video_id``.

        Raises:
            InputError: A record has a defect (unless ``tolerant``).
        """
        waiting: list[_Unchecked] = []
        characters = 0
        for record in records:
            index, self.count = self.count, self.count + 1
            try:
                found = self._collect(index, record, video_id)
            except InputError as error:
                # What came before has to be checked first, so that the first defect is named.
                yield from self._check(waiting)
                waiting, characters = [], 0
                self._reject(error)
                continue
            if found is not None:
                waiting.append(found)
                characters += found.characters
            if characters >= _BATCH_CHARACTERS or len(waiting) >= _BATCH_TRACKS:
                yield from self._check(waiting)
                waiting, characters = [], 0
        yield from self._check(waiting)

    def _reject(self, error: InputError) -> None:
        if not self.tolerant:
            raise error
        self.notes.skipped.append(str(error))

    def _check(self, waiting: list[_Unchecked]) -> Iterator[Prediction]:
        """Decode the masks of some records at once; one by one if there is a defect."""
        try:
            checked = _finish(waiting)
        except InputError as error:
            if len(waiting) == 1:
                self._reject(error)
                return
            checked = None
        if checked is not None:
            yield from checked
            return
        for item in waiting:
            yield from self._check([item])

    def read(self, index: int, record: Any, video_id: int | None = None) -> Prediction | None:
        """Check one record; None if its category is unknown.

        Raises:
            InputError: The record has a defect.
        """
        found = self._collect(index, record, video_id)
        return None if found is None else _finish([found])[0]

    def _collect(self, index: int, record: Any, video_id: int | None) -> _Unchecked | None:
        """Read one record but for the content of its masks; None if its category is unknown.

        Raises:
            InputError: The record has a defect.
        """
        place = f"record {index}"
        if not isinstance(record, Mapping):
            raise InputError(self.source, place, "", f"must be an object, found {shorten(record)}")
        fields = Fields(self.source, place, record)
        video = self._video(fields, video_id)
        category_id = self._category(fields)
        score = fields.number("score", "One finite confidence for the whole track is needed")
        if category_id is None:
            return None
        masks = boxes = None
        if self.masks:
            size = (video.height, video.width)
            masks = collect_masks(fields, size, any_size=self.official_bugs)
            self._check_length(fields, "segmentations", masks.length, video)
        if self.boxes:
            boxes = read_boxes(fields)
            self._check_length(fields, "bboxes", len(boxes.boxes), video)
        return _Unchecked(index, video, category_id, score, masks, boxes)

    def _category(self, fields: Fields) -> int | None:
        """Return the category; None if it is unknown, which is counted."""
        if self.class_agnostic and not fields.has("category_id"):
            return CLASS_AGNOSTIC
        category_id = fields.integer("category_id")
        if category_id in self.annotations.categories:
            return category_id
        # Also in one pool, as the official evaluator does without categories.
        self._count_unknown(category_id)
        return None

    def _video(self, fields: Fields, expected: int | None) -> Video:
        if expected is not None and not fields.has("video_id"):
            return self.annotations.videos[expected]
        video_id = fields.integer("video_id")
        if expected is not None and video_id != expected:
            raise fields.error("video_id", f"{video_id} where video {expected} is updated")
        if video_id not in self.annotations.videos:
            known = sorted(self.annotations.videos)
            span = f"{known[0]} to {known[-1]}" if known else "none"
            raise fields.error(
                "video_id",
                f"{video_id} is not a video of {self.annotations.source} (ids {span})",
                "Are these results of another split, or are ids counted from 0?",
            )
        return self.annotations.videos[video_id]

    def _check_length(self, fields: Fields, name: str, length: int, video: Video) -> None:
        if length != video.length and not self.official_bugs:
            raise fields.error(
                name,
                f"has {length} entries, video {video.id} has {video.length} frames",
                "One entry per frame is needed, null where there is no mask",
            )

    def _count_unknown(self, category_id: int) -> None:
        self.unknown_categories[category_id] = self.unknown_categories.get(category_id, 0) + 1

    def finish(self) -> None:
        """Warn once about predictions of unknown categories, and about there being none at all."""
        if self.unknown_categories:
            number = sum(self.unknown_categories.values())
            names = ", ".join(str(name) for name in sorted(self.unknown_categories)[:20])
            hint = " (category ids are those of the annotation file, not labels from 0)"
            self.notes.warn(
                f"{self.source}: {number} predictions of unknown categories ignored: {names}"
                + (hint if 0 in self.unknown_categories else "")
            )
        if not self.count:
            self.notes.warn(f"{self.source}: no predictions at all, every number is 0")


def group_by_video(predictions: Iterator[Prediction]) -> Iterator[list[Prediction]]:
    """Yield runs of predictions of the same video, bounded in number."""
    group: list[Prediction] = []
    for prediction in predictions:
        if group and (prediction.video_id != group[0].video_id or len(group) == _LARGEST_GROUP):
            yield group
            group = []
        group.append(prediction)
    if group:
        yield group
