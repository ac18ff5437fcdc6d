# SPDX-License-Identifier: Apache-2.0
"""Tracks of CVAT ("CVAT for video 1.1", one XML file per video)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element

import numpy as np

from visbench.datasets.converters.annotation_file import (
    AnnotationFile,
    Progress,
    Shape,
    box_mask,
    ellipse_mask,
    encode,
    silent,
)
from visbench.datasets.converters.frames import image_names
from visbench.datasets.safe_xml import parse_xml
from visbench.evaluation.errors import InputError
from visbench.evaluation.run_lengths import MaskError, rasterize_polygons
from visbench.structures import RLE
from visbench.structures.file_names import natural_key

MAX_BYTES = 1 << 30
_MAX_PIXELS = 1 << 28
_MAX_FRAMES = 10**7
_EXPORT = "export the task from CVAT again as 'CVAT for video 1.1'"
_WITHOUT_AREA = ("polyline", "points", "skeleton", "cuboid")


class _Video(NamedTuple):
    """What a file says of its video: ``first`` and ``step`` number the frames."""

    path: Path
    name: str
    height: int
    width: int
    length: int
    first: int
    step: int


def read_cvat(
    source: str | Path,
    images: str | Path | None = None,
    frame_name: str = "frame_{:06d}.png",
    boxes_as_masks: bool = False,
    progress: Progress = silent,
) -> AnnotationFile:
    """Read an XML file of CVAT or a folder of them.

    The video is named like the file. Boxes, polygons, ellipses and masks are converted; shapes
    that are ``outside`` are absent. Tracks of polylines, points, skeletons and cuboids have no area
    and are left out, with one note of their numbers. CVAT writes the frames between key frames
    too, so a track with a gap is an error rather than guessed at. Labels are those of the file's
    list, in its order.

    Args:
        source: The file, or a folder whose ``*.xml`` are one video each.
        images: Folder with a folder of frames per video, named like its XML file; the n-th image
            is frame n.
        frame_name: Name of a frame where ``images`` is not given, as ``str.format`` takes it.
        boxes_as_masks: Fill boxes as masks.
        progress: Wraps the list of files to show progress; gets the list and a title.

    Raises:
        InputError: A file lacks something, or has a value that cannot be; file, track and field
            are named.
        ValueError: If a file is no XML, has a document type or is too large.
    """
    file = AnnotationFile(str(source))
    left_out: Counter[str] = Counter()
    for path in progress(_xml_files(Path(source)), "videos"):
        root = parse_xml(path, MAX_BYTES, "a task of CVAT", _EXPORT)
        video = _video(path, root)
        for label in root.iterfind("./meta//labels/label/name"):
            file.category((label.text or "").strip())
        video_id = file.add_video(
            _frame_names(video, images, frame_name), video.height, video.width
        )
        for track in root.iterfind("track"):
            kind = next((element.tag for element in track if element.tag in _WITHOUT_AREA), None)
            if kind is not None:
                left_out[kind] += 1
                continue
            where = f"{path.name}, track {track.get('id')}"
            name = track.get("label")
            if not name:
                raise InputError(str(path), where, "label", "is missing", _EXPORT)
            shapes = _track(video, track, where, boxes_as_masks)
            file.add_track(video_id, file.category(name), shapes, where)
    file.note_without_area(left_out, "tracks")
    return file


def _xml_files(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    found = sorted(source.glob("*.xml"), key=lambda path: natural_key(path.name))
    if not found:
        raise InputError(str(source), "", "", "no such file, or no *.xml in this folder", _EXPORT)
    return found


def _video(path: Path, root: Element) -> _Video:
    if root.tag != "annotations" or root.find("meta") is None:
        raise InputError(str(path), "", "", f"<{root.tag}> is no file of CVAT", _EXPORT)
    if root.find("image") is not None:
        raise InputError(
            str(path), "", "image", "the file is one of images: it has no tracks", _EXPORT
        )

    def meta(field: str, default: str | None = None) -> int:
        text = root.findtext(f"./meta//{field}", default)
        return _whole(path, "meta", field, text, minimum=0)

    height, width = meta("original_size/height"), meta("original_size/width")
    length = meta("size")
    if height * width > _MAX_PIXELS or length > _MAX_FRAMES:
        problem = f"{length} frames of {width}x{height} are no video"
        raise InputError(str(path), "meta", "size", problem, _EXPORT)
    step = re.fullmatch(r"\s*step\s*=\s*(\d+)\s*", root.findtext("./meta//frame_filter") or "")
    return _Video(
        path, path.stem, height, width, length, meta("start_frame", "0"),
        max(1, int(step[1])) if step else 1,
    )  # fmt: skip


def _frame_names(video: _Video, images: str | Path | None, frame_name: str) -> list[str]:
    if images is None:
        try:
            names = [frame_name.format(index) for index in range(video.length)]
        except (ValueError, IndexError, KeyError) as error:
            raise ValueError(
                f"frame name {frame_name!r}: {error}; write frame_{{:06d}}.png"
            ) from None
        return [f"{video.name}/{name}" for name in names]
    names = image_names(Path(images) / video.name)
    if len(names) != video.length:
        raise InputError(
            str(video.path), "meta", "size", f"{video.length} frames, but {len(names)} images in "
            f"{Path(images) / video.name}", "Extract the frames that were annotated",
        )  # fmt: skip
    return [f"{video.name}/{name}" for name in names]


def _track(video: _Video, track: Element, where: str, boxes_as_masks: bool) -> Mapping[int, Shape]:
    shapes: dict[int, Shape] = {}
    open_from: int | None = None
    for frame, element in sorted(_elements(video, track, where), key=lambda pair: pair[0]):
        if open_from is not None and frame > open_from + 1:
            raise InputError(
                str(video.path), where, "frame", f"nothing is said of {frame - open_from - 1} "
                f"frames between {open_from} and {frame}, where the object is not outside", _EXPORT,
            )  # fmt: skip
        outside = element.get("outside") == "1"
        open_from = None if outside else frame
        if not outside:
            shapes[frame] = _shape(video, element, f"{where}, frame {frame}", boxes_as_masks)
    return shapes


def _elements(video: _Video, track: Element, where: str) -> Iterator[tuple[int, Element]]:
    for element in track:
        if element.tag not in _SHAPES:
            if element.get("frame") is None:
                continue  # such as an attribute of the track
            raise InputError(
                str(video.path), where, element.tag, "is no known shape",
                f"Draw {', '.join(_SHAPES)}, or delete the track in CVAT",
            )  # fmt: skip
        number = _whole(video.path, where, "frame", element.get("frame"), minimum=0)
        frame, rest = divmod(number - video.first, video.step)
        if rest or not 0 <= frame < video.length:
            raise InputError(
                str(video.path), where, "frame", f"{number} is none of the {video.length} frames "
                f"from {video.first} in steps of {video.step}", _EXPORT,
            )  # fmt: skip
        yield frame, element


def _shape(video: _Video, element: Element, where: str, boxes_as_masks: bool) -> Shape:
    shape = _SHAPES[element.tag](video, element, where)
    if boxes_as_masks and not isinstance(shape, dict):
        return box_mask(shape, video.height, video.width)
    return shape


def _box(video: _Video, element: Element, where: str) -> Shape:
    x1, y1, x2, y2 = (
        _number(video.path, where, side, element.get(side)) for side in ("xtl", "ytl", "xbr", "ybr")
    )
    if _number(video.path, where, "rotation", element.get("rotation") or "0"):
        raise InputError(
            str(video.path), where, "rotation", "boxes of the layout are upright", "Draw a polygon"
        )
    x1, x2 = np.clip((x1, x2), 0, video.width).tolist()
    y1, y2 = np.clip((y1, y2), 0, video.height).tolist()
    if x2 <= x1 or y2 <= y1:
        raise InputError(str(video.path), where, "box", "has no area in the frame", "Delete it")
    return x1, y1, x2 - x1, y2 - y1


def _polygon(video: _Video, element: Element, where: str) -> RLE:
    texts = re.split(r"[;,]", element.get("points") or "")
    points = [_number(video.path, where, "points", text) for text in texts]
    try:
        counts = rasterize_polygons([points], video.height, video.width)
    except MaskError as error:
        raise InputError(str(video.path), where, "points", error.problem, _EXPORT) from error
    return RLE(size=[video.height, video.width], counts=counts)


def _ellipse(video: _Video, element: Element, where: str) -> RLE:
    x, y, radius_x, radius_y = (
        _number(video.path, where, name, element.get(name)) for name in ("cx", "cy", "rx", "ry")
    )
    if min(radius_x, radius_y) <= 0:
        raise InputError(str(video.path), where, "rx", "the ellipse has no area", "Delete it")
    angle = _number(video.path, where, "rotation", element.get("rotation") or "0")
    return ellipse_mask((x, y), (radius_x, radius_y), angle, video.height, video.width)


def _mask(video: _Video, element: Element, where: str) -> RLE:
    """Return a mask from CVAT's run lengths: by rows, background first, within its box."""
    left, top, width, height = (
        _whole(video.path, where, side, element.get(side), minimum=0)
        for side in ("left", "top", "width", "height")
    )
    if left + width > video.width or top + height > video.height:
        raise InputError(
            str(video.path), where, "width", f"the mask at {left}, {top} of {width}x{height} does "
            f"not fit the frame of {video.width}x{video.height}", _EXPORT,
        )  # fmt: skip
    runs = [
        _whole(video.path, where, "rle", text, minimum=0)
        for text in (element.get("rle") or "").split(",")
    ]
    if sum(runs) != width * height:
        raise InputError(
            str(video.path),
            where,
            "rle",
            f"covers {sum(runs)} pixels, not {width}x{height}",
            _EXPORT,
        )
    mask = np.zeros((video.height, video.width), dtype=bool)
    values = np.arange(len(runs)) % 2 == 1
    mask[top : top + height, left : left + width] = np.repeat(values, runs).reshape(height, width)
    return encode(mask)


_SHAPES = {"box": _box, "polygon": _polygon, "ellipse": _ellipse, "mask": _mask}


def _number(path: Path, where: str, field: str, text: str | None) -> float:
    try:
        value = float(text) if text else np.nan
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        problem = "is missing" if text is None else f"{text!r:.40} is not a number"
        raise InputError(str(path), where, field, problem, _EXPORT)
    return float(value)


def _whole(path: Path, where: str, field: str, text: str | None, minimum: int) -> int:
    value = _number(path, where, field, text)
    if not value.is_integer() or value < minimum:
        raise InputError(str(path), where, field, f"{text!r:.40} is no whole number", _EXPORT)
    return int(value)
