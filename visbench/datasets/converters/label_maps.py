# SPDX-License-Identifier: Apache-2.0
"""Folders of label maps, one PNG a frame: DAVIS and MOTS, read and written.

==========  ========================================================================================
DAVIS       8 bits with a palette; 0 is background, 255 void, others are objects without a class
MOTS        16 bits; 0 is background, 10000 a region to ignore, others ``1000 * class + object``
==========  ========================================================================================

Void and regions to ignore are pixels where nothing counts, whatever its class. The layout of
YouTube-VIS says that by a crowd (``iscrowd: 1``), which has a category: there is one of each.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from visbench.datasets.annotations import video_name
from visbench.datasets.converters.annotation_file import (
    AnnotationFile,
    Progress,
    as_rle,
    encode,
    silent,
)
from visbench.datasets.converters.frames import match_frames, sub_folders
from visbench.evaluation.davis_files import read_label_map
from visbench.evaluation.errors import InputError
from visbench.structures import RLE, decode_mask
from visbench.structures.file_names import natural_key
from visbench.structures.label_maps import begin_label_maps, voc_palette

LabelMap = npt.NDArray[np.integer[Any]]
MOTS_CLASSES = ("car", "pedestrian")


class LabelFormat(ABC):
    """What the pixels of a kind of PNG mean.

    Args:
        classes: Names of the classes, the first has the id 1.
    """

    void: int
    """Label of pixels where nothing counts."""

    dtype: type[np.integer[Any]]
    """Type of the labels."""

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = tuple(classes)

    @abstractmethod
    def read(self, path: Path) -> LabelMap:
        """Return the ``(H, W)`` labels of a file; InputError for one that is no label map."""

    @abstractmethod
    def image(self, labels: LabelMap) -> Image.Image:
        """Return labels as an image to save."""

    @abstractmethod
    def category_id(self, label: int, path: Path) -> int:
        """Return the category of a label; InputError if there is none."""

    @abstractmethod
    def labels(self, category_ids: Sequence[int]) -> list[int]:
        """Return a label for each object of a video; ValueError if there are too many."""


class DavisFormat(LabelFormat):
    """DAVIS: 8 bits with a palette, and no classes."""

    void = 255
    dtype = np.uint8

    def __init__(self, classes: Sequence[str] = ("object",)) -> None:
        super().__init__(classes)
        if len(self.classes) != 1:
            raise ValueError(f"label maps of DAVIS have one class, not {len(self.classes)}")

    def read(self, path: Path) -> LabelMap:
        """Return the ``(H, W)`` labels of a file."""
        return read_label_map(path)

    def image(self, labels: LabelMap) -> Image.Image:
        """Return labels as an image with the palette of DAVIS."""
        image = Image.fromarray(labels.astype(np.uint8))
        image.putpalette(voc_palette().tobytes())
        return image

    def category_id(self, label: int, path: Path) -> int:
        """Return 1: there is one class."""
        return 1

    def labels(self, category_ids: Sequence[int]) -> list[int]:
        """Return 1, 2, ..."""
        if len(category_ids) >= self.void:
            raise ValueError(f"{len(category_ids)} objects do not fit into labels of 8 bits")
        return list(range(1, len(category_ids) + 1))


class MotsFormat(LabelFormat):
    """MOTS: 16 bits, ``1000 * class + object``."""

    void = 10_000
    dtype = np.uint16

    def __init__(self, classes: Sequence[str] = MOTS_CLASSES) -> None:
        super().__init__(classes)

    def read(self, path: Path) -> LabelMap:
        """Return the ``(H, W)`` labels of a file."""
        try:
            with Image.open(path) as image:
                if not image.mode.startswith("I"):
                    raise InputError(
                        str(path), "", "", f"is a {image.mode} image of 8 bits, not of 16",
                        "MOTS stores 1000 * class + object; for DAVIS convert from davis",
                    )  # fmt: skip
                return np.asarray(image).astype(np.int64)
        except InputError:
            raise
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise InputError(
                str(path), "", "", f"cannot be read ({error})", "The image is damaged"
            ) from error

    def image(self, labels: LabelMap) -> Image.Image:
        """Return labels as an image of 16 bits."""
        return Image.fromarray(labels.astype(np.uint16))

    def category_id(self, label: int, path: Path) -> int:
        """Return the thousands of a label."""
        category = label // 1000
        if not 1 <= category <= len(self.classes):
            known = ", ".join(f"{i} {name}" for i, name in enumerate(self.classes, 1))
            raise InputError(
                str(path), f"label {label}", "", f"class {category} is none of {known}",
                "Name all classes in the order of their numbers (--classes)",
            )  # fmt: skip
        return category

    def labels(self, category_ids: Sequence[int]) -> list[int]:
        """Return ``1000 * class + 0, 1, ...``, counted over all classes."""
        found = [1000 * category + number for number, category in enumerate(category_ids)]
        largest = max(found, default=0)
        # 10000 and above is the region to ignore, and what no reader of MOTS understands.
        if len(category_ids) > 1000 or largest >= self.void:
            raise ValueError(
                f"{len(category_ids)} objects of category {max(category_ids)} do not fit: MOTS has "
                "1000 objects of 9 classes"
            )
        return found


LABEL_FORMATS: dict[str, type[LabelFormat]] = {"davis": DavisFormat, "mots": MotsFormat}
"""Formats by name."""


def read_label_maps(
    source: str | Path,
    label_format: LabelFormat,
    images: str | Path | None = None,
    suffix: str = ".jpg",
    progress: Progress = silent,
) -> AnnotationFile:
    """Read a folder with one folder of PNGs per video, or the PNGs of one video.

    Void, or the region to ignore, becomes a crowd of every category; a note says how much there is.

    Args:
        source: The folder, such as ``DAVIS/Annotations_unsupervised/480p`` or ``instances``.
        label_format: What the pixels mean.
        images: Folder with a folder of frames per video; frames without PNG have no objects. By
            default the PNGs say which frames there are.
        suffix: Ending of the frames' names where ``images`` is not given.
        progress: Wraps the list of videos to show progress; gets the list and a title.

    Raises:
        InputError: A file is damaged, of another size than the others, or has no image.
    """
    categories = dict(enumerate(label_format.classes, start=1))
    file = AnnotationFile(str(source), categories)
    ignored: list[int] = []
    for video in progress(sub_folders(Path(source), "*.png"), "videos"):
        paths = sorted(video.glob("*.png"), key=lambda path: natural_key(path.name))
        stems = [path.stem for path in paths]
        names = match_frames(video, stems, None if images is None else Path(images), suffix)
        ignored.append(_read_video(file, label_format, paths, names))
    if any(ignored):
        file.notes.append(
            f"{source}: regions to ignore (label {label_format.void}) in {sum(ignored)} frames of "
            f"{sum(map(bool, ignored))} videos; a crowd (iscrowd: 1) of every category stands there"
        )
    return file


def _read_video(
    file: AnnotationFile, label_format: LabelFormat, paths: Sequence[Path], names: Sequence[str]
) -> int:
    """Add a video; return the number of its frames with a region to ignore."""
    frames = {Path(name).stem: frame for frame, name in enumerate(names)}
    shapes: dict[int, dict[int, RLE]] = defaultdict(dict)
    categories: dict[int, int] = {}
    size: tuple[int, ...] | None = None
    for path in paths:
        labels = label_format.read(path)
        size = size or labels.shape
        if labels.shape != size:
            raise InputError(
                str(path), "", "", f"has the size {labels.shape}, {paths[0].name} has {size}",
                "All frames of a video must have one size",
            )  # fmt: skip
        for label in np.setdiff1d(labels, (0,)).tolist():
            if label != label_format.void:
                categories.setdefault(label, label_format.category_id(label, path))
            shapes[label][frames[path.stem]] = encode(labels == label)
    assert size is not None
    video_id = file.add_video(names, *size)
    for label, category in sorted(categories.items()):
        file.add_track(video_id, category, shapes[label], f"{names[0]}, label {label}")
    ignored = shapes.get(label_format.void, {})
    for category in file.categories if ignored else ():
        file.add_track(video_id, category, ignored, f"{names[0]}, region to ignore", is_crowd=True)
    return len(ignored)


def write_label_maps(
    content: Mapping[str, Any],
    folder: str | Path,
    label_format: LabelFormat,
    progress: Progress = silent,
    source: str = "annotations",
) -> list[str]:
    """Write one folder of PNGs per video.

    Crowds become void, or the region to ignore, where there is no object. ``labels.json`` beside
    the folders names annotation and category of every label, by video.

    Args:
        content: Annotations in YouTube-VIS layout with masks in RLE.
        folder: Gets a folder per video, named like that of its frames. PNGs of an earlier call are
            removed; other PNGs are an error.
        label_format: What the pixels shall mean.
        progress: Wraps the list of videos to show progress; gets the list and a title.
        source: The file, for messages.

    Returns:
        Remarks: where masks overlap, the object that comes first in the file has the pixels; a
        crowd of some of the categories stands for all of them in the PNGs.

    Raises:
        InputError: There are no masks, or objects that do not fit into the format.
        ValueError: If the folder holds PNGs that are not of an earlier call.
        OSError: If a file cannot be written.
    """
    tracks = _tracks_with_masks(content, source)
    targets = _targets(content["videos"], Path(folder), source)
    for video_id, found in tracks.items():
        try:
            _give_labels(found, label_format)
        except ValueError as error:
            raise InputError(source, f"video {video_id}", "", str(error)) from error
    names = {video["id"]: video_name(video) for video in content["videos"]}
    begin_label_maps(Path(folder), {name: _legend(tracks[i]) for i, name in names.items()})
    notes = []
    for video in progress(content["videos"], "videos"):
        name, found = names[video["id"]], tracks[video["id"]]
        hidden = _write_video(video, found, targets[name], label_format)
        if hidden:
            notes.append(
                f"video {name}: {hidden} pixels of several masks; the first object has them"
            )
        notes += _crowd_notes(name, found, len(content["categories"]), label_format)
    return notes


def _give_labels(tracks: list[dict[str, Any]], label_format: LabelFormat) -> None:
    """Set ``label`` in the tracks of a video and move the crowds to the end."""
    tracks.sort(key=lambda track: bool(track["is_crowd"]))
    objects = [track["category_id"] for track in tracks if not track["is_crowd"]]
    voids = [label_format.void] * (len(tracks) - len(objects))
    for track, label in zip(tracks, [*label_format.labels(objects), *voids], strict=True):
        track["label"] = label


def _legend(tracks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        str(track["label"]): {"annotation_id": track["id"], "category_id": track["category_id"]}
        for track in tracks
        if not track["is_crowd"]
    }


def _crowd_notes(
    name: str, tracks: Sequence[Mapping[str, Any]], categories: int, label_format: LabelFormat
) -> Iterator[str]:
    found = len({track["category_id"] for track in tracks if track["is_crowd"]})
    if 0 < found < categories:
        yield (
            f"video {name}: crowds of {found} of {categories} categories became regions to ignore "
            f"for all of them (label {label_format.void})"
        )


def _tracks_with_masks(content: Mapping[str, Any], source: str) -> dict[Any, list[dict[str, Any]]]:
    """Return category and masks of all objects by video."""
    sizes = {video["id"]: (video["height"], video["width"]) for video in content["videos"]}
    tracks = defaultdict(list)
    for annotation in content.get("annotations") or []:
        where = f"annotation {annotation.get('id')}"
        if annotation.get("segmentations") is None:
            raise InputError(source, where, "segmentations", "is missing", "PNGs hold masks")
        try:
            size = sizes[annotation["video_id"]]
            masks = [as_rle(mask, *size) if mask else None for mask in annotation["segmentations"]]
        except ValueError as error:
            raise InputError(source, where, "segmentations", str(error)) from error
        track = {"is_crowd": bool(annotation.get("iscrowd")), "masks": masks}
        track |= {"id": annotation.get("id"), "category_id": annotation["category_id"]}
        tracks[annotation["video_id"]].append(track)
    return tracks


def _targets(videos: Iterable[Mapping[str, Any]], folder: Path, source: str) -> dict[str, Path]:
    targets = {}
    for video in videos:
        name = video_name(dict(video))
        if name in targets or Path(name).is_absolute() or ".." in Path(name).parts:
            raise InputError(
                source, f"video {video['id']}", "file_names", f"the folder {name!r} cannot be used",
                "Every video needs a folder of its own, relative and without '..'",
            )  # fmt: skip
        targets[name] = folder / name
    return targets


def _write_video(
    video: Mapping[str, Any],
    tracks: Sequence[Mapping[str, Any]],
    folder: Path,
    label_format: LabelFormat,
) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    hidden = 0
    for frame, file_name in enumerate(video["file_names"]):
        labels = np.zeros((video["height"], video["width"]), dtype=label_format.dtype)
        for track in tracks:
            mask = track["masks"][frame]
            if mask is not None:
                inside = decode_mask(mask)
                hidden += 0 if track["is_crowd"] else int((labels[inside] != 0).sum())
                labels[inside & (labels == 0)] = track["label"]
        target = folder / f"{Path(file_name).stem}.png"
        partial = target.with_name(f".{target.name}.partial")
        label_format.image(labels).save(partial, format="PNG")
        os.replace(partial, target)
    return hidden
