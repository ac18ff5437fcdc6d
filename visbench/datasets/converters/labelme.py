# SPDX-License-Identifier: Apache-2.0
"""Files of labelme: one JSON file a frame, ``group_id`` is the track."""

from __future__ import annotations

import base64
import binascii
import io
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from visbench.datasets.annotations import read_json
from visbench.datasets.converters.annotation_file import (
    AnnotationFile,
    Progress,
    ellipse_mask,
    encode,
    silent,
    union,
)
from visbench.datasets.converters.frames import match_frames, sub_folders
from visbench.evaluation.errors import InputError
from visbench.evaluation.fields import Fields
from visbench.evaluation.run_lengths import MaskError, rasterize_polygons
from visbench.structures import RLE
from visbench.structures.file_names import natural_key

_WITHOUT_AREA = ("line", "linestrip", "point", "points")
_REMEDY = "Mend the shape in labelme"


def read_labelme(
    source: str | Path,
    images: str | Path | None = None,
    progress: Progress = silent,
) -> AnnotationFile:
    """Read a folder with one folder of JSON files per video, or the JSON files of one video.

    An object is what has one ``label`` and one ``group_id`` in a video; several shapes of it in a
    frame are its parts. Polygons, rectangles, circles and masks are areas; lines and points
    have none and are left out, with one note of their numbers.

    Args:
        source: The folder.
        images: Folder with a folder of frames per video; frames without JSON file have no objects.
            By default the JSON files say which frames there are.
        progress: Wraps the list of videos to show progress; gets the list and a title.

    Raises:
        InputError: A file has a defect; file, shape and field are named.
        ValueError: If a file is not JSON.
    """
    file = AnnotationFile(str(source))
    left_out: Counter[str] = Counter()
    for video in progress(sub_folders(Path(source), "*.json"), "videos"):
        paths = sorted(video.glob("*.json"), key=lambda path: natural_key(path.name))
        _read_video(file, video, paths, None if images is None else Path(images), left_out)
    file.note_without_area(left_out, "shapes")
    return file


def _read_video(
    file: AnnotationFile,
    video: Path,
    paths: list[Path],
    images: Path | None,
    left_out: Counter[str],
) -> None:
    records = [_record(path) for path in paths]
    suffixes = {Path(str(record.get("imagePath"))).suffix for record in records}
    stems = [path.stem for path in paths]
    names = match_frames(video, stems, images, (len(suffixes) == 1 and suffixes.pop()) or ".jpg")
    frames = {Path(name).stem: frame for frame, name in enumerate(names)}
    size = _size(records[0])
    # Compressed, since the masks of a whole video do not fit into memory otherwise.
    objects: dict[tuple[str, str], dict[int, RLE]] = defaultdict(dict)
    for path, record in zip(paths, records, strict=True):
        if _size(record) != size:
            raise record.error(
                "imageHeight", f"the frame is {_size(record)}, {paths[0].name} is {size}",
                "All frames of a video must have one size",
            )  # fmt: skip
        for fields in _shapes(record):
            if (kind := fields.values.get("shape_type")) in _WITHOUT_AREA:
                left_out[kind] += 1
                continue
            parts = objects[str(fields.get("label")), _group(fields)]
            mask, frame = _mask(fields, size), frames[path.stem]
            parts[frame] = union(parts[frame], mask) if frame in parts else mask
    video_id = file.add_video(names, *size)
    for (label, group), masks in objects.items():
        where = f"{video.name}, {label} of group {group}"
        file.add_track(video_id, file.category(label), masks, where)


def _record(path: Path) -> Fields:
    content = read_json(path)
    if not isinstance(content, Mapping) or "shapes" not in content:
        raise InputError(str(path), "", "shapes", "is missing", "Is this a file of labelme?")
    return Fields(str(path), "", content)


def _size(record: Fields) -> tuple[int, int]:
    return record.integer("imageHeight", 1), record.integer("imageWidth", 1)


def _shapes(record: Fields) -> list[Fields]:
    found = []
    for index, shape in enumerate(record.list("shapes")):
        if not isinstance(shape, Mapping):
            raise record.error(f"shapes[{index}]", "must be an object", _REMEDY)
        found.append(Fields(record.source, f"shapes[{index}]", shape))
    return found


def _group(fields: Fields) -> str:
    group = fields.values.get("group_id")
    if isinstance(group, bool) or not isinstance(group, (int, str)):
        problem = "is null" if group is None else f"must be a number or text, found {group!r}"
        raise fields.error(
            "group_id", problem, "Give the shapes of one object the same group in all frames"
        )
    return str(group)


def _mask(fields: Fields, size: tuple[int, int]) -> RLE:
    kind = fields.values.get("shape_type", "polygon")
    draw = _DRAW.get(kind) if isinstance(kind, str) else None
    if draw is None:
        known = ", ".join(_DRAW)
        raise fields.error("shape_type", f"{kind!r} is no known shape", f"Draw one of {known}")
    return draw(fields, size)


def _points(fields: Fields, count: int | None = None) -> list[tuple[float, float]]:
    points = []
    for entry in fields.list("points"):
        if not isinstance(entry, (list, tuple)) or len(entry) != 2:
            raise fields.error("points", f"{entry!r:.40} is not [x, y]", _REMEDY)
        numbers = [value for value in entry if isinstance(value, (int, float))]
        if len(numbers) != 2 or not all(math.isfinite(value) for value in numbers):
            raise fields.error("points", f"{entry!r:.40} are not two finite numbers", _REMEDY)
        points.append((float(numbers[0]), float(numbers[1])))
    if count is not None and len(points) != count:
        raise fields.error("points", f"has {len(points)} points, not {count}", _REMEDY)
    return points


def _drawn(fields: Fields, size: tuple[int, int], points: list[tuple[float, float]]) -> RLE:
    try:
        counts = rasterize_polygons([[side for point in points for side in point]], *size)
    except MaskError as error:
        raise fields.error("points", error.problem, _REMEDY) from error
    return RLE(size=[*size], counts=counts)


def _polygon(fields: Fields, size: tuple[int, int]) -> RLE:
    return _drawn(fields, size, _points(fields))


def _rectangle(fields: Fields, size: tuple[int, int]) -> RLE:
    (x1, y1), (x2, y2) = _points(fields, 2)
    return _drawn(fields, size, [(x1, y1), (x2, y1), (x2, y2), (x1, y2)])


def _circle(fields: Fields, size: tuple[int, int]) -> RLE:
    (x, y), (edge_x, edge_y) = _points(fields, 2)
    radius = math.hypot(edge_x - x, edge_y - y)
    if not radius:
        raise fields.error("points", "the circle has no area", _REMEDY)
    return ellipse_mask((x, y), (radius, radius), 0, *size)


def _bitmap(fields: Fields, size: tuple[int, int]) -> RLE:
    """Return a mask stored as the PNG of its box, whose first corner is the first point."""
    (x1, y1), _ = _points(fields, 2)
    left, top = round(x1), round(y1)
    try:
        png = base64.b64decode(str(fields.get("mask")), validate=True)
        with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
            if image.width * image.height > size[0] * size[1]:
                raise ValueError(f"{image.width}x{image.height} is larger than the frame")
            inside = np.asarray(image.convert("L")) > 0
    except (binascii.Error, OSError, SyntaxError, ValueError) as error:
        raise fields.error("mask", f"is no PNG in base64 ({error})", _REMEDY) from error
    height, width = inside.shape
    if left < 0 or top < 0 or top + height > size[0] or left + width > size[1]:
        raise fields.error("mask", f"does not fit the frame of {size[1]}x{size[0]}", _REMEDY)
    mask = np.zeros(size, dtype=bool)
    mask[top : top + height, left : left + width] = inside
    return encode(mask)


_DRAW: dict[str, Callable[[Fields, tuple[int, int]], RLE]] = {
    "polygon": _polygon,
    "rectangle": _rectangle,
    "circle": _circle,
    "mask": _bitmap,
}
