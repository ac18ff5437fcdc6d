# SPDX-License-Identifier: Apache-2.0
"""YouTube-VIS annotations of scenes, with OVIS's occlusion labels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as mask_api

from .presets import FRAME_HEIGHT, FRAME_WIDTH
from .render import FrameTruth, frame_truth
from .scene import Scene
from .shapes import CATEGORIES

OCCLUSION_LABELS = ("no_occlusion", "slight_occlusion", "severe_occlusion")


def occlusion_label(visible: int, amodal: int) -> str:
    """Return OVIS's word for how much of an object is hidden by others in a frame.

    The hidden share is ``1 - visible / amodal``, both inside the frame: what the frame's border
    cuts off does not count. Below 5 % it is ``no_occlusion``, from 50 % on
    ``severe_occlusion``, else ``slight_occlusion``.

    Args:
        visible: Pixels of the modal mask.
        amodal: Pixels of the amodal mask inside the frame, positive.
    """
    hidden = amodal - visible
    # Whole numbers, so that no rounding decides at a limit.
    if 20 * hidden < amodal:
        return OCCLUSION_LABELS[0]
    return OCCLUSION_LABELS[1 if 2 * hidden < amodal else 2]


def _box(mask: NDArray[np.bool_]) -> list[float]:
    """Return the tight box of a mask that is not empty, [x, y, w, h]."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    x, y = int(columns[0]), int(rows[0])
    return [float(v) for v in (x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y)]


def _encode(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Return a mask as compressed RLE with text counts."""
    rle = mask_api.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": [int(v) for v in rle["size"]], "counts": rle["counts"].decode("ascii")}


def _empty_annotation(category: int) -> dict[str, Any]:
    return {
        "category_id": category + 1,
        "iscrowd": 0,
        "width": FRAME_WIDTH,
        "height": FRAME_HEIGHT,
        "segmentations": [],
        "bboxes": [],
        "areas": [],
        "occlusion": [],
    }


def _append(annotation: dict[str, Any], truth: FrameTruth, index: int) -> None:
    """Append one object's entries of one frame; four nulls when it is absent."""
    if not truth.present[index]:
        for field in ("segmentations", "bboxes", "areas", "occlusion"):
            annotation[field].append(None)
        return
    mask = truth.mask(index)
    visible, amodal = int(truth.visible[index]), int(truth.amodal[index])
    annotation["segmentations"].append(_encode(mask))
    annotation["bboxes"].append(_box(mask))
    annotation["areas"].append(visible)
    annotation["occlusion"].append(occlusion_label(visible, amodal))


def track_annotations(scene: Scene, truths: Iterable[FrameTruth]) -> list[dict[str, Any]]:
    """Return one annotation per object of a scene, without ``id`` and ``video_id``.

    Args:
        scene: The video.
        truths: Its frames, in order.
    """
    annotations = [_empty_annotation(spec.category) for spec in scene.objects]
    for truth in truths:
        for index, annotation in enumerate(annotations):
            _append(annotation, truth, index)
    return annotations


def frame_names(scene: Scene) -> list[str]:
    """Return the file names of a scene's frames, relative to the split's image folder."""
    return [f"{scene.name}/{index:05d}.png" for index in range(scene.length)]


def video_record(scene: Scene) -> dict[str, Any]:
    """Return the entry of ``videos`` of a scene, without ``id``."""
    return {
        "width": FRAME_WIDTH,
        "height": FRAME_HEIGHT,
        "length": scene.length,
        "file_names": frame_names(scene),
    }


def scene_annotations(scene: Scene) -> list[dict[str, Any]]:
    """Return the annotations of a scene without drawing its images."""
    return track_annotations(scene, (frame_truth(scene, i) for i in range(scene.length)))


def build_dataset(
    parts: Iterable[tuple[Scene, list[dict[str, Any]]]], info: dict[str, Any]
) -> dict[str, Any]:
    """Put scenes and their annotations together into one YouTube-VIS file.

    Args:
        parts: Scenes with what ``track_annotations`` gives for them, in order.
        info: What is stored as ``info``.

    Returns:
        The file; video and annotation ids count from 1.
    """
    videos: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for scene, tracks in parts:
        videos.append({"id": len(videos) + 1, **video_record(scene)})
        for track in tracks:
            ids = {"id": len(annotations) + 1, "video_id": len(videos)}
            annotations.append({**ids, **track, "length": scene.length})
    categories = [
        {"id": number, "name": name, "supercategory": "shape"}
        for number, name in enumerate(CATEGORIES, start=1)
    ]
    return {
        "info": info,
        "licenses": [],
        "videos": videos,
        "categories": categories,
        "annotations": annotations,
    }
