# SPDX-License-Identifier: Apache-2.0
"""Reads annotation files: YouTube-VIS layout, OVIS, and MMDetection's converted form."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import orjson


def read_json(path: str | Path) -> Any:
    """Return the content of a JSON file, ``NaN`` literals included.

    Args:
        path: The file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not JSON; the message names file and position.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no annotation file {path}; correct 'ann_file' or 'data_root'")
    content = path.read_bytes()
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        pass
    try:
        # Only the standard parser takes the NaN that Python's own writer leaves in files.
        return json.loads(content)
    except ValueError as error:
        raise ValueError(
            f"{path} is not a JSON file ({error}); it may be truncated: fetch or make it again"
        ) from error


def read_annotations(path: str | Path) -> dict[str, Any]:
    """Return annotations in YouTube-VIS layout, whatever form the file has.

    Args:
        path: A file in YouTube-VIS or OVIS layout (``annotations`` may be missing or null), or the
            per-frame form that MMDetection's ``youtubevis2coco.py`` writes.

    Returns:
        Dictionary with ``videos``, ``categories`` and ``annotations``; the last is None when the
        file has none.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not JSON or a top-level list is missing.
    """
    data = read_json(path)
    if not isinstance(data, dict):
        raise ValueError(f"{path}: the top level must be an object, got {type(data).__name__}")
    for key in ("videos", "categories"):
        if not isinstance(data.get(key), list):
            raise ValueError(
                f"{path}: field '{key}' must be a list, got {type(data.get(key)).__name__}; "
                "is this a file in YouTube-VIS layout?"
            )
    if not data["videos"]:
        raise ValueError(f"{path}: field 'videos' is empty; there is nothing to read")
    if is_converted(data):
        return from_converted(data)
    return {**data, "annotations": data.get("annotations")}


def is_converted(data: dict[str, Any]) -> bool:
    """Return whether annotations are per frame, as MMDetection's converter writes them."""
    return isinstance(data.get("images"), list) and "file_names" not in data["videos"][0]


def from_converted(data: dict[str, Any]) -> dict[str, Any]:
    """Turn MMDetection's per-frame form back into tracks.

    Args:
        data: Object with ``videos``, ``images`` (``video_id``, ``frame_id``, ``file_name``),
            ``categories`` and, except for test splits, ``annotations`` (``image_id``,
            ``instance_id``, ``bbox``, ``segmentation``, ``area``).

    Returns:
        The same in YouTube-VIS layout; a track's id is its ``instance_id``.
    """
    images = defaultdict(list)
    for image in data["images"]:
        images[image["video_id"]].append(image)
    videos, position = [], {}
    for video in data["videos"]:
        frames = sorted(images[video["id"]], key=lambda image: image["frame_id"])
        position.update({image["id"]: index for index, image in enumerate(frames)})
        videos.append(
            {
                **video,
                "length": len(frames),
                "file_names": [image["file_name"] for image in frames],
                "frame_ids": [image["frame_id"] for image in frames],
            }
        )
    annotations = data.get("annotations")
    if annotations is not None:
        lengths = {video["id"]: video["length"] for video in videos}
        annotations = _join_tracks(annotations, position, lengths)
    return {"videos": videos, "categories": data["categories"], "annotations": annotations}


def _join_tracks(
    annotations: list[dict[str, Any]], position: dict[int, int], lengths: dict[int, int]
) -> list[dict[str, Any]]:
    tracks: dict[tuple[int, int], dict[str, Any]] = {}
    for annotation in annotations:
        video_id, track_id = annotation["video_id"], annotation["instance_id"]
        length = lengths[video_id]
        track = tracks.setdefault(
            (video_id, track_id),
            {
                "id": track_id,
                "video_id": video_id,
                "category_id": annotation["category_id"],
                "iscrowd": annotation.get("iscrowd", 0),
                "bboxes": [None] * length,
                "segmentations": [None] * length,
                "areas": [None] * length,
            },
        )
        index = position[annotation["image_id"]]
        track["bboxes"][index] = annotation["bbox"]
        track["segmentations"][index] = annotation.get("segmentation")
        track["areas"][index] = annotation.get("area")
    return list(tracks.values())


def video_name(video: dict[str, Any]) -> str:
    """Return a video's name: the folder of its frames, else its ``name`` or id.

    Args:
        video: A record of ``videos``.
    """
    file_names = video.get("file_names") or [""]
    folder = str(Path(str(file_names[0])).parent)
    return folder if folder not in ("", ".") else str(video.get("name", f"video {video['id']}"))
