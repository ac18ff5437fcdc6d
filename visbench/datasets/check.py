# SPDX-License-Identifier: Apache-2.0
"""Finds every defect of an annotation file and of its frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from visbench.datasets.annotations import read_json, video_name
from visbench.datasets.check_images import image_problem
from visbench.datasets.check_shapes import box_problem, is_integer, is_number, mask_problem
from visbench.evaluation.per_frame import is_per_frame, join_frames

_OCCLUSION = ("no_occlusion", "slight_occlusion", "severe_occlusion", None)
_PER_FRAME = ("segmentations", "bboxes", "areas", "occlusion")


class Defect(NamedTuple):
    """One defect of a data set.

    Args:
        where: File and record, such as ``annotation 7 (video 2), frame 3`` or a path of a frame.
        field: The field that is wrong.
        problem: What is wrong with its value.
    """

    where: str
    field: str
    problem: str


Progress = Callable[[Iterable[Any], str], Iterable[Any]]


def check_dataset(
    ann_file: str | Path,
    images: str | Path | None = None,
    progress: Progress = lambda items, _: items,
) -> list[Defect]:
    """Return every defect that is found.

    Args:
        ann_file: Annotation file in YouTube-VIS or OVIS layout, or the per-frame form that
            converters of OpenMMLab write. A file without any mask is one of boxes.
        images: Folder that the file names are relative to; frames are not looked at if None.
        progress: Wraps a list of records to show progress; gets the list and a title.

    Returns:
        Defects in the order of the file; empty for a sound data set.

    Raises:
        OSError: If there is no such file or folder.
        ValueError: If the file is no JSON or its top-level lists are missing, so that nothing can
            be checked.
    """
    if Path(ann_file).is_dir():
        raise IsADirectoryError(
            f"{ann_file} is a folder; give an annotation file. For the layout of ImageNet write it "
            f"with tools/convert_imagenet.py {ann_file}, which names every defect"
        )
    data = _read(Path(ann_file))
    if images is not None and not Path(images).is_dir():
        raise FileNotFoundError(f"no image folder {images}; give the folder of file_names")
    videos = {video.get("id"): video for video in data["videos"]}
    known = {category.get("id") for category in data["categories"]}
    defects = [*_check_ids(data), *_check_categories(data["categories"])]
    defects += _check_names(data["videos"])
    for video in progress(data["videos"], "videos"):
        defects += _check_video(video)
        if images is not None:
            defects += _check_frames(video, Path(images))
    annotations = data.get("annotations") or []
    with_masks = any(annotation.get("segmentations") is not None for annotation in annotations)
    required = ("segmentations", "bboxes") if with_masks else ("bboxes",)
    for annotation in progress(annotations, "annotations"):
        defects += _check_annotation(annotation, videos, known, required)
    return defects


def _read(path: Path) -> dict[str, Any]:
    data = read_json(path)
    if not isinstance(data, dict):
        raise ValueError(f"{path}: the top level must be an object, got {type(data).__name__}")
    for key in ("videos", "categories", "annotations"):
        value = data.get(key)
        if key == "annotations" and value is None:
            continue
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            raise ValueError(f"{path}: field '{key}' must be a list of objects")
    if not data["videos"]:
        raise ValueError(f"{path}: field 'videos' is empty")
    if is_per_frame(data):
        return join_frames(data, source=str(path))
    return data


def _check_ids(data: Mapping[str, Any]) -> Iterator[Defect]:
    for key, name in (
        ("videos", "video"),
        ("categories", "category"),
        ("annotations", "annotation"),
    ):
        entries = data.get(key) or []
        for position, entry in enumerate(entries):
            identity = entry.get("id")
            if not is_integer(identity):
                yield Defect(f"{key}[{position}]", "id", f"{identity!r} is not an integer")
            elif identity < 1:
                yield Defect(f"{name} {identity}", "id", f"{identity} is below 1")
        counts = Counter(repr(entry.get("id")) for entry in entries)
        for identity, count in counts.items():
            if count > 1:
                yield Defect(f"{name} {identity}", "id", f"occurs {count} times")


def _check_categories(categories: list[dict[str, Any]]) -> Iterator[Defect]:
    if not categories:
        yield Defect("categories", "categories", "the list is empty")
    for name, count in Counter(str(entry.get("name")) for entry in categories).items():
        if name == "None":
            yield Defect("categories", "name", f"{count} categories have no name")
        elif count > 1:
            yield Defect(f"category '{name}'", "name", f"occurs {count} times")


def _check_names(videos: list[dict[str, Any]]) -> Iterator[Defect]:
    owners: dict[str, Any] = {}
    folders: dict[str, Any] = {}
    for video in videos:
        where = f"video {video.get('id')}"
        names = [str(name) for name in _list(video.get("file_names"))]
        for name, count in Counter(names).items():
            if count > 1:
                yield Defect(where, "file_names", f"'{name}' occurs {count} times")
            if owners.setdefault(name, where) != where:
                yield Defect(where, "file_names", f"'{name}' belongs to {owners[name]} too")
        folder = video_name(video) if names and "id" in video else None
        if folder is not None and folders.setdefault(folder, where) != where:
            yield Defect(where, "file_names", f"folder '{folder}' is that of {folders[folder]} too")


def _check_video(video: Mapping[str, Any]) -> Iterator[Defect]:
    where = f"video {video.get('id')}"
    names = video.get("file_names")
    if not isinstance(names, list) or not names:
        yield Defect(where, "file_names", "the video has no frames")
    for position, name in enumerate(_list(names)):
        if not isinstance(name, str) or not name:
            yield Defect(where, "file_names", f"entry {position} is not a file name: {name!r}")
    for field in ("height", "width"):
        if not is_integer(video.get(field)) or video[field] < 1:
            yield Defect(where, field, f"{video.get(field)!r} is not a positive integer")
    length = video.get("length")
    if length is not None and length != len(_list(names)):
        yield Defect(where, "length", f"{length} is not the number of files, {len(_list(names))}")


def _check_frames(video: Mapping[str, Any], images: Path) -> Iterator[Defect]:
    size = (video.get("height"), video.get("width"))
    for name in _list(video.get("file_names")):
        if isinstance(name, str) and name:
            problem = image_problem(images / name, size)
            if problem is not None:
                yield Defect(str(images / name), *problem)


def _check_annotation(
    annotation: Mapping[str, Any],
    videos: Mapping[Any, Mapping[str, Any]],
    known: set[Any],
    required: tuple[str, ...],
) -> Iterator[Defect]:
    where = f"annotation {annotation.get('id')} (video {annotation.get('video_id')})"
    category = annotation.get("category_id")
    if category not in known:
        yield Defect(where, "category_id", f"{category!r} is no category of the file")
    if annotation.get("iscrowd", 0) not in (0, 1):
        yield Defect(where, "iscrowd", f"{annotation['iscrowd']!r} is neither 0 nor 1")
    video = videos.get(annotation.get("video_id"))
    if video is None:
        yield Defect(where, "video_id", f"{annotation.get('video_id')!r} is no video of the file")
        return
    for field in ("height", "width"):
        value = annotation.get(field)
        if value is not None and value != video.get(field):
            yield Defect(where, field, f"{value!r}, but its video has {video.get(field)!r}")
    yield from _check_lengths(annotation, where, len(_list(video.get("file_names"))), required)
    columns = {
        field: annotation[field] for field in _PER_FRAME if isinstance(annotation.get(field), list)
    }
    size = (video.get("height"), video.get("width"))
    for frame in range(max(map(len, columns.values()), default=0)):
        entries = {key: values[frame] for key, values in columns.items() if frame < len(values)}
        yield from _check_entries(f"{where}, frame {frame}", entries, size)
    masks, boxes = columns.get("segmentations", []), columns.get("bboxes", [])
    if not any(masks) and not any(boxes):
        yield Defect(where, required[0], "the object is absent in all frames")


def _check_lengths(
    annotation: Mapping[str, Any], where: str, length: int, required: tuple[str, ...]
) -> Iterator[Defect]:
    for field in _PER_FRAME:
        values = annotation.get(field)
        if values is None:
            if field in required:
                yield Defect(where, field, "the field is missing")
        elif not isinstance(values, list) or len(values) != length:
            count = len(values) if isinstance(values, list) else repr(values)
            yield Defect(where, field, f"{count} entries for {length} frames")


def _check_entries(
    where: str, entries: Mapping[str, Any], size: tuple[Any, Any]
) -> Iterator[Defect]:
    mask, box = entries.get("segmentations"), entries.get("bboxes")
    if "segmentations" in entries and "bboxes" in entries:
        if mask and box is None:
            yield Defect(where, "bboxes", "null, but there is a mask")
        if box is not None and not mask:
            yield Defect(where, "segmentations", "null, but there is a box")
    if mask:
        problem = mask_problem(mask, size)
        if problem is not None:
            yield Defect(where, "segmentations", problem)
    if box is not None:
        problem = box_problem(box, size)
        if problem is not None:
            yield Defect(where, "bboxes", problem)
    area = entries.get("areas")
    if area is not None and not (is_number(area) and area >= 0):
        yield Defect(where, "areas", f"{area!r} is not a number of pixels")
    elif "areas" in entries and area is None and mask:
        yield Defect(where, "areas", "null, but there is a mask")
    elif area is not None and "segmentations" in entries and not mask:
        yield Defect(where, "areas", f"{area!r}, but there is no mask")
    if entries.get("occlusion") not in _OCCLUSION:
        yield Defect(where, "occlusion", f"{entries['occlusion']!r} is not one of {_OCCLUSION}")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
