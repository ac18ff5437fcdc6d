# SPDX-License-Identifier: Apache-2.0
"""Compact records of videos: masks stay compressed until a frame is wanted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pycocotools import mask as mask_utils

from visbench.datasets.annotations import video_name
from visbench.evaluation.mask_measures import measure
from visbench.evaluation.run_lengths import MaskError, compress_runs


def video_records(
    annotations: Mapping[str, Any], labels: Mapping[int, int], where: str
) -> list[dict[str, Any]]:
    """Return one compact record per video.

    Args:
        annotations: Annotations in YouTube-VIS layout.
        labels: 0-based label of each category id; other categories are left out.
        where: Name of the file, for error messages.

    Returns:
        Dictionaries with ``video_id``, ``video_name``, ``height``, ``width``, ``file_names``,
        ``frame_ids`` and ``tracks`` (see :func:`track_record`).

    Raises:
        ValueError: If an annotation names a video or category that does not exist, or its lists
            are not as long as its video.
    """
    videos = {video["id"]: video for video in annotations["videos"]}
    known = {category["id"] for category in annotations["categories"]}
    tracks = defaultdict(list)
    for annotation in annotations.get("annotations") or []:
        name = f"{where}: annotation {annotation.get('id')}"
        if annotation["video_id"] not in videos:
            raise ValueError(f"{name}: field 'video_id' names no video: {annotation['video_id']}")
        if annotation["category_id"] not in known:
            raise ValueError(
                f"{name}: field 'category_id' names no category: {annotation['category_id']}"
            )
        if annotation["category_id"] in labels:
            label = labels[annotation["category_id"]]
            record = track_record(annotation, videos[annotation["video_id"]], label, name)
            tracks[annotation["video_id"]].append(record)
    return [_video_record(video, tracks[video_id], where) for video_id, video in videos.items()]


def _video_record(video: dict[str, Any], tracks: list[Any], where: str) -> dict[str, Any]:
    file_names = list(video.get("file_names") or [])
    if not file_names:
        raise ValueError(
            f"{where}: video {video['id']}: field 'file_names' is empty; remove the video "
            "(tools/check_dataset.py lists every defect)"
        )
    return {
        "video_id": int(video["id"]),
        "video_name": video_name(video),
        "height": int(video["height"]),
        "width": int(video["width"]),
        "file_names": file_names,
        "frame_ids": list(video.get("frame_ids") or range(len(file_names))),
        "tracks": tracks,
    }


def track_record(
    annotation: Mapping[str, Any], video: Mapping[str, Any], label: int, where: str
) -> dict[str, Any]:
    """Return one object's usable frames in compact form.

    A frame is usable if it has a mask with an area above 0 (where the file has masks) and a box of
    at least one pixel in both directions that touches the image, as in MMDetection's
    ``BaseVideoDataset``. A missing box is taken from the mask.

    Args:
        annotation: A record of ``annotations``.
        video: Its video's record.
        label: 0-based label.
        where: Name of file and annotation, for error messages.

    Returns:
        Dictionary with ``id``, ``label``, ``ignore`` (crowd), ``frames`` ``(k,)``, ``boxes``
        ``(k, 4)`` xyxy and ``masks`` (k times RLE strings or polygons; None for boxes only).

    Raises:
        ValueError: If a list is not as long as the video, or a mask is damaged or has another
            size.
    """
    length, size = len(video["file_names"]), (int(video["height"]), int(video["width"]))
    boxes, masks = annotation.get("bboxes"), annotation.get("segmentations")
    for field, values in (("segmentations", masks), ("bboxes", boxes)):
        if values is not None and len(values) != length:
            raise ValueError(
                f"{where}: field '{field}' has {len(values)} entries, its video {length} frames; "
                "run tools/check_dataset.py on the file"
            )
    if masks is not None:
        masks = _compact_masks(masks, size, where)
    kept = []
    for index in range(length):
        mask = None if masks is None else masks[index]
        if masks is None or mask is not None:
            box = _usable_box(None if boxes is None else boxes[index], mask, size)
            kept += [(index, box, mask)] if box is not None else []
    return {
        "id": int(annotation["id"]),
        "label": label,
        "ignore": int(bool(annotation.get("iscrowd", 0) or annotation.get("ignore", 0))),
        "frames": np.array([index for index, _, _ in kept], dtype=np.int32),
        "boxes": np.array([box for _, box, _ in kept], dtype=np.float32).reshape(-1, 4),
        "masks": None if masks is None else [mask for _, _, mask in kept],
    }


def _compact_masks(
    masks: Sequence[Any], size: tuple[int, int], where: str
) -> list[str | list[Any] | None]:
    """Return RLE strings or polygons; None where absent or without any pixel."""
    compact: list[Any] = [mask if isinstance(mask, list) and mask else None for mask in masks]
    frames = [index for index, mask in enumerate(masks) if mask and not isinstance(mask, list)]
    try:
        strings = [_rle_string(masks[index], size) for index in frames]
        areas, strings = measure(strings, np.full(len(strings), size[0] * size[1]))
    except MaskError as error:
        frame = next(index for index in frames if _is_damaged(masks[index], size))
        raise ValueError(
            f"{where}, frame {frame}: field 'segmentations': {error.problem}; run "
            "tools/check_dataset.py on the file"
        ) from error
    for index, area, string in zip(frames, areas.tolist(), strings, strict=True):
        compact[index] = string if area else None
    return compact


def _rle_string(mask: Mapping[str, Any], size: tuple[int, int]) -> str:
    # Text, since MMDetection's loader takes masks with counts of type bytes for invalid ones.
    if tuple(mask["size"]) != size:
        raise MaskError(
            0,
            f"the mask's size {list(mask['size'])} is not the video's {list(size)} (height, "
            "width); masks must have the size of the frames",
        )
    if isinstance(mask["counts"], list):
        return compress_runs(mask["counts"], *size)
    counts = mask["counts"]
    return counts if isinstance(counts, str) else bytes(counts).decode("latin-1")


def _is_damaged(mask: Mapping[str, Any], size: tuple[int, int]) -> bool:
    try:
        measure([_rle_string(mask, size)], np.array([size[0] * size[1]]))
    except MaskError:
        return True
    return False


def _usable_box(
    box: Sequence[float] | None, mask: str | list[Any] | None, size: tuple[int, int]
) -> list[float] | None:
    height, width = size
    if box is None and isinstance(mask, str):
        box = mask_utils.toBbox({"size": list(size), "counts": mask}).tolist()
    if box is None:
        return None
    x, y, w, h = box
    touches = min(x + w, width) > max(x, 0) and min(y + h, height) > max(y, 0)
    return [x, y, x + w, y + h] if touches and w >= 1 and h >= 1 else None


def frame_records(video: Mapping[str, Any], image_folder: str) -> list[dict[str, Any]]:
    """Expand a compact record into MMDetection's per-frame dictionaries.

    Args:
        video: A record of :func:`video_records`.
        image_folder: Folder that the file names are relative to.

    Returns:
        One dictionary per frame with ``img_id``, ``img_path``, ``frame_id``, ``height``,
        ``width``, ``video_id``, ``video_name`` and ``instances``.
    """
    frames = [
        {
            "img_id": video["video_id"] * 100_000 + int(frame_id),
            "img_path": f"{image_folder}/{file_name}" if image_folder else file_name,
            "frame_id": int(frame_id),
            "height": video["height"],
            "width": video["width"],
            "video_id": video["video_id"],
            "video_name": video["video_name"],
            "instances": [],
        }
        for frame_id, file_name in zip(video["frame_ids"], video["file_names"], strict=True)
    ]
    for track in video["tracks"]:
        for row, index in enumerate(track["frames"].tolist()):
            instance = _instance(track, row, [video["height"], video["width"]])
            frames[index]["instances"].append(instance)
    return frames


def _instance(track: Mapping[str, Any], row: int, size: list[int]) -> dict[str, Any]:
    """Return an object in one of its frames as MMDetection's ``instances`` hold it."""
    instance = {
        "bbox": track["boxes"][row].tolist(),
        "bbox_label": track["label"],
        "ignore_flag": track["ignore"],
        "instance_id": track["id"],
    }
    if track["masks"] is not None:
        mask = track["masks"][row]
        instance["mask"] = {"size": size, "counts": mask} if isinstance(mask, str) else mask
    return instance
