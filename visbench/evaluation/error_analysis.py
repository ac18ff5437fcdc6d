# SPDX-License-Identifier: Apache-2.0
"""What AP is lost to: every false positive and every object that was not found gets one reason.

The idea is that of TIDE (Bolya et al., ECCV 2020) for images: sort all errors of AP into kinds, and
measure a kind by the AP gained when its errors, and only those, are repaired. Everything is done at
each of the ten IoU thresholds of AP (t below) on the matching AP itself uses, over all sizes, with
up to 100 predictions per video and category, and averaged like AP. IoU is that of whole tracks
unless it is said to be of a frame.

**False positives.** A prediction p without an object is, by the first line that applies,

1. ``duplicate``: IoU >= t with an object of its category (which a higher-ranked prediction has);
2. ``wrong_class``: IoU >= t with an object of another category;
3. ``association``: some object g of its category has good masks in p, but not in enough frames.
   p *follows* g in the frames where g is the object that p overlaps most (frame IoU, all
   categories) and that IoU is at least 0.1. The error is one of association if the IoU of p and g
   over the frames where p follows g is >= t, and p either has IoU >= 0.1 with g or follows g in at
   least half of its own frames. So this is an identity switch, a fragment of a track, or a track
   that starts late, ends early or runs on after its object;
4. ``wrong_mask``: IoU >= 0.1 with an object of its category;
5. ``wrong_class_and_mask``: IoU >= 0.1 with an object of another category;
6. ``background``: anything else.

In lines 2 to 4 a prediction may have a *target*. The predictions of each of these kinds are asked
in the order of their ranks: each takes, of the objects that fulfil its line, that were not found,
and that no other prediction of its kind has taken, the one with the highest IoU (the first of
equals); if there is none, it has no target.

**Objects** that no prediction found are lost to ``wrong_class``, ``association`` or ``wrong_mask``
if they are the target of such a prediction (the first of these kinds), else ``missed``.

**Repairs.** ``wrong_class``, ``association``, ``wrong_mask``: predictions with a target become true
positives of its category with their own score (where several kinds are repaired and an object is
the target of more than one prediction, the highest-ranked); all others of the kind disappear.
``wrong_class_and_mask``, ``duplicate``, ``background``:
they disappear. ``missed``: these objects are no longer counted; a category that has no other object
then has AP 1.

**Gains** are measured alone, each kind against the AP as it is; these do not add up. The *steps*
repair one kind after another in the order of :data:`KINDS`, without undoing the last ones; they add
up to 1 - AP.

Crowds are not errors and not targets. In class-agnostic mode no class can be wrong.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from visbench.evaluation.average_precision import IOU_THRESHOLDS, LIMITS, match
from visbench.evaluation.frame_overlaps import Overlaps

__all__ = ["FOUND", "IGNORED", "KINDS", "REPAIRED", "VideoErrors", "classify"]

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]

KINDS = (
    "wrong_class",
    "association",
    "wrong_mask",
    "wrong_class_and_mask",
    "duplicate",
    "background",
    "missed",
)
"""Kinds of errors, in the order in which the steps repair them."""
FOUND = -1
"""Stands for a true positive, or an object that was found."""
IGNORED = -2
"""Stands for a prediction or object that counts for nothing."""

_CLASS, _ASSOCIATION, _MASK, _BOTH, _DUPLICATE, _BACKGROUND, _MISSED = range(len(KINDS))
REPAIRED = (_CLASS, _ASSOCIATION, _MASK)
"""Kinds of false positives that a repair turns into true positives, first choice first."""

_FOREGROUND = 0.1
_HIGHEST_THRESHOLD = 1 - 1e-10


@dataclass(frozen=True)
class VideoErrors:
    """The errors of one video at T thresholds; kinds are indices into :data:`KINDS`.

    Attributes:
        video_id: The video.
        result_index: ``(D,)`` positions in the results, by descending score.
        scores: ``(D,)``.
        categories: ``(D,)``.
        gt_ids: ``(G,)`` annotation ids.
        gt_categories: ``(G,)``.
        counted: ``(G,)`` whether an object counts.
        kinds: ``(T, D)`` kind of false positive, :data:`FOUND` or :data:`IGNORED`.
        targets: ``(T, D)`` index of the object that a repair would give, -1 for none.
        losses: ``(T, G)`` what an object is lost to, :data:`FOUND` or :data:`IGNORED`.
    """

    video_id: int
    result_index: Int64
    scores: Float64
    categories: Int64
    gt_ids: Int64
    gt_categories: Int64
    counted: Bool
    kinds: Int64
    targets: Int64
    losses: Int64


def classify(overlaps: Overlaps, objects: Iterable[int] | None = None) -> VideoErrors:
    """Give every false positive and every lost object of a video its reason.

    Args:
        overlaps: All predictions and objects of the video, by descending score.
        objects: Ids of the objects that count; None for all but crowds.
    """
    overlaps = overlaps.select(_within_limit(overlaps.categories), np.ones(_g(overlaps), np.bool_))
    counted = ~overlaps.gt_crowd
    if objects is not None:
        counted &= np.isin(overlaps.gt_ids, list(objects))
    ious = overlaps.track_ious
    matches = _match(overlaps, ious, counted)
    judge = _Judge.of(overlaps, ious, counted)
    kinds = np.full(matches.shape, IGNORED, np.int64)
    targets = np.full(matches.shape, -1, np.int64)
    losses = np.full((len(IOU_THRESHOLDS), _g(overlaps)), IGNORED, np.int64)
    for t, threshold in enumerate(IOU_THRESHOLDS.tolist()):
        threshold = min(threshold, _HIGHEST_THRESHOLD)
        free = matches[t] < 0
        hit = ~free & np.append(counted, False)[matches[t]]
        kinds[t] = np.where(free, judge.kinds(threshold), np.where(hit, FOUND, IGNORED))
        lost = counted.copy()
        lost[matches[t, hit]] = False
        losses[t, counted] = np.where(lost[counted], _MISSED, FOUND)
        _repair(judge, threshold, kinds[t], lost, targets[t], losses[t])
    return VideoErrors(
        overlaps.video_id,
        overlaps.result_index,
        overlaps.scores,
        overlaps.categories,
        overlaps.gt_ids,
        overlaps.gt_categories,
        counted,
        kinds,
        targets,
        losses,
    )


def _repair(
    judge: _Judge, threshold: float, kinds: Int64, lost: Bool, targets: Int64, losses: Int64
) -> None:
    """Give lost objects to false positives that a repair turns into true ones.

    Args:
        judge: Knows which objects a false positive may be given.
        threshold: The IoU threshold.
        kinds: ``(D,)``.
        lost: ``(G,)`` objects that were not found.
        targets: ``(D,)``, changed in place.
        losses: ``(G,)``, changed in place.
    """
    # What is repaired first has the last word on what an object is lost to.
    for kind in reversed(REPAIRED):
        rows = np.flatnonzero(kinds == kind)
        taken = _take(judge.candidates(kind, threshold)[rows], lost)
        targets[rows] = taken
        losses[taken[taken >= 0]] = kind


def _g(overlaps: Overlaps) -> int:
    return len(overlaps.gt_ids)


def _within_limit(categories: Int64) -> Bool:
    kept = np.zeros(len(categories), np.bool_)
    for category in np.unique(categories):
        kept[np.flatnonzero(categories == category)[: LIMITS[-1]]] = True
    return kept


def _match(overlaps: Overlaps, ious: Float64, counted: Bool) -> Int64:
    """Return ``(T, D)``, the matching of AP: index of the object, -1 for none."""
    matches = np.full((len(IOU_THRESHOLDS), len(overlaps.scores)), -1, np.int64)
    for category in np.unique(overlaps.categories):
        rows = np.flatnonzero(overlaps.categories == category)
        columns = np.flatnonzero(overlaps.gt_categories == category)
        part = ious[np.ix_(rows, columns)]
        found = match(part, ~counted[columns], overlaps.gt_crowd[columns])
        matches[:, rows] = np.where(found >= 0, np.append(columns, -1)[found], -1)
    return matches


@dataclass(frozen=True)
class _Judge:
    """Tells the kind of error at a threshold; all arrays are ``(D, G)``.

    Attributes:
        same: IoU with counted objects of the same category, -1 for others.
        other: IoU with counted objects of other categories, -1 for others.
        followed: IoU over the frames where the prediction follows the object.
        near: Whether the prediction belongs to the object, good or bad.
    """

    same: Float64
    other: Float64
    followed: Float64
    near: Bool

    @classmethod
    def of(cls, overlaps: Overlaps, ious: Float64, counted: Bool) -> _Judge:
        alike = overlaps.categories[:, None] == overlaps.gt_categories
        frames = overlaps.frame_ious
        follows = np.zeros(frames.shape, np.bool_)
        if frames.shape[2]:
            best = frames.argmax(axis=2)[:, :, None]
            np.put_along_axis(follows, best, np.take_along_axis(frames, best, 2) >= _FOREGROUND, 2)
        common = (overlaps.intersections * follows).sum(axis=0)
        pixels = overlaps.areas[:, :, None] + overlaps.gt_areas[:, None]
        union = (pixels * follows).sum(axis=0) - common
        followed = np.divide(common, union, out=np.zeros(union.shape), where=union > 0)
        lengths = (overlaps.areas > 0).sum(axis=0)[:, None]
        near = (ious >= _FOREGROUND) | ((2 * follows.sum(axis=0) >= lengths) & (lengths > 0))
        return cls(
            np.where(alike & counted, ious, -1.0),
            np.where(~alike & counted, ious, -1.0),
            followed,
            near,
        )

    def candidates(self, kind: int, threshold: float) -> Float64:
        """Return the IoU with the objects that fulfil the line of a kind, -1 for the others."""
        if kind == _CLASS:
            chosen, ious = self.other >= threshold, self.other
        elif kind == _ASSOCIATION:
            chosen, ious = self.near & (self.followed >= threshold), self.same
        else:
            chosen, ious = self.same >= _FOREGROUND, self.same
        return np.where(chosen, ious, -1.0)

    def kinds(self, threshold: float) -> Int64:
        """Return ``(D,)`` kinds, as if every prediction were a false positive."""
        kinds = np.full(len(self.same), _BACKGROUND, np.int64)
        # From the last line of the definition to the first, each overwriting those below it.
        kinds[(self.other >= _FOREGROUND).any(axis=1)] = _BOTH
        for kind in (_MASK, _ASSOCIATION, _CLASS):
            kinds[(self.candidates(kind, threshold) >= 0).any(axis=1)] = kind
        kinds[(self.same >= threshold).any(axis=1)] = _DUPLICATE
        return kinds


def _take(candidates: Float64, lost: Bool) -> Int64:
    """Give objects to predictions in the order of their ranks.

    Args:
        candidates: ``(N, G)`` IoU with the objects that a prediction may take, -1 for others.
        lost: ``(G,)`` objects that were not found.

    Returns:
        ``(N,)`` index of the object, -1 for none.
    """
    taken = np.full(len(candidates), -1, np.int64)
    left = np.where(lost, candidates, -1.0)
    for row in np.flatnonzero((left >= 0).any(axis=1)).tolist():
        best = int(left[row].argmax())
        if left[row, best] >= 0:
            taken[row] = best
            left[:, best] = -1.0
    return taken
