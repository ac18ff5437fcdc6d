# SPDX-License-Identifier: Apache-2.0
"""Deterministic hold-out splits, and the check that two data sets share no video."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from visbench.datasets.annotations import read_annotations, read_json, video_name
from visbench.evaluation.per_frame import is_per_frame
from visbench.files import write_json

HOLDOUT_VERSION = "v1"
"""Version of the rule; another rule gets another version and another list."""

_PARTS = ("train", "val")


@dataclass(frozen=True)
class HoldoutFiles:
    """What :func:`write_holdout` has written.

    Args:
        train: Annotations of the training part.
        val: Annotations of the held-out part.
        names: The list of video names of both parts, with version and fraction.
    """

    train: Path
    val: Path
    names: Path


def holdout_names(annotations: Mapping[str, Any], fraction: float = 0.15) -> tuple[list[str], ...]:
    """Split videos by the hash of their folder name.

    A video's side depends on its name alone, not on order or ids. Then every category with at
    least two videos is brought to both sides where possible: categories in alphabetical order
    take the video with the smallest (for validation) or largest hash from the other side, if no
    category loses its last video there.

    Args:
        annotations: Annotations in YouTube-VIS layout.
        fraction: Expected share of held-out videos, above 0 and below 1.

    Returns:
        Sorted names of the training part and of the held-out part.

    Raises:
        ValueError: If the fraction is out of range or a side stays empty.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"fraction must be above 0 and below 1, got {fraction}")
    categories = _categories_of_videos(annotations)
    ranks = {name: _rank(name) for name in categories}
    held_out = {name for name, rank in ranks.items() if rank < fraction}
    videos_of = defaultdict(set)
    for name, members in categories.items():
        for category in members:
            videos_of[category].add(name)
    for category in sorted(videos_of):
        _balance(category, held_out, videos_of, ranks)
    train, val = sorted(set(categories) - held_out), sorted(held_out)
    if not train or not val:
        raise ValueError(
            f"{len(categories)} videos are too few to hold out a fraction of {fraction}; choose "
            "another fraction"
        )
    return train, val


def _categories_of_videos(annotations: Mapping[str, Any]) -> dict[str, set[str]]:
    names = {video["id"]: video_name(video) for video in annotations["videos"]}
    classes = {category["id"]: str(category["name"]) for category in annotations["categories"]}
    members: dict[str, set[str]] = {name: set() for name in names.values()}
    for annotation in annotations.get("annotations") or []:
        members[names[annotation["video_id"]]].add(classes[annotation["category_id"]])
    return members


def _rank(name: str) -> float:
    digest = hashlib.sha256(f"visbench holdout {HOLDOUT_VERSION}/{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _balance(
    category: str,
    held_out: set[str],
    videos_of: Mapping[str, set[str]],
    ranks: Mapping[str, float],
) -> None:
    """Move one video if a category with two videos or more is missing on one side."""
    videos = videos_of[category]
    inside = videos & held_out
    if len(videos) < 2 or (inside and inside != videos):
        return
    source = held_out if inside else set(ranks) - held_out
    sign = -1 if inside else 1
    choices = []
    for name in videos:
        sizes = [
            (len(members), len(members & source))
            for members in videos_of.values()
            if name in members
        ]
        if all(left >= 2 or total == 1 for total, left in sizes):
            # A video that is the only one of another category moves only if no other can.
            choices.append((any(total == 1 for total, _ in sizes), sign * ranks[name], name))
    if choices:
        held_out.symmetric_difference_update({min(choices)[2]})


def write_holdout(
    path: str | Path, fraction: float = 0.15, folder: str | Path | None = None
) -> HoldoutFiles:
    """Write the two parts of a training file and the list of names.

    Args:
        path: Annotation file, in YouTube-VIS layout or MMDetection's converted form; the parts
            have the same form.
        fraction: Expected share of held-out videos.
        folder: Where to write; beside the file by default, where the layouts find the parts.

    Returns:
        Paths of ``<name>_holdout-train.json``, ``<name>_holdout-val.json`` and
        ``<name>_holdout-v1.json``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it has no annotations or cannot be split.
    """
    path = Path(path)
    annotations = read_annotations(path)
    if not annotations["annotations"]:
        raise ValueError(f"{path}: field 'annotations' is empty; hold out from a training file")
    names = holdout_names(annotations, fraction)
    folder = Path(folder) if folder is not None else path.parent
    files = [folder / f"{path.stem}_holdout-{part}.json" for part in (*_PARTS, HOLDOUT_VERSION)]
    raw = read_json(path)
    for part, file, chosen in zip(_PARTS, files, names, strict=False):
        write_json(file, _select(raw, annotations, set(chosen), part))
    listing = {"version": HOLDOUT_VERSION, "source": path.name, "fraction": fraction}
    write_json(files[2], {**listing, **dict(zip(_PARTS, names, strict=True))}, indent=True)
    return HoldoutFiles(*files)


def _select(
    raw: dict[str, Any], annotations: Mapping[str, Any], names: set[str], part: str
) -> dict[str, Any]:
    ids = {video["id"] for video in annotations["videos"] if video_name(video) in names}
    selected = {
        **raw,
        "info": {**(raw.get("info") or {}), "holdout": f"{HOLDOUT_VERSION} {part}"},
        "videos": [video for video in raw["videos"] if video["id"] in ids],
        "annotations": [entry for entry in raw["annotations"] if entry["video_id"] in ids],
    }
    if is_per_frame(raw):
        selected["images"] = [image for image in raw["images"] if image["video_id"] in ids]
    return selected


def shared_videos(train: Any, val: Any) -> list[str]:
    """Return the names of the videos that two data sets have in common.

    Ids say nothing here: both files may count from 1. Videos are the same if a frame is the same
    file on disk, or if folder name and frame names agree and the first frames have the same
    bytes. Where a frame cannot be compared, equal names count as the same video.

    Args:
        train: A built data set (wrappers like ``ConcatDataset`` are unwrapped; data sets of
            images are skipped) or the path of an annotation file.
        val: The same.

    Returns:
        Sorted names; empty if nothing is shared.
    """
    seen = defaultdict(list)
    for _, files in _videos(train):
        seen[_key(files)].append(files)
    return sorted(
        {
            name
            for name, files in _videos(val)
            if any(_same_video(files, other) for other in seen.get(_key(files), ()))
        }
    )


def _videos(source: Any) -> Iterator[tuple[str, list[str]]]:
    """Yield name and frame files of every video."""
    if isinstance(source, str | os.PathLike):
        for video in read_annotations(Path(source))["videos"]:
            yield video_name(video), [str(name) for name in video.get("file_names") or []]
    elif hasattr(source, "iter_records"):
        folder = source.data_prefix["img_path"]
        for record in source.iter_records():
            yield record["video_name"], [str(Path(folder, name)) for name in record["file_names"]]
    else:
        parts: Iterable[Any] = getattr(source, "datasets", None) or [
            getattr(source, "dataset", None)
        ]
        for part in parts:
            if part is not None:
                yield from _videos(part)


def _key(files: list[str]) -> tuple[str, ...]:
    """Folder and name of the first frame: the part of a path that copies keep."""
    return Path(files[0]).parts[-2:] if files else ()


def _same_video(first: list[str], second: list[str]) -> bool:
    if not first or not second:
        return False
    one, other = Path(first[0]), Path(second[0])
    if not (one.is_file() and other.is_file()) or os.path.samefile(one, other):
        return True
    return one.stat().st_size == other.stat().st_size and one.read_bytes() == other.read_bytes()
