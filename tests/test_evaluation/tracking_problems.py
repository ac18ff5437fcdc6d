# SPDX-License-Identifier: Apache-2.0
"""Small random problems with the mistakes that trackers make, and dense masks of all tracks."""

from __future__ import annotations

from typing import Any

import numpy as np
from random_problems import encode

Dense = np.ndarray
SIZE = 7, 9
CATEGORIES = [3, 8]
LABELS = ["no_occlusion", "slight_occlusion", "severe_occlusion"]


def make_tracking_problem(
    seed: int, crowds: bool = False, least_videos: int = 1
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return annotations and results; all scores differ."""
    rng = np.random.default_rng(seed)
    videos, annotations, results = [], [], []
    for video_id in rng.permutation([1, 4, 6])[: rng.integers(least_videos, 4)].tolist():
        length = int(rng.integers(1, 6))
        video = {"id": video_id, "height": SIZE[0], "width": SIZE[1]}
        videos.append({**video, "file_names": [f"{video_id}/{t}.jpg" for t in range(length)]})
        objects = [_object(rng, length) for _ in range(rng.integers(0, 4))]
        kinds = [int(rng.choice(CATEGORIES)) for _ in objects]
        for masks, category in zip(objects, kinds, strict=True):
            crowd = crowds and rng.random() < 0.3
            annotations.append(_annotation(rng, len(annotations) + 1, video_id, category, masks))
            annotations[-1]["iscrowd"] = int(crowd)
        for masks, category in _predictions(rng, objects, kinds, length):
            results.append(
                {
                    "video_id": video_id,
                    "category_id": category,
                    "score": float(rng.random()),
                    "segmentations": [encode(m) if m.any() else None for m in masks],
                }
            )
    content = {
        "videos": videos,
        "categories": [{"id": k, "name": f"kind {k}"} for k in CATEGORIES],
        "annotations": annotations,
    }
    return content, [results[i] for i in rng.permutation(len(results))]


def _object(rng: np.random.Generator, length: int) -> Dense:
    masks = np.zeros((length, *SIZE), bool)
    top, left = rng.integers(0, 4, 2)
    height, width = rng.integers(2, 5, 2)
    for t in range(length):
        top, left = np.clip([top + rng.integers(-1, 2), left + rng.integers(-1, 2)], 0, 5)
        if rng.random() < 0.8:
            masks[t, top : top + height, left : left + width] = True
    return masks


def _annotation(
    rng: np.random.Generator, track_id: int, video_id: int, category: int, masks: Dense
) -> dict[str, Any]:
    return {
        "id": track_id,
        "video_id": video_id,
        "category_id": category,
        "iscrowd": 0,
        "segmentations": [encode(mask) if mask.any() else None for mask in masks],
        "areas": [int(mask.sum()) or None for mask in masks],
        "occlusion": [str(rng.choice(LABELS)) for _ in masks],
    }


def _predictions(
    rng: np.random.Generator, objects: list[Dense], kinds: list[int], length: int
) -> list[tuple[Dense, int]]:
    """Return tracks: copies, fragments, identity switches, wrong classes, and junk."""
    tracks = []
    for masks, category in zip(objects, kinds, strict=True):
        for _ in range(rng.integers(0, 3)):
            found = _disturb(rng, masks)
            if rng.random() < 0.3:
                other = _disturb(rng, objects[rng.integers(len(objects))])
                cut = rng.integers(0, length + 1)
                found = np.concatenate([found[:cut], other[cut:]])
            if rng.random() < 0.3:
                found[rng.random(length) < 0.5] = False
            wrong = rng.random() < 0.25
            tracks.append((found, int(rng.choice(CATEGORIES)) if wrong else category))
    if rng.random() < 0.4:
        tracks.append((_object(rng, length), int(rng.choice(CATEGORIES))))
    return tracks


def _disturb(rng: np.random.Generator, masks: Dense) -> Dense:
    """Return a copy with some pixels flipped near the object."""
    noise = rng.random(masks.shape) < rng.choice([0.0, 0.08, 0.25])
    return masks ^ (noise & masks.any(axis=(1, 2), keepdims=True))


def dense_tracks(gt: dict[str, Any], records: list[dict[str, Any]]) -> list[Dense]:
    """Return ``(T, H, W)`` masks of each record."""
    from slow_oracle import dense

    videos = {video["id"]: video for video in gt["videos"]}
    return [
        np.stack([dense(rle, videos[record["video_id"]]) for rle in record["segmentations"]])
        for record in records
    ]


def frame_iou(first: Dense, second: Dense) -> float:
    union = int((first | second).sum())
    return int((first & second).sum()) / union if union else 0.0
