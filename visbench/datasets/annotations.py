# SPDX-License-Identifier: Apache-2.0
"""Reads annotation files: YouTube-VIS layout, OVIS, and MMDetection's converted form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson

from visbench.evaluation.per_frame import is_per_frame, join_frames


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
            per-frame form that converters of OpenMMLab write (``youtubevis2coco.py``, COCO-VID).

    Returns:
        Dictionary with ``videos``, ``categories`` and ``annotations``; the last is None when the
        file has none.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not JSON, a top-level list is missing or the per-frame form has a
            defect.
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
    if is_per_frame(data):
        return join_frames(data, source=str(path))
    return {**data, "annotations": data.get("annotations")}


def video_name(video: dict[str, Any]) -> str:
    """Return a video's name: the folder of its frames, else its ``name`` or id.

    Args:
        video: A record of ``videos``.
    """
    file_names = video.get("file_names") or [""]
    folder = str(Path(str(file_names[0])).parent)
    return folder if folder not in ("", ".") else str(video.get("name", f"video {video['id']}"))
