# SPDX-License-Identifier: Apache-2.0
"""Tracks as the text files of MOTChallenge (boxes) and MOTS (masks), which TrackEval reads."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from visbench.structures.frames import frames_to_tracks, tracks_to_frames
from visbench.structures.instances import FrameInstances
from visbench.structures.label_maps import separate_masks
from visbench.structures.rle import RLE, check_mask, rle_to_box
from visbench.structures.tracks import VideoTracks
from visbench.structures.video import VideoInfo

MOTS_IGNORE = 10
"""Class of the regions that MOTS leaves out of evaluation; a result has none."""

_MAX_PIXELS = 2**28
_MAX_FRAMES = 10**7
_MAX_ID = 2**63 - 1


def to_mots_text(
    result: VideoTracks,
    category_ids: Sequence[int] | None = None,
    first_frame: int = 1,
    score_threshold: float = 0.0,
) -> str:
    r"""Write masks as MOTS text: ``frame id class height width rle``, one line per object.

    Every track appears under its best prediction. TrackEval refuses masks that overlap, so a
    pixel belongs to the object with the highest score; what nothing is left of has no line. The
    format has no scores: ``score_threshold`` decides what counts as found.

    Args:
        result: The result of a video, with masks.
        category_ids: Class of every 0-based label (in MOTS 1 is car, 2 pedestrian); the label
            plus one by default.
        first_frame: Number of the first frame: 1 in MOTS Challenge, 0 in KITTI MOTS.
        score_threshold: Predictions with a lower score are left out.

    Returns:
        The content of a file; empty if nothing was found.

    Raises:
        ValueError: If the result has boxes only, or the class of a label is unknown or 10, which
            means a region to ignore.

    Examples:
        >>> frame = FrameInstances([7], [1], [0.9], masks=encode_masks(np.ones((1, 2, 3))))
        >>> result = frames_to_tracks(VideoInfo(0, "clip", 2, 3), [frame])
        >>> to_mots_text(result)
        '1 7 2 2 3 06\n'
    """
    lines = []
    for number, instances in enumerate(tracks_to_frames(result), start=first_frame):
        shown = instances.select(instances.scores >= score_threshold)
        if shown.masks is None:
            raise ValueError(f"video {result.video.name} has boxes only; use to_mot_text")
        masks = separate_masks(shown, (result.video.height, result.video.width))
        for row, mask in masks.items():
            category = _category(int(shown.labels[row]), category_ids)
            lines.append(
                f"{number} {shown.ids[row]} {category} {mask['size'][0]} {mask['size'][1]} "
                f"{mask['counts']}"
            )
    return "".join(f"{line}\n" for line in lines)


def from_mots_text(
    text: str,
    video: VideoInfo | None = None,
    category_ids: Sequence[int] | None = None,
    first_frame: int = 1,
) -> VideoTracks:
    r"""Read masks from MOTS text, ground truth or results; the inverse of :func:`to_mots_text`.

    Regions to ignore (class 10) have no place in a result: they are left out, and a warning says
    how many. The format has no scores: all are 1.

    Args:
        text: The content of a file.
        video: The video; by default a nameless one of the masks' size that ends with the last
            line.
        category_ids: Class of every 0-based label, as for :func:`to_mots_text`.
        first_frame: Number of the first frame: 1 in MOTS Challenge, 0 in KITTI MOTS.

    Raises:
        ValueError: If a line cannot be read; the message names line, field and value.

    Examples:
        >>> result = from_mots_text("1 7 2 2 3 06\n")
        >>> result.video.height, result.tracks[0].id, result.predictions[0].label
        (2, 7, 1)
    """
    frames: dict[int, list[_Found]] = defaultdict(list)
    ignored = 0
    size = None if video is None else (video.height, video.width)
    for where, words in _rows(text, None, 6, "frame id class height width rle"):
        category = _whole(words[2], where, "class")
        if category == MOTS_IGNORE:
            ignored += 1
            continue
        mask = _mask(words[3:6], size, where)
        size = (mask["size"][0], mask["size"][1])
        frames[_frame(words[0], first_frame, where)].append(
            (_whole(words[1], where, "id"), _label(category, category_ids, where), 1.0, mask)
        )
    if ignored:
        warnings.warn(
            f"{ignored} regions to ignore (class {MOTS_IGNORE}) are left out: tracks cannot hold "
            "them; tools/convert_dataset.py mots keeps those of PNGs as crowds",
            stacklevel=2,
        )
    if video is None:
        if size is None:
            raise ValueError("no object, so the size is unknown: give the video")
        video = VideoInfo(0, "mots", *size)
    return _joined(frames, video, with_masks=True)


def to_mot_text(result: VideoTracks, first_frame: int = 1, score_threshold: float = 0.0) -> str:
    r"""Write boxes as MOTChallenge text: ``frame,id,left,top,width,height,score,-1,-1,-1``.

    Every track appears under its best prediction; the format has no classes. Pixels are counted
    from 0 at the left and upper border. Without boxes those around the masks are written.

    Args:
        result: The result of a video.
        first_frame: Number of the first frame: 1 in MOTChallenge.
        score_threshold: Predictions with a lower score are left out.

    Returns:
        The content of a file; empty if nothing was found.

    Examples:
        >>> frame = FrameInstances([7], [0], [0.5], [[2, 3, 12, 33]])
        >>> to_mot_text(frames_to_tracks(VideoInfo(0, "clip", 48, 64), [frame]))
        '1,7,2,3,10,30,0.5,-1,-1,-1\n'
    """
    lines = []
    for number, instances in enumerate(tracks_to_frames(result), start=first_frame):
        shown = instances.select(instances.scores >= score_threshold)
        for track_id, box, score in zip(shown.ids, boxes_of(shown), shown.scores, strict=True):
            x1, y1, x2, y2 = box
            values = ",".join(_shortest(value) for value in (x1, y1, x2 - x1, y2 - y1, score))
            lines.append(f"{number},{track_id},{values},-1,-1,-1")
    return "".join(f"{line}\n" for line in lines)


def from_mot_text(
    text: str,
    video: VideoInfo,
    category_ids: Sequence[int] | None = None,
    first_frame: int = 1,
) -> VideoTracks:
    """Read boxes from MOTChallenge text, results or ground truth; inverse of :func:`to_mot_text`.

    Args:
        text: The content of a file.
        video: The video, whose size the format does not say; it ends with the last line if its
            length is None.
        category_ids: Class of every 0-based label, for the eighth column of ground truth; results
            have -1 there, which becomes label 0.
        first_frame: Number of the first frame.

    Raises:
        ValueError: If a line cannot be read; the message names line, field and value.

    Examples:
        >>> result = from_mot_text("1,7,2,3,10,30,0.5,-1,-1,-1", VideoInfo(0, "clip", 48, 64))
        >>> result.tracks[0].boxes.tolist()
        [[2.0, 3.0, 12.0, 33.0]]
    """
    frames: dict[int, list[_Found]] = defaultdict(list)
    for where, words in _rows(text, ",", 7, "frame,id,left,top,width,height,score"):
        left, top, width, height = (
            _number(word, where, name)
            for word, name in zip(words[2:6], ("left", "top", "width", "height"), strict=True)
        )
        category = _whole(words[7], where, "class") if len(words) > 7 else -1
        frames[_frame(words[0], first_frame, where)].append(
            (
                _whole(words[1], where, "id"),
                0 if category < 0 else _label(category, category_ids, where),
                _number(words[6], where, "score"),
                [left, top, left + width, top + height],
            )
        )
    return _joined(frames, video, with_masks=False)


def boxes_of(instances: FrameInstances) -> npt.NDArray[np.float32]:
    """Return the ``(n, 4)`` boxes of a frame, those around the masks if there are no others."""
    if instances.boxes is not None:
        return instances.boxes
    boxes = [rle_to_box(mask) for mask in instances.masks or []]
    return np.array(boxes, dtype=np.float32).reshape(-1, 4)


_Found = tuple[int, int, float, "RLE | list[float]"]


def _joined(frames: dict[int, list[_Found]], video: VideoInfo, with_masks: bool) -> VideoTracks:
    length = max(frames, default=-1) + 1
    if video.length is not None and length > video.length:
        raise ValueError(
            f"there is frame {length - 1} (counted from 0), but video {video.name} has "
            f"{video.length} frames; check the file and first_frame"
        )
    length = length if video.length is None else video.length
    instances = (_instances(frames.get(index, []), index, with_masks) for index in range(length))
    return frames_to_tracks(replace(video, length=length), instances)


def _instances(found: list[_Found], index: int, with_masks: bool) -> FrameInstances:
    ids = [track_id for track_id, *_ in found]
    values: list[Any] = [value for *_, value in found]
    try:
        return FrameInstances(
            ids,
            [label for _, label, *_ in found],
            [score for _, _, score, _ in found],
            None if with_masks else np.array(values, np.float32).reshape(-1, 4),
            values if with_masks else None,
        )
    except ValueError as error:
        raise ValueError(f"frame {index} (counted from 0): {error}") from error


def _rows(
    text: str, separator: str | None, columns: int, form: str
) -> Iterator[tuple[str, list[str]]]:
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.strip().split(separator)
        if not line.strip():
            continue
        if len(words) < columns:
            raise ValueError(f"line {number}: {len(words)} columns; the form is: {form}")
        yield f"line {number}", words


def _number(word: str, where: str, field: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise ValueError(f"{where}: {field} is {word!r}; a number is needed")
    return value


def _whole(word: str, where: str, field: str) -> int:
    """Return a whole number, which some tools write as ``7.0``."""
    try:
        value = int(word)
    except ValueError:
        number = _number(word, where, field)
        value = int(number)
        if value != number:
            raise ValueError(f"{where}: {field} is {word!r}; a whole number is needed") from None
    if abs(value) > _MAX_ID:
        raise ValueError(f"{where}: {field} is {word!r:.40}; it must fit into 64 bits")
    return value


def _frame(word: str, first_frame: int, where: str) -> int:
    index = _whole(word, where, "frame") - first_frame
    if index < 0:
        raise ValueError(
            f"{where}: frame {word} comes before frame {first_frame}; give first_frame={word}"
        )
    if index >= _MAX_FRAMES:
        raise ValueError(f"{where}: frame {word} is beyond {_MAX_FRAMES} frames; correct the line")
    return index


def _category(label: int, category_ids: Sequence[int] | None) -> int:
    """Return the class of a label in a file of MOTS."""
    if category_ids is not None and label >= len(category_ids):
        raise ValueError(f"label {label} has no class, there are {len(category_ids)} category_ids")
    category = label + 1 if category_ids is None else category_ids[label]
    if category == MOTS_IGNORE:
        raise ValueError(
            f"label {label} would get the class {category}, which means a region to ignore in "
            "MOTS; give it another number (category_ids)"
        )
    return category


def _label(category: int, category_ids: Sequence[int] | None, where: str) -> int:
    if category_ids is None and category >= 1:
        return category - 1
    if category_ids is not None and category in category_ids:
        return list(category_ids).index(category)
    known = "1, 2, ..." if category_ids is None else ", ".join(map(str, category_ids))
    raise ValueError(f"{where}: class {category} is unknown; the category_ids are {known}")


def _mask(words: Sequence[str], size: tuple[int, int] | None, where: str) -> RLE:
    height, width = (
        _whole(word, where, name) for word, name in zip(words, ("height", "width"), strict=False)
    )
    if size is not None and (height, width) != size:
        raise ValueError(
            f"{where}: the mask is {width}x{height}, but the video is {size[1]}x{size[0]}"
        )
    if height < 1 or width < 1 or height * width > _MAX_PIXELS:
        raise ValueError(f"{where}: {width}x{height} is no size of a frame")
    mask = RLE(size=[height, width], counts=words[2])
    try:
        check_mask(mask)
    except ValueError as error:
        raise ValueError(f"{where}: rle {words[2]!r:.40} does not fit {width}x{height}") from error
    return mask


def _shortest(value: float) -> str:
    """Return the shortest text that gives the same 32-bit float again."""
    return np.format_float_positional(np.float32(value), trim="-")
