# SPDX-License-Identifier: Apache-2.0
"""The per-frame form of annotations ("COCO-VID"), as converters of OpenMMLab write it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from visbench.evaluation.errors import InputError
from visbench.evaluation.fields import Fields, shorten

__all__ = ["is_per_frame", "join_frames", "join_images"]

_COCO = "Is this a file in COCO's layout?"
_COLUMNS = {"bboxes": "bbox", "segmentations": "segmentation", "areas": "area"}


def is_per_frame(content: Any) -> bool:
    """Return whether annotations are per frame: videos without file names, frames in ``images``."""
    if not isinstance(content, Mapping) or not isinstance(content.get("images"), list):
        return False
    videos = content.get("videos")
    first = videos[0] if isinstance(videos, list) and videos else None
    return isinstance(first, Mapping) and "file_names" not in first


def join_frames(
    content: Mapping[str, Any], records: Iterable[Any] | None = None, source: str = "annotations"
) -> dict[str, Any]:
    """Join the annotations of frames to tracks, as the YouTube-VIS layout has them.

    A track is one ``instance_id`` of one category in one video; its first annotation in a frame
    counts. Its id is the ``instance_id`` where that is unique in the file; otherwise all tracks
    are numbered from 1 in the order in which they come. Videos without ``height`` and ``width``
    take those of their first frame. Tracks have ``segmentations`` and ``areas`` only if an
    annotation has ``segmentation`` and ``area``.

    Args:
        content: Object with ``videos``, ``images`` (``video_id``, ``frame_id``, ``file_name``),
            ``categories`` and, except for test splits, ``annotations`` (``image_id``,
            ``instance_id``, ``category_id``, ``bbox``).
        records: The annotations, if they are not in ``content``.
        source: The file, for messages.

    Returns:
        Object with ``videos``, ``categories`` and ``annotations``; the last is None when there
        are none.

    Raises:
        InputError: A record has a defect; file, record, field, value and remedy are named.
    """
    frames = _Frames(content, source)
    annotations = content.get("annotations")
    if annotations is not None:
        entries = Fields(source, "", content).list("annotations") if records is None else records
        annotations = _join(entries, frames, source)
    return {
        "videos": frames.videos(content),
        "categories": content.get("categories"),
        "annotations": annotations,
    }


def join_images(content: Any, source: str = "annotations") -> dict[str, Any]:
    """Return still images in COCO's layout as videos of one frame, each object a track.

    Tracks are numbered from 1 in the order of the annotations: ids of crowds in COCO's own files
    do not fit 32 bits.

    Args:
        content: Object with ``images``, ``categories`` and, except for test splits,
            ``annotations``.
        source: The file, for messages.

    Returns:
        As :func:`join_frames`; objects to be ignored count as crowds.

    Raises:
        InputError: A record has a defect; file, record, field, value and remedy are named.
    """
    top = Fields(source, "", content if isinstance(content, Mapping) else {})
    lists = {name: top.list(name, _COCO) for name in ("images", "categories")}
    for name, values in lists.items():
        if not values:
            raise top.error(name, "is empty", _COCO)
    frames = [
        {**image, "video_id": image.get("id"), "frame_id": 0}
        for image in _records(source, "images", lists["images"])
    ]
    objects = None
    if top.has("annotations"):
        objects = [
            {**item, "instance_id": number, "iscrowd": item.get("iscrowd") or item.get("ignore")}
            for number, item in enumerate(
                _records(source, "annotations", top.list("annotations")), start=1
            )
        ]
    joined = {
        "videos": [{"id": frame["video_id"], "name": frame.get("file_name")} for frame in frames],
        "images": frames,
        "categories": content["categories"],
        "annotations": objects,
    }
    return join_frames(joined, source=source)


class _Frames:
    """The frames of all videos in temporal order."""

    def __init__(self, content: Mapping[str, Any], source: str) -> None:
        top = Fields(source, "", content)
        self.source = source
        self.images: dict[int, list[Mapping[str, Any]]] = {}
        for index, video in enumerate(top.list("videos")):
            self.images[_record(source, f"videos[{index}]", video).integer("id")] = []
        for index, image in enumerate(top.list("images")):
            fields = _record(source, f"images[{index}]", image)
            fields.integer("id"), fields.integer("frame_id")
            fields.get("file_name")
            video_id = fields.integer("video_id")
            if video_id not in self.images:
                raise fields.error("video_id", f"{video_id} is not among the file's videos")
            self.images[video_id].append(image)
        self.place: dict[int, tuple[int, int]] = {}
        for video_id, images in self.images.items():
            images.sort(key=lambda image: image["frame_id"])
            for position, image in enumerate(images):
                if image["id"] in self.place:
                    raise InputError(source, f"image {image['id']}", "id", "occurs twice")
                self.place[image["id"]] = (video_id, position)

    def videos(self, content: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the records of the videos with the names of their frames."""
        records = []
        for video in content["videos"]:
            images = self.images[video["id"]]
            records.append(
                {
                    **self._size(video, images),
                    **video,
                    "length": len(images),
                    "file_names": [image["file_name"] for image in images],
                    "frame_ids": [image["frame_id"] for image in images],
                }
            )
        return records

    def _size(
        self, video: Mapping[str, Any], images: Sequence[Mapping[str, Any]]
    ) -> dict[str, int]:
        missing = [key for key in ("height", "width") if key not in video]
        if not images or not missing:
            return {}
        first = Fields(self.source, f"image {images[0]['id']}", images[0])
        return {key: first.integer(key, 1) for key in missing}


def _join(entries: Iterable[Any], frames: _Frames, source: str) -> list[dict[str, Any]]:
    tracks: dict[tuple[int, int, int], dict[str, Any]] = {}
    for index, entry in enumerate(entries):
        fields = _record(source, f"annotations[{index}]", entry)
        image_id = fields.integer("image_id")
        if image_id not in frames.place:
            raise fields.error("image_id", f"{image_id} is not among the file's images")
        video_id, position = frames.place[image_id]
        remedy = "Tracks are joined by it; a file of still images has none"
        key = (
            video_id,
            fields.integer("instance_id", remedy=remedy),
            fields.integer("category_id"),
        )
        track = tracks.get(key)
        if track is None:
            track = tracks[key] = _new_track(fields, key, len(frames.images[video_id]))
        if track["bboxes"][position] is None:
            for column, name in _COLUMNS.items():
                track[column][position] = entry.get(name)
    joined = list(tracks.values())
    _number_anew(joined)
    _leave_out_empty(joined)
    return joined


def _number_anew(tracks: Sequence[dict[str, Any]]) -> None:
    """Count tracks from 1, unless their ids differ: some files number them in each video."""
    if len({track["id"] for track in tracks}) < len(tracks):
        for number, track in enumerate(tracks, 1):
            track["id"] = number


def _leave_out_empty(tracks: Sequence[dict[str, Any]]) -> None:
    for column in ("segmentations", "areas"):
        if not any(value is not None for track in tracks for value in track[column]):
            for track in tracks:
                del track[column]


def _new_track(fields: Fields, key: tuple[int, int, int], length: int) -> dict[str, Any]:
    video_id, instance_id, category_id = key
    return {
        "id": instance_id,
        "video_id": video_id,
        "category_id": category_id,
        # Some converters write a boolean.
        "iscrowd": int(bool(fields.values.get("iscrowd"))),
        **{column: [None] * length for column in _COLUMNS},
    }


def _records(source: str, name: str, entries: Iterable[Any]) -> Iterator[Mapping[str, Any]]:
    for index, entry in enumerate(entries):
        yield _record(source, f"{name}[{index}]", entry).values


def _record(source: str, place: str, values: Any) -> Fields:
    if not isinstance(values, Mapping):
        raise InputError(source, place, "", f"must be an object, found {shorten(values)}")
    return Fields(source, place, values)
