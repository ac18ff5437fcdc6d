# SPDX-License-Identifier: Apache-2.0
"""COCO files of video frames: MMTracking's COCO-VID and what annotation tools export."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from visbench.datasets.annotations import read_json
from visbench.datasets.converters.annotation_file import (
    AnnotationFile,
    Progress,
    Shape,
    as_rle,
    box_mask,
    silent,
)
from visbench.evaluation.errors import InputError
from visbench.evaluation.fields import Fields
from visbench.evaluation.per_frame import join_frames
from visbench.structures.file_names import natural_key

TRACK_FIELDS = ("instance_id", "track_id", "attributes.track_id", "attributes.instance_id")
"""Where an annotation says which track it belongs to; the first that is there counts."""


def read_coco_video(
    source: str | Path,
    track_field: str | None = None,
    boxes_as_masks: bool = False,
    progress: Progress = silent,
) -> AnnotationFile:
    """Read a COCO file whose images are frames of videos.

    A video is a ``video_id``, or a folder of ``file_name`` where images have no such field; frames
    are in the order of ``frame_id`` (``frame_index``), or of the numbers in their names. A track is
    what :data:`TRACK_FIELDS` has in common within a video and category. Crowds and annotations
    marked ``ignore`` stay crowds. Of several annotations of a track in a frame the first counts,
    which the notes tell. Ids are counted anew from 1, in the order of the file.

    Args:
        source: The file.
        track_field: Field of an annotation that names the track, in place of those above; a dot
            leads into an object.
        boxes_as_masks: Fill boxes where an object has no mask.
        progress: Wraps the list of tracks to show progress; gets the list and a title.

    Raises:
        InputError: A record has a defect; file, record, field and value are named.
        FileNotFoundError: If there is no such file.
        ValueError: If it is not JSON.
    """
    name = str(source)
    content = read_json(source)
    if not isinstance(content, Mapping):
        raise InputError(name, "", "", "the top level is no object", "Give a COCO file")
    per_frame = _per_frame(content, name, track_field)
    joined = join_frames(per_frame, source=name)
    categories = {
        Fields(name, f"categories[{i}]", entry).integer("id"): i + 1
        for i, entry in enumerate(joined["categories"])
    }
    file = AnnotationFile(
        name, {i: str(c.get("name")) for i, c in enumerate(joined["categories"], start=1)}
    )
    file.notes += _second_annotations(per_frame["annotations"] or [], name)
    videos = {}
    for video in joined["videos"]:
        fields = Fields(name, f"video {video.get('name', video['id'])}", video)
        size = fields.integer("height", 1), fields.integer("width", 1)
        videos[video["id"]] = (file.add_video(video["file_names"], *size), *size)
    for track in progress(joined["annotations"] or [], "tracks"):
        video_id, height, width = videos[track["video_id"]]
        names = file.videos[video_id - 1]["file_names"]
        where = f"object of {names[0]}"
        category = categories.get(track["category_id"])
        if category is None:
            problem = f"{track['category_id']} is no category of the file"
            raise InputError(name, where, "category_id", problem)
        shapes = dict(_shapes(name, track, names, (height, width), boxes_as_masks))
        known = len(file.tracks)
        file.add_track(video_id, category, shapes, where)
        for added in file.tracks[known:]:
            added["iscrowd"] = track["iscrowd"]
    return file


def _shapes(
    source: str,
    track: Mapping[str, Any],
    names: Sequence[str],
    size: tuple[int, int],
    boxes_as_masks: bool,
) -> Iterator[tuple[int, Shape]]:
    masks = track.get("segmentations") or [None] * len(names)
    for frame, (mask, box) in enumerate(zip(masks, track["bboxes"], strict=True)):
        where = f"annotation in {names[frame]}"
        if mask:
            try:
                yield frame, as_rle(mask, *size)
            except ValueError as error:
                raise InputError(source, where, "segmentation", str(error), "Mend it") from error
        elif box is not None:
            x, y, w, h = _sides(source, where, box)
            yield frame, box_mask((x, y, w, h), *size) if boxes_as_masks else (x, y, w, h)


def _sides(source: str, where: str, box: Any) -> tuple[float, ...]:
    if not isinstance(box, (list, tuple)) or len(box) != 4:
        raise InputError(source, where, "bbox", f"{box!r:.40} is not [x, y, width, height]")
    return tuple(Fields(source, where, {"bbox": side}).number("bbox") for side in box)


def _per_frame(content: Mapping[str, Any], source: str, track_field: str | None) -> dict[str, Any]:
    """Return the content with the fields that the per-frame form of OpenMMLab has."""
    top = Fields(source, "", content)
    images = list(_numbered_frames(_with_videos(_records(top, "images"), content)))
    videos = content.get("videos") or [
        {"id": number, "name": name}
        for number, name in dict.fromkeys((i["video_id"], i["video_name"]) for i in images)
    ]
    annotations = None
    if top.has("annotations"):
        keys: dict[Any, int] = {}
        annotations = [
            {
                **fields.values,
                "instance_id": keys.setdefault(_track_key(fields, track_field), len(keys) + 1),
                "iscrowd": fields.values.get("iscrowd") or fields.values.get("ignore"),
            }
            for fields in _records(top, "annotations")
        ]
    top.list("categories", "A COCO file names its categories")
    # `file_names` would make join_frames' counterpart take the file for one of tracks.
    videos = [
        {k: v for k, v in video.items() if k != "file_names"} if isinstance(video, Mapping)
        else video for video in videos
    ]  # fmt: skip
    _check_sizes(images, videos, source)
    return {**content, "videos": videos, "images": images, "annotations": annotations}


def _check_sizes(images: Sequence[Mapping[str, Any]], videos: Sequence[Any], source: str) -> None:
    """Refuse frames whose size is not their video's: shapes would be drawn in a wrong place."""
    sizes = {
        video["id"]: (video["height"], video["width"])
        for video in videos
        if isinstance(video, Mapping)
        and isinstance(video.get("id"), int)
        and "height" in video
        and "width" in video
    }
    for image in images:
        size = image.get("height"), image.get("width")
        if None not in size and sizes.setdefault(image["video_id"], size) != size:
            raise InputError(
                source, f"image {image['file_name']}", "height",
                f"the frame is {size}, its video {sizes[image['video_id']]} (height, width)",
                "All frames of a video must have one size",
            )  # fmt: skip


def _second_annotations(annotations: Sequence[Mapping[str, Any]], source: str) -> list[str]:
    """Return a note on annotations that are left out: a track has one in a frame."""
    keys = Counter((a["image_id"], a["instance_id"], a["category_id"]) for a in annotations)
    return [
        f"{source}: image {image}: {count} annotations of one track; the first counts"
        for (image, _, _), count in keys.items()
        if count > 1
    ]


def _records(top: Fields, name: str) -> Iterator[Fields]:
    for index, entry in enumerate(top.list(name, "Give a COCO file")):
        if not isinstance(entry, Mapping):
            raise InputError(top.source, f"{name}[{index}]", "", "must be an object")
        yield Fields(top.source, f"{name}[{index}]", entry)


def _track_key(fields: Fields, track_field: str | None) -> Any:
    tried = TRACK_FIELDS if track_field is None else (track_field,)
    for path in tried:
        value: Any = fields.values
        for part in path.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is not None:
            if not isinstance(value, (int, str)):
                raise fields.error(path, f"must be a number or text, found {value!r}")
            # The same number stands for other tracks in other videos; join_frames sees to that.
            return value
    raise fields.error(
        tried[0],
        f"is missing{'' if track_field else ', and so are ' + ', '.join(tried[1:])}",
        "Annotations are joined to tracks by it; name the field that has it (--track-field)",
    )


def _with_videos(records: Iterator[Fields], content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return images with ``video_id`` and ``video_name``: the folder where there is no field."""
    names = {
        video.get("id"): str(video.get("name", video.get("id")))
        for video in content.get("videos") or []
        if isinstance(video, Mapping)
    }
    folders: dict[str, int] = {}
    images = []
    for fields in records:
        image = dict(fields.values)
        folder = str(PurePosixPath(str(fields.get("file_name"))).parent)
        if not fields.has("video_id"):
            if names:
                raise fields.error("video_id", "is missing", "The file has a list of videos")
            image["video_id"] = folders.setdefault(folder, len(folders) + 1)
        else:
            image["video_id"] = fields.integer("video_id")
        image["video_name"] = names.get(image["video_id"], folder)
        images.append(image)
    return images


def _numbered_frames(images: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield images with ``frame_id``, by the order of their names where there is none."""
    order = defaultdict(list)
    for image in images:
        order[image["video_id"]].append(str(image["file_name"]))
    for names in order.values():
        names.sort(key=natural_key)
    places = {video: {name: i for i, name in enumerate(names)} for video, names in order.items()}
    for image in images:
        given = image.get("frame_id", image.get("frame_index"))
        place = places[image["video_id"]][str(image["file_name"])]
        yield {**image, "frame_id": place if given is None else given}
