# SPDX-License-Identifier: Apache-2.0
"""Error analysis by brute force on dense masks: one plain loop per line of the definitions."""

from __future__ import annotations

from typing import Any

import numpy as np
from slow_oracle import POINTS, THRESHOLDS, match, track_iou
from tracking_problems import CATEGORIES, dense_tracks, frame_iou

REPAIRED = ["wrong_class", "association", "wrong_mask"]
REMOVED = ["wrong_class_and_mask", "duplicate", "background"]
KINDS = [*REPAIRED, *REMOVED, "missed"]


class Track:
    """A record with its dense masks; ``key`` orders predictions."""

    def __init__(self, number: int, record: dict[str, Any], masks: np.ndarray) -> None:
        self.record, self.masks, self.number = record, masks, number
        self.category, self.video = record["category_id"], record["video_id"]
        self.crowd = bool(record.get("iscrowd"))
        self.key = (-record.get("score", 0.0), self.video, self.category, number)


class SlowErrors:
    """Kinds and targets of all predictions and losses of all objects at one threshold."""

    def __init__(self, gt: dict[str, Any], results: list[dict[str, Any]], threshold: float) -> None:
        self.threshold = min(threshold, 1 - 1e-10)
        both = [
            [
                Track(i, *pair)
                for i, pair in enumerate(zip(records, dense_tracks(gt, records), strict=True))
            ]
            for records in (gt["annotations"], results)
        ]
        self.objects, found = both
        self.found = sorted(found, key=lambda p: p.key)
        self.owner: dict[Track, Track | None] = {}
        self.match_all(gt, threshold)
        taken = [g for g in self.owner.values() if g is not None]
        unfound = [g for g in self.objects if not g.crowd and g not in taken]
        self.kinds: dict[Track, str] = {}
        self.targets: dict[Track, Track | None] = {}
        given: set[tuple[str, Track]] = set()
        for p in self.found:
            if self.owner[p] is None:
                kind, candidates = self.judge(p)
                left = [g for g in candidates if g in unfound and (kind, g) not in given]
                target = max(left, key=lambda g: track_iou(p.masks, g.masks), default=None)
                self.kinds[p], self.targets[p] = kind, target
                if target is not None:
                    given.add((kind, target))
        self.lost = {g: self.loss(g) for g in unfound}

    def match_all(self, gt: dict[str, Any], threshold: float) -> None:
        for video in gt["videos"]:
            for category in CATEGORIES:
                here = [
                    [x for x in tracks if x.video == video["id"] and x.category == category]
                    for tracks in (self.found, self.objects)
                ]
                ious = [[track_iou(p.masks, g.masks) for g in here[1]] for p in here[0]]
                crowd = [g.crowd for g in here[1]]
                for p, g in zip(here[0], match(ious, crowd, crowd, threshold), strict=True):
                    self.owner[p] = here[1][g] if g >= 0 else None

    def judge(self, p: Track) -> tuple[str, list[Track]]:
        """Return the kind of error and the objects that fulfil its line."""
        near = [g for g in self.objects if g.video == p.video and not g.crowd]
        same = [(g, track_iou(p.masks, g.masks)) for g in near if g.category == p.category]
        other = [(g, track_iou(p.masks, g.masks)) for g in near if g.category != p.category]
        if any(iou >= self.threshold for _, iou in same):
            return "duplicate", []
        if any(iou >= self.threshold for _, iou in other):
            return "wrong_class", [g for g, iou in other if iou >= self.threshold]
        followed = [g for g, iou in same if self.follows_well(p, g, iou)]
        if followed:
            return "association", followed
        if any(iou >= 0.1 for _, iou in same):
            return "wrong_mask", [g for g, iou in same if iou >= 0.1]
        if any(iou >= 0.1 for _, iou in other):
            return "wrong_class_and_mask", []
        return "background", []

    def follows_well(self, p: Track, g: Track, iou: float) -> bool:
        rivals = [x for x in self.objects if x.video == p.video]
        frames = []
        for t in range(len(p.masks)):
            values = [frame_iou(p.masks[t], x.masks[t]) for x in rivals]
            best = rivals[values.index(max(values))]
            if best is g and max(values) >= 0.1:
                frames.append(t)
        present = sum(bool(mask.any()) for mask in p.masks)
        if not frames or (iou < 0.1 and len(frames) < present / 2):
            return False
        return track_iou(p.masks[frames], g.masks[frames]) >= self.threshold

    def loss(self, g: Track) -> str:
        for kind in REPAIRED:
            if any(self.kinds[p] == kind for p in self.kinds if self.targets[p] is g):
                return kind
        return "missed"

    def average_precision(self, repaired: list[str]) -> float | None:
        """Return AP at this threshold after some kinds of errors are repaired."""
        entries: list[tuple[int, bool]] = []
        rescued: set[Track] = set()
        for p in self.found:
            owner, kind = self.owner[p], self.kinds.get(p)
            target = self.targets.get(p)
            if owner is not None:
                if not owner.crowd:
                    entries.append((p.category, True))
            elif kind not in repaired:
                entries.append((p.category, False))
            elif kind in REPAIRED and target in self.lost and target not in rescued:
                assert target is not None
                rescued.add(target)
                entries.append((target.category, True))
        values = []
        for category in CATEGORIES:
            objects = [g for g in self.objects if g.category == category and not g.crowd]
            left = [g for g in objects if "missed" not in repaired or self.lost.get(g) != "missed"]
            if objects:
                hits = [hit for k, hit in entries if k == category]
                values.append(area(hits, len(left)) if left else 1.0)
        return sum(values) / len(values) if values else None


def area(hits: list[bool], positives: int) -> float:
    true, recalls, precisions = 0, [], []
    for number, hit in enumerate(hits, 1):
        true += hit
        recalls.append(true / positives)
        precisions.append(true / (number + 2.220446049250313e-16))
    total = 0.0
    for point in POINTS:
        reached = [i for i, recall in enumerate(recalls) if recall >= point]
        total += max(precisions[reached[0] :]) if reached else 0.0
    return total / len(POINTS)


def slow_gains(errors: list[SlowErrors]) -> tuple[dict[str, float], dict[str, float]] | None:
    """Return gains and steps over all thresholds; None where AP is undefined."""

    def ap(repaired: list[str]) -> float:
        values = [e.average_precision(repaired) for e in errors]
        return sum(v for v in values if v is not None) / len(values)

    if errors[0].average_precision([]) is None:
        return None
    base = ap([])
    gains = {kind: ap([kind]) - base for kind in KINDS}
    levels = [ap(KINDS[:n]) for n in range(len(KINDS) + 1)]
    steps = {kind: levels[n + 1] - levels[n] for n, kind in enumerate(KINDS)}
    return {"AP": base, **gains}, steps


def all_thresholds(gt: dict[str, Any], results: list[dict[str, Any]]) -> list[SlowErrors]:
    return [SlowErrors(gt, results, threshold) for threshold in THRESHOLDS]
