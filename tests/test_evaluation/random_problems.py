# SPDX-License-Identifier: Apache-2.0
"""Small random problems in YouTube-VIS layout: ties, crowds, nulls, late starts, odd ids."""

from __future__ import annotations

from typing import Any

import numpy as np
from pycocotools import mask as mask_utils

LABELS = [None, "no_occlusion", "slight_occlusion", "severe_occlusion"]
AREAS = [0, 40, 128**2, 20000, 256**2, 70000]


def encode(mask: np.ndarray, kind: str = "compressed") -> dict[str, Any]:
    """Return a mask as RLE: compressed, or a list of runs."""
    if kind == "compressed":
        rle = mask_utils.encode(np.asfortranarray(mask.astype(np.uint8)))
        return {"size": list(mask.shape), "counts": rle["counts"].decode()}
    flat = mask.reshape(-1, order="F").astype(int)
    changes = np.flatnonzero(np.diff(np.concatenate(([0], flat))))
    counts = np.diff(np.concatenate(([0], changes, [flat.size]))).tolist()
    return {"size": list(mask.shape), "counts": counts}


def rectangle(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Return a random rectangle, now and then an empty or a full mask."""
    mask = np.zeros((height, width), bool)
    if rng.random() < 0.05:
        return mask
    if rng.random() < 0.05:
        return ~mask
    top, left = rng.integers(height), rng.integers(width)
    mask[top : top + rng.integers(1, height + 1), left : left + rng.integers(1, width + 1)] = True
    return mask


def masks_of(rng: np.random.Generator, video: dict[str, Any]) -> list[np.ndarray | None]:
    size = video["height"], video["width"]
    return [rectangle(rng, *size) if rng.random() > 0.2 else None for _ in video["file_names"]]


def vary(rng: np.random.Generator, masks: list[np.ndarray | None]) -> list[np.ndarray | None]:
    """Return a noisy copy: a few pixels flipped, frames dropped."""
    copies: list[np.ndarray | None] = []
    for mask in masks:
        if mask is None or rng.random() < 0.1:
            copies.append(None)
        else:
            copies.append(mask ^ (rng.random(mask.shape) < rng.choice([0.0, 0.05])))
    return copies


def make_problem(seed: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return annotations and results."""
    rng = np.random.default_rng(seed)
    video_ids = rng.permutation([2, 5, 9])[: rng.integers(1, 4)].tolist()
    videos = [_video(rng, video_id) for video_id in video_ids]
    categories = [4, 1][: rng.integers(1, 3)]
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for video in videos:
        for _ in range(rng.integers(0, 4)):
            masks = masks_of(rng, video)
            category = int(rng.choice(categories))
            annotations.append(_annotation(rng, len(annotations) + 1, video, category, masks))
            for _ in range(rng.integers(0, 3)):
                results.append(_result(rng, video, category, vary(rng, masks)))
        if rng.random() < 0.5:
            category = int(rng.choice([*categories, 77]))
            results.append(_result(rng, video, category, masks_of(rng, video)))
    order = rng.permutation(len(results))
    gt = {
        "videos": videos,
        "categories": [{"id": c, "name": f"c{c}"} for c in categories],
        "annotations": annotations,
    }
    return gt, [results[i] for i in order]


def _video(rng: np.random.Generator, video_id: int) -> dict[str, Any]:
    height, width, length = (int(v) for v in rng.integers([3, 4, 1], [9, 9, 5]))
    names = [f"v{video_id}/{t:05d}.jpg" for t in range(length)]
    return {"id": video_id, "height": height, "width": width, "file_names": names}


def _annotation(
    rng: np.random.Generator,
    track_id: int,
    video: dict[str, Any],
    category: int,
    masks: list[np.ndarray | None],
) -> dict[str, Any]:
    kind = rng.choice(["compressed", "runs"])
    return {
        "id": track_id,
        "video_id": video["id"],
        "category_id": category,
        "iscrowd": int(rng.random() < 0.25),
        "segmentations": [None if mask is None else encode(mask, kind) for mask in masks],
        "areas": [None if mask is None else int(rng.choice(AREAS)) for mask in masks],
        "occlusion": [None if mask is None else LABELS[rng.integers(4)] for mask in masks],
    }


def _result(
    rng: np.random.Generator,
    video: dict[str, Any],
    category: int,
    masks: list[np.ndarray | None],
) -> dict[str, Any]:
    kind = rng.choice(["compressed", "runs"])
    return {
        "video_id": video["id"],
        "category_id": category,
        "score": float(rng.choice([0.2, 0.5, 0.5, 0.9, -1.0])),
        "segmentations": [None if mask is None else encode(mask, kind) for mask in masks],
    }
