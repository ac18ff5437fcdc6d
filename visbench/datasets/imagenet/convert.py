# SPDX-License-Identifier: Apache-2.0
"""Turns the XML files of ImageNet VID and DET into annotation files of boxes.

A frame has an XML file of its own, and there are more than a million of them; they are read once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from visbench.datasets.imagenet.categories import CATEGORY_IDS, categories
from visbench.datasets.imagenet.xml_files import XMLFrame, XMLObject, read_xml
from visbench.datasets.layout import describe_folder
from visbench.datasets.moving_shapes.locking import file_lock
from visbench.files import write_json

Progress = Callable[[list[Path], str], Iterable[Path]]
Box = tuple[float, float, float, float]


def _silent(items: list[Path], title: str) -> Iterable[Path]:
    return items


def written_path(root: str | Path, kind: str, split: str) -> Path:
    """Return where :func:`write_annotations` puts a split by default.

    Args:
        root: Root folder of the data set.
        kind: ``vid`` or ``det``.
        split: ``train`` or ``val``.
    """
    return Path(root) / "annotations" / f"visbench_imagenet_{kind}_{split}.json"


def write_annotations(
    root: str | Path,
    kind: str,
    split: str,
    path: str | Path | None = None,
    progress: Progress = _silent,
) -> Path:
    """Read all XML files of a split and write one file in YouTube-VIS layout, without masks.

    Safe to call from several processes at once: one writes, the others wait and use its file.
    An existing file is kept; remove it to have it written anew.

    Args:
        root: Root folder with ``Annotations/VID/{split}`` or ``Annotations/DET/{split}``.
        kind: ``vid`` (videos) or ``det`` (still images with at least one object of the 30
            classes, as videos of one frame).
        split: ``train`` or ``val``.
        path: The file to write.
        progress: Wraps the list of folders or files to show progress; gets list and title.

    Returns:
        The path of the file.

    Raises:
        FileNotFoundError: If there are no XML files.
        ValueError: If an XML file has a defect or the frames of a video have a gap.
        OSError: If the file cannot be written.
    """
    read = READERS[kind]
    path = written_path(root, kind, split) if path is None else Path(path)
    if path.is_file():
        return path
    source = Path(root, "Annotations", kind.upper(), split)
    if not source.is_dir():
        raise _no_files(source)
    _require_writable(path)
    with file_lock(path.with_name(f".{path.name}.lock")):
        if not path.is_file():
            write_json(path, read(Path(root), split, progress))
    return path


def _require_writable(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        writable = os.access(path.parent, os.W_OK)
    except OSError:
        writable = False
    if not writable:
        raise PermissionError(
            f"{path} cannot be written; write it elsewhere with tools/convert_imagenet.py --out "
            "and name it in 'ann_file'"
        )


@dataclass
class _Annotations:
    """Grows into the content of an annotation file."""

    videos: list[dict[str, Any]] = field(default_factory=list)
    tracks: list[dict[str, Any]] = field(default_factory=list)
    left_out: int = 0

    def add_video(self, names: list[str], frames: list[XMLFrame]) -> None:
        video_id, first = len(self.videos) + 1, frames[0]
        self.videos.append(
            {
                "id": video_id,
                "height": first.height,
                "width": first.width,
                "length": len(names),
                "file_names": names,
            }
        )
        for (_, wnid), boxes in self._boxes(frames).items():
            self.tracks.append(
                {
                    "id": len(self.tracks) + 1,
                    "video_id": video_id,
                    "category_id": CATEGORY_IDS[wnid],
                    "iscrowd": 0,
                    "bboxes": boxes,
                }
            )

    def _boxes(self, frames: list[XMLFrame]) -> dict[tuple[Any, str], list[Box | None]]:
        """Return the boxes of every frame by track and class."""
        tracks: dict[tuple[Any, str], list[Box | None]] = {}
        for index, frame in enumerate(frames):
            for number, item in enumerate(frame.objects):
                box = _clipped(item, frame)
                self.left_out += box is None
                # Objects of a still image have no track: each is one.
                key = (number if item.track is None else item.track, item.wnid)
                boxes = tracks.setdefault(key, [None] * len(frames)) if box else None
                if boxes is not None and boxes[index] is None:
                    boxes[index] = box
        return tracks

    def content(self, description: str) -> dict[str, Any]:
        info = {"description": description, "boxes_without_a_pixel_left_out": self.left_out}
        return {
            "info": info,
            "videos": self.videos,
            "categories": categories(),
            "annotations": self.tracks,
        }


def _clipped(item: XMLObject, frame: XMLFrame) -> Box | None:
    """Return ``x, y, width, height`` of the part in the frame, None if it is less than a pixel."""
    x1, y1, x2, y2 = item.box
    x1, y1, x2, y2 = max(x1, 0), max(y1, 0), min(x2, frame.width), min(y2, frame.height)
    return (x1, y1, x2 - x1, y2 - y1) if x2 - x1 >= 1 and y2 - y1 >= 1 else None


def read_vid(root: Path, split: str, progress: Progress = _silent) -> dict[str, Any]:
    """Read the videos of ImageNet VID.

    An object is a ``trackid`` of one class; its first box in a frame counts. Boxes are clipped to
    the frame, and those of less than a pixel left out. ``occluded`` and ``generated`` are not
    kept.

    Args:
        root: Root folder; frames are compared with ``Data/VID`` if that exists.
        split: ``train`` or ``val``.
        progress: As in :func:`write_annotations`.

    Returns:
        Content of a file in YouTube-VIS layout without masks. Video ids count the folders in
        alphabetical order, file names are relative to ``Data/VID``.

    Raises:
        FileNotFoundError: If there are no XML files.
        ValueError: If an XML file has a defect or the frames of a video have a gap.
    """
    annotations = _Annotations()
    top = root / "Annotations" / "VID"
    folders = _folders(top / split)
    for folder in progress(folders, f"ImageNet VID {split}"):
        files = sorted(folder.glob("*.xml"))
        name = folder.relative_to(top).as_posix()
        _check_frames(files, root / "Data" / "VID", name)
        frames = [read_xml(file) for file in files]
        for file, frame in zip(files, frames, strict=True):
            _check_vid(file, frame, frames[0])
        annotations.add_video([f"{name}/{file.stem}.JPEG" for file in files], frames)
    return annotations.content(f"ImageNet VID {split}")


def read_det(root: Path, split: str, progress: Progress = _silent) -> dict[str, Any]:
    """Read the images of ImageNet DET with objects of the 30 classes of VID; see :func:`read_vid`.

    Other objects are left out. Every image is a video of one frame.
    """
    annotations = _Annotations()
    top = root / "Annotations" / "DET"
    files = [file for folder in _folders(top / split) for file in sorted(folder.glob("*.xml"))]
    for file in progress(files, f"ImageNet DET {split}"):
        frame = read_xml(file)
        objects = [item._replace(track=None) for item in frame.objects if item.wnid in CATEGORY_IDS]
        if objects:
            name = file.relative_to(top).with_suffix(".JPEG").as_posix()
            annotations.add_video([name], [frame._replace(objects=objects)])
    return annotations.content(f"ImageNet DET {split}, 30 classes of VID")


READERS: dict[str, Callable[[Path, str, Progress], dict[str, Any]]] = {
    "vid": read_vid,
    "det": read_det,
}


def _folders(top: Path) -> list[Path]:
    """Return all folders with XML files."""
    found = [
        Path(folder)
        for folder, _, names in os.walk(top)
        if any(name.endswith(".xml") for name in names)
    ]
    if not found:
        raise _no_files(top)
    return sorted(found)


def _no_files(folder: Path) -> FileNotFoundError:
    return FileNotFoundError(
        f"no XML files in {folder}. There is:\n{describe_folder(folder)}\nCorrect 'data_root' (the "
        "folder with Annotations and Data) or 'split'."
    )


def _check_frames(files: list[Path], images: Path, name: str) -> None:
    """Refuse a video whose frames do not count from 0 or, where images are there, differ."""
    for index, file in enumerate(files):
        if file.stem != f"{index:06d}":
            raise ValueError(
                f"{file.parent}: frame {index:06d}.xml is missing ('{file.name}' comes instead), "
                "so later frames would shift; fetch the file again"
            )
    if not images.is_dir():
        return
    found = {path.stem for path in (images / name).glob("*.JPEG")}
    different = sorted(found.symmetric_difference(file.stem for file in files))
    if different:
        missing = "annotation" if different[0] in found else "image"
        raise ValueError(
            f"{images / name}: frame {different[0]} has no {missing} ({len(different)} frames have "
            f"an image without {files[0].parent}/*.xml or the reverse); fetch the video again"
        )


def _check_vid(file: Path, frame: XMLFrame, first: XMLFrame) -> None:
    if frame[:2] != first[:2]:
        raise ValueError(
            f"{file}: field 'size': {frame.height}x{frame.width}, but the video's first frame has "
            f"{first.height}x{first.width}; fetch the video again"
        )
    for item in frame.objects:
        if item.wnid not in CATEGORY_IDS:
            raise ValueError(
                f"{file}: field 'object/name': '{item.wnid}' is none of the 30 classes of ImageNet "
                "VID (visbench.datasets.imagenet.categories); is this another data set?"
            )
        if item.track is None:
            raise ValueError(
                f"{file}: field 'object/trackid' is missing, so objects cannot be followed; "
                "still images belong into Annotations/DET"
            )
