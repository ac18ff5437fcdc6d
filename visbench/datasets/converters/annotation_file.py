# SPDX-License-Identifier: Apache-2.0
"""The YouTube-VIS layout, built video by video and written once it is sound."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from pycocotools import mask as mask_utils

from visbench.datasets.check import check_dataset
from visbench.evaluation.errors import InputError
from visbench.evaluation.mask_measures import measure
from visbench.evaluation.run_lengths import MaskError, compress_runs, rasterize_polygons
from visbench.files import partial_path
from visbench.structures import RLE, encode_masks, rle_area, rle_to_box

Progress = Callable[[Iterable[Any], str], Iterable[Any]]
Box = tuple[float, float, float, float]
Shape = RLE | Box
"""What an object looks like in one frame: a mask, or ``(x, y, width, height)`` in pixels."""

_SHOWN_DEFECTS = 5


def silent(items: Iterable[Any], title: str) -> Iterable[Any]:
    """Show no progress."""
    return items


@dataclass
class AnnotationFile:
    """Grows into the content of an annotation file.

    Args:
        source: What is converted, for messages.
        categories: Names by id, from 1; names that are met later get the next ids.
        notes: Remarks on what was left out.
    """

    source: str
    categories: dict[int, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    videos: list[dict[str, Any]] = field(default_factory=list)
    tracks: list[dict[str, Any]] = field(default_factory=list)

    def category(self, name: str) -> int:
        """Return the id of a category, which is added if it is new."""
        for known, other in self.categories.items():
            if other == name:
                return known
        number = max(self.categories, default=0) + 1
        self.categories[number] = name
        return number

    def add_video(self, file_names: Sequence[str], height: int, width: int) -> int:
        """Add a video and return its id; videos count from 1."""
        number = len(self.videos) + 1
        self.videos.append(
            {
                "id": number,
                "height": height,
                "width": width,
                "length": len(file_names),
                "file_names": list(file_names),
            }
        )
        return number

    def add_track(
        self,
        video_id: int,
        category_id: int,
        shapes: Mapping[int, Shape],
        where: str,
        is_crowd: bool = False,
    ) -> None:
        """Add an object.

        Args:
            video_id: Its video.
            category_id: Its category.
            shapes: Its mask or box by 0-based frame; masks without a pixel count as absent.
            where: The object in the source, for messages.
            is_crowd: Whether it stands for a region in which nothing counts.

        Raises:
            InputError: If masks and boxes are mixed; or an earlier object has the other kind.
        """
        length = self.videos[video_id - 1]["length"]
        masks: list[RLE | None] = [None] * length
        boxes: list[list[float] | None] = [None] * length
        for frame, shape in shapes.items():
            if not isinstance(shape, dict):
                boxes[frame] = [float(side) for side in shape]
            elif rle_area(shape):
                masks[frame] = shape
                x1, y1, x2, y2 = rle_to_box(shape).tolist()
                boxes[frame] = [x1, y1, x2 - x1, y2 - y1]
        if not any(boxes):
            self.notes.append(f"{self.source}: {where} has no pixel in any frame; left out")
            return
        track: dict[str, Any] = {"id": len(self.tracks) + 1, "video_id": video_id}
        track |= {"category_id": category_id, "iscrowd": int(is_crowd), "bboxes": boxes}
        with_masks = self._has_masks(masks, boxes, where)
        if with_masks:
            areas = [None if mask is None else rle_area(mask) for mask in masks]
            track |= {"segmentations": masks, "areas": areas}
        self.tracks.append(track)

    def _has_masks(self, masks: Sequence[Any], boxes: Sequence[Any], where: str) -> bool:
        with_masks = any(masks)
        mixed = any(box and not mask for mask, box in zip(masks, boxes, strict=True))
        other_kind = bool(self.tracks) and ("segmentations" in self.tracks[0]) != with_masks
        if other_kind or (with_masks and mixed):
            raise InputError(
                self.source,
                where,
                "",
                "boxes and masks are mixed, and a data set has masks for all objects or for none",
                "Outline every object, or let boxes count as masks (--boxes-as-masks)",
            )
        return with_masks

    def note_without_area(self, counts: Mapping[str, int], what: str) -> None:
        """Remark how many shapes of which kinds were left out, since they have no area.

        Args:
            counts: Number by kind; no remark if empty.
            what: What was counted, such as ``tracks``.
        """
        if counts:
            kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
            self.notes.append(f"{self.source}: {what} without an area are left out: {kinds}")

    def content(self) -> dict[str, Any]:
        """Return the annotation file."""
        used = sorted(self.categories.items())
        return {
            "info": {"description": f"converted from {Path(self.source).name}"},
            "videos": self.videos,
            "categories": [{"id": number, "name": name} for number, name in used],
            "annotations": self.tracks,
        }


def box_mask(box: Box, height: int, width: int) -> RLE:
    """Return a box filled as a mask; pixels whose centre is inside belong to it."""
    x, y, w, h = box
    rows = (np.arange(height) + 0.5 > y) & (np.arange(height) + 0.5 < y + h)
    columns = (np.arange(width) + 0.5 > x) & (np.arange(width) + 0.5 < x + w)
    return encode(rows[:, None] & columns)


def ellipse_mask(
    centre: tuple[float, float],
    radii: tuple[float, float],
    angle: float,
    height: int,
    width: int,
) -> RLE:
    """Return an ellipse filled as a mask; pixels whose centre is inside belong to it.

    Args:
        centre: ``(x, y)`` in pixels.
        radii: Half axes in pixels, along x and y before the ellipse is turned.
        angle: Degrees by which it is turned, from x towards y: clockwise on the screen.
        height: Height of the frame.
        width: Width of the frame.
    """
    x, y = np.arange(width) + 0.5 - centre[0], np.arange(height)[:, None] + 0.5 - centre[1]
    cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    along, across = (x * cosine + y * sine) / radii[0], (y * cosine - x * sine) / radii[1]
    return encode(along**2 + across**2 <= 1)


def encode(mask: Any) -> RLE:
    """Return one ``(H, W)`` mask as compressed RLE."""
    return encode_masks(np.asarray(mask)[None])[0]


def union(first: RLE, second: RLE) -> RLE:
    """Return what is in either of two masks of one size."""
    merged = mask_utils.merge([dict(first), dict(second)])
    return RLE(size=first["size"], counts=merged["counts"].decode("ascii"))


def as_rle(mask: Any, height: int, width: int) -> RLE:
    """Return a mask of an annotation file as compressed RLE.

    Args:
        mask: RLE, compressed or not, or a list of polygons ``[x1, y1, x2, y2, ...]`` in pixels.
        height: Height of the frame.
        width: Width of the frame.

    Raises:
        ValueError: If it is damaged or of another size; the message says what is wrong.
    """
    size = [height, width]
    try:
        if isinstance(mask, list):
            return RLE(size=size, counts=rasterize_polygons(mask, height, width))
        if not isinstance(mask, Mapping) or mask.get("size") != size:
            stated = mask.get("size") if isinstance(mask, Mapping) else mask
            raise ValueError(f"the mask has the size {stated!r:.40}, the frame {size}")
        counts = mask.get("counts")
        if isinstance(counts, list):
            counts = compress_runs(counts, height, width)
        if not isinstance(counts, str):
            raise ValueError(f"'counts' is {type(counts).__name__}, neither string nor list")
        measure([counts], np.array([height * width]))
    except MaskError as error:
        raise ValueError(error.problem) from None
    return RLE(size=size, counts=counts)


def write_annotation_file(
    content: Mapping[str, Any],
    path: str | Path,
    images: str | Path | None = None,
    progress: Progress = silent,
) -> None:
    """Write an annotation file if the data set checker finds no defect in it.

    Args:
        content: What to write.
        path: The file; it appears under its name only when it is sound.
        images: Folder that the file names are relative to; frames are not looked at if None.
        progress: Wraps a list of records to show progress; gets the list and a title.

    Raises:
        ValueError: If there are defects; the first are in the message, and the file is left as
            ``.NAME.partial`` for tools/check_dataset.py.
        OSError: If it cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_path(path)
    partial.write_bytes(orjson.dumps(content))
    defects = check_dataset(partial, images, progress)
    if defects:
        lines = [f"  {where}: field '{name}': {problem}" for where, name, problem in defects]
        more = f"\n  ... ({len(lines)} in all)" if len(lines) > _SHOWN_DEFECTS else ""
        raise ValueError(
            f"{path} is not written, the result has defects:\n"
            + "\n".join(lines[:_SHOWN_DEFECTS])
            + f"{more}\nMend the source; python tools/check_dataset.py {partial} lists them all"
        )
    os.replace(partial, path)
