# SPDX-License-Identifier: Apache-2.0
"""Track AP by brute force on dense masks: one plain loop per rule of the specification."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from pycocotools import mask as mask_utils

THRESHOLDS = [float(value) for value in np.linspace(0.5, 0.95, 10)]
POINTS = [float(value) for value in np.linspace(0.0, 1.0, 101)]
LIMITS = [1, 10, 100]
AREAS = [(0, 1e10), (0, 128**2), (128**2, 256**2), (256**2, 1e10)]
LEVELS = [(0.0, 1.0), (0.0, 0.25), (0.25, 0.5), (0.5, 1.0)]
VALUES = {"no_occlusion": 0.0, "slight_occlusion": 0.25, "severe_occlusion": 0.75}


def dense(rle: dict[str, Any] | None, video: dict[str, Any]) -> np.ndarray:
    """Return the mask of one frame; nothing is an empty mask."""
    if not rle:
        return np.zeros((video["height"], video["width"]), bool)
    if isinstance(rle["counts"], list):
        rle = mask_utils.frPyObjects(rle, *rle["size"])
    return mask_utils.decode(rle).astype(bool)


def track_iou(first: np.ndarray, second: np.ndarray) -> float:
    union = int((first | second).sum())
    return int((first & second).sum()) / union if union else 0.0


def mean_nonzero(values: list[float | None]) -> float:
    kept = [value for value in values if value]
    return sum(kept) / len(kept) if kept else 0.0


def occlusion(labels: list[str | None]) -> float:
    values = sorted(VALUES[label] for label in labels if label)
    half = math.ceil(len(values) / 2)
    return sum(values[-half:]) / half if half else 0.0


def match(
    ious: list[list[float]], ignored: list[bool], crowd: list[bool], threshold: float
) -> list[int]:
    """Return the object of each prediction (in score order), -1 for none."""
    order = [g for g in range(len(ignored)) if not ignored[g]]
    order += [g for g in range(len(ignored)) if ignored[g]]
    taken: set[int] = set()
    found = []
    for row in ious:
        best, current = min(threshold, 1 - 1e-10), -1
        for g in order:
            if g in taken and not crowd[g]:
                continue
            if current >= 0 and not ignored[current] and ignored[g]:
                break
            if row[g] < best:
                continue
            best, current = row[g], g
        if current >= 0:
            taken.add(current)
        found.append(current)
    return found


class Oracle:
    """Precision ``[T, R, K, A, O, M]`` and recall ``[T, K, A, O, M]`` of a problem."""

    def __init__(
        self, gt: dict[str, Any], results: list[dict[str, Any]], class_agnostic: bool = False
    ) -> None:
        self.videos = {video["id"]: video for video in gt["videos"]}
        self.known = sorted(category["id"] for category in gt["categories"])
        self.gt, self.results, self.class_agnostic = gt, results, class_agnostic
        self.dense = {
            id(track): np.stack(
                [dense(rle, self.videos[track["video_id"]]) for rle in track["segmentations"]]
            )
            for track in [*gt["annotations"], *results]
            if track["category_id"] in self.known
        }
        groups = [self.known] if class_agnostic else [[category] for category in self.known]
        shape = (len(groups), len(AREAS), len(LEVELS), len(LIMITS))
        self.precision = np.full((10, 101, *shape), -1.0)
        self.recall = np.full((10, *shape), -1.0)
        for k, group in enumerate(groups):
            for a, area in enumerate(AREAS):
                for o, level in enumerate(LEVELS):
                    for t, threshold in enumerate(THRESHOLDS):
                        for m, limit in enumerate(LIMITS):
                            self.fill((t, k, a, o, m), group, area, level, threshold, limit)

    def pick(self, tracks: list[dict[str, Any]], video: int, group: list[int]) -> list[Any]:
        return [
            track
            for category in group
            for track in tracks
            if track["video_id"] == video and track["category_id"] == category
        ]

    def fill(
        self,
        index: tuple[int, ...],
        group: list[int],
        area: tuple[float, float],
        level: tuple[float, float],
        threshold: float,
        limit: int,
    ) -> None:
        entries: list[tuple[float, bool, bool]] = []
        positives = 0
        for video in sorted(self.videos):
            objects = self.pick(self.gt["annotations"], video, group)
            found = self.pick(self.results, video, group)
            found = sorted(found, key=lambda track: -track["score"])[:100]
            crowd = [bool(track["iscrowd"]) for track in objects]
            ignored = [self.ignored(track, area, level) for track in objects]
            positives += ignored.count(False)
            ious = [
                [track_iou(self.dense[id(d)], self.dense[id(g)]) for g in objects] for d in found
            ]
            taken = match(ious, ignored, crowd, threshold)
            for track, g in list(zip(found, taken, strict=True))[:limit]:
                size = mean_nonzero([int(mask.sum()) for mask in self.dense[id(track)]])
                outside = not area[0] <= size <= area[1]
                skip = ignored[g] if g >= 0 else outside
                entries.append((track["score"], g >= 0, skip))
        if not positives:
            return
        self.write(index, entries, positives)

    def ignored(
        self, track: dict[str, Any], area: tuple[float, float], level: tuple[float, float]
    ) -> bool:
        score = occlusion(track["occlusion"])
        inside = area[0] <= mean_nonzero(track["areas"]) <= area[1]
        return bool(track["iscrowd"]) or not inside or not level[0] <= score <= level[1]

    def write(
        self, index: tuple[int, ...], entries: list[tuple[float, bool, bool]], positives: int
    ) -> None:
        t, *rest = index
        curve, recalls, true, false = [], [], 0, 0
        for _, hit, skip in sorted(entries, key=lambda entry: -entry[0]):
            true += hit and not skip
            false += not hit and not skip
            recalls.append(true / positives)
            curve.append(true / (true + false + 2.220446049250313e-16))
        self.recall[index] = recalls[-1] if recalls else 0.0
        for r, point in enumerate(POINTS):
            reached = [i for i, recall in enumerate(recalls) if recall >= point]
            value = max(curve[reached[0] :]) if reached else 0.0
            place = (t, r, *rest)
            self.precision[place] = value
