# SPDX-License-Identifier: Apache-2.0
"""HOTA, DetA, AssA, LocA and IDF1 on masks.

HOTA follows Luiten et al., "HOTA: A Higher Order Metric for Evaluating Multi-Object Tracking"
(IJCV 2021), IDF1 Ristani et al., "Performance Measures and a Data Set for Multi-Target,
Multi-Camera Tracking" (ECCV-W 2016). A *mask* here is one object or prediction in one frame, and
the similarity S of two masks is their IoU in that frame. Empty masks count as absent.

**One matching per frame.** Two tracks are aligned by A = P / (n + m - P): n and m are their numbers
of masks, and P sums, over frames, S(d, g) / (sum of S(d, .) + sum of S(., g) - S(d, g)). In every
frame masks are paired one to one so that the sum of A times S is greatest. This is how the
reference implementation (TrackEval) approximates the assignment of the paper, which is made anew
at every threshold.

**Per threshold** alpha = 0.05, 0.10, ..., 0.95: pairs with S >= alpha are true positives (TP), the
other annotated masks false negatives (FN), the other predicted masks false positives (FP), all
summed over videos. DetA = TP / (TP + FN + FP). For a true positive c of object g and prediction d,
with k true positives between the two, A(c) = k / (n + m - k); AssA is its mean over all c, LocA the
mean of S, and HOTA = sqrt(DetA * AssA). The numbers reported are means over the 19 thresholds.
Where a threshold has no true positive, AssA is 0 and LocA 1, as in the reference implementation.

**IDF1** pairs whole tracks of a video one to one so that most masks have S >= 0.5 with their
partner (IDTP), and is 2 IDTP / (annotated masks + predicted masks).

**Scores.** These metrics know no confidence: every predicted track counts as present, however low
its score. Results of video instance segmentation hold up to 100 tracks per video, most of them with
low scores and many overlapping, and each of their masks costs DetA and IDF1. So comparisons between
methods need a ``score_threshold``, chosen on other videos; by default there is none, which is what
the reference implementation does.

**Categories** are evaluated one by one, and the class average is over categories with at least one
object that counts (the same as for AP; the reference implementation also averages in categories
that only have predictions). The class-agnostic numbers, where all tracks form one pool, are in the
details, and in place of the others in class-agnostic mode. Numbers are -1 where
undefined: everything without an object, and LocA without any true positive.

**Crowds** are not objects here. A predicted mask is left out of its frame if more than half of it
lies on a crowd of its category and its IoU with every object of that category is below 0.5.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from visbench.evaluation.frame_overlaps import Overlaps

__all__ = [
    "ALPHAS",
    "HOTA_NAMES",
    "HotaCounts",
    "HotaResult",
    "count",
    "hota_numbers",
    "restrict",
]

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]

ALPHAS: Float64 = np.arange(1, 20, dtype=np.float64) / 20
HOTA_NAMES = ("HOTA", "DetA", "AssA", "LocA", "IDF1")

_TOLERANCE = float(np.finfo(np.float64).eps)
_IDENTITY_IOU = 0.5
_CROWD_SHARE = 0.5
_A = len(ALPHAS)


@dataclass(frozen=True)
class HotaCounts:
    """What videos contribute; contributions are added up before anything is divided.

    Attributes:
        true: ``(..., A)`` true positives at each threshold.
        localisation: ``(..., A)`` sum of their similarity.
        association: ``(..., A)`` sum of their association score A(c).
        objects: ``(...,)`` annotated masks.
        predictions: ``(...,)`` predicted masks.
        identity_true: ``(...,)`` IDTP.
    """

    true: Float64
    localisation: Float64
    association: Float64
    objects: Float64
    predictions: Float64
    identity_true: Float64

    @classmethod
    def stack(cls, parts: Sequence[HotaCounts]) -> HotaCounts:
        """Put C contributions on a new first axis."""
        return cls(*(np.stack(values) for values in zip(*map(_fields, parts), strict=True)))

    def weigh(self, weights: Float64) -> HotaCounts:
        """Add up contributions.

        Args:
            weights: ``(B, C)``, how often each of the C contributions counts.

        Returns:
            B sums.
        """
        return HotaCounts(*(weights @ values for values in _fields(self)))

    def item(self, index: int) -> HotaCounts:
        """Return one of the contributions on the first axis."""
        return HotaCounts(*(np.asarray(values[index]) for values in _fields(self)))

    def curves(self) -> Float64:
        """Return ``(..., A, 4)`` HOTA, DetA, AssA and LocA at each threshold."""
        found, known = self.predictions[..., None], self.objects[..., None]
        detection = self.true / np.maximum(1, found + known - self.true)
        association = self.association / np.maximum(1, self.true)
        localisation = np.ones(self.true.shape)
        np.divide(self.localisation, self.true, out=localisation, where=self.true > 0)
        return np.stack(
            [np.sqrt(detection * association), detection, association, localisation], axis=-1
        )

    def numbers(self) -> Float64:
        """Return ``(..., 5)`` HOTA, DetA, AssA, LocA and IDF1; NaN where undefined."""
        identity = 2 * self.identity_true / np.maximum(1, self.predictions + self.objects)
        numbers = np.concatenate([self.curves().mean(axis=-2), identity[..., None]], axis=-1)
        numbers[..., 3] = np.where(self.true.sum(axis=-1) > 0, numbers[..., 3], np.nan)
        return np.where(self.objects[..., None] > 0, numbers, np.nan)


def _fields(counts: HotaCounts) -> tuple[Float64, ...]:
    return (
        counts.true,
        counts.localisation,
        counts.association,
        counts.objects,
        counts.predictions,
        counts.identity_true,
    )


@dataclass(frozen=True)
class HotaResult:
    """Details of HOTA.

    Attributes:
        alphas: ``(A,)`` thresholds.
        counts: Sums over all videos, by category id.
        per_category: The five numbers of each category, -1 where undefined.
        class_agnostic: The five numbers with all categories in one pool.
    """

    alphas: Float64
    counts: Mapping[int, HotaCounts]
    per_category: Mapping[int, Mapping[str, float]]
    class_agnostic: Mapping[str, float]


def hota_numbers(values: Float64) -> dict[str, float]:
    """Return the five numbers by name; -1 for NaN."""
    return {
        name: -1.0 if np.isnan(value) else float(value)
        for name, value in zip(HOTA_NAMES, values, strict=True)
    }


def count(
    overlaps: Overlaps, score_threshold: float | None = None, objects: Iterable[int] | None = None
) -> HotaCounts:
    """Return the contribution of one video and category.

    Args:
        overlaps: Predictions and objects of the category.
        score_threshold: Leave out predictions of a lower score.
        objects: Ids of the objects that count; None for all. Other objects are left out, and so
            are predictions whose best track IoU, of at least 0.1, is with one of those.
    """
    if score_threshold is not None:
        overlaps = overlaps.select(overlaps.scores >= score_threshold, _all(overlaps.gt_ids))
    if objects is not None:
        overlaps = restrict(overlaps, objects)
    present = overlaps.areas > 0
    if overlaps.gt_crowd.any():
        present &= ~_on_crowds(overlaps)
        overlaps = overlaps.select(_all(overlaps.scores), ~overlaps.gt_crowd)
    similarity = np.where(present[:, :, None], overlaps.frame_ious, 0.0)
    masks, gt_masks = present.sum(axis=0), (overlaps.gt_areas > 0).sum(axis=0)
    sums = np.add.outer(masks, gt_masks).astype(np.float64)
    frames, rows, columns = _pair(similarity, sums)
    paired = similarity[frames, rows, columns]
    hits = paired >= ALPHAS[:, None] - _TOLERANCE
    return HotaCounts(
        true=hits.sum(axis=1).astype(np.float64),
        localisation=(hits * paired).sum(axis=1),
        association=_association(hits, rows * sums.shape[1] + columns, sums),
        objects=np.asarray(gt_masks.sum(), np.float64),
        predictions=np.asarray(masks.sum(), np.float64),
        identity_true=_identity(similarity),
    )


def _all(values: npt.NDArray[np.generic]) -> Bool:
    return np.ones(len(values), np.bool_)


def restrict(overlaps: Overlaps, objects: Iterable[int], minimum: float = 0.1) -> Overlaps:
    """Leave out objects, and the predictions that belong to them.

    Args:
        overlaps: Predictions and objects of one category.
        objects: Ids of the objects that stay; crowds stay as well.
        minimum: Track IoU from which on a prediction belongs to the object it overlaps most.
    """
    kept = np.isin(overlaps.gt_ids, list(objects)) | overlaps.gt_crowd
    if kept.all():
        return overlaps
    ious = overlaps.track_ious
    best = np.argmax(ious, axis=1)
    rows = np.arange(len(best))
    elsewhere = (ious[rows, best] >= minimum) & ~kept[best]
    return overlaps.select(~elsewhere, kept)


def _on_crowds(overlaps: Overlaps) -> Bool:
    """Return ``(T, D)``: masks that lie on a crowd and on no object."""
    crowd = overlaps.gt_crowd
    inside = overlaps.intersections[:, :, crowd].max(axis=2, initial=0)
    ious = overlaps.frame_ious[:, :, ~crowd].max(axis=2, initial=0.0)
    on_crowd: Bool = (inside > _CROWD_SHARE * overlaps.areas) & (ious < _IDENTITY_IOU)
    return on_crowd


def _pair(similarity: Float64, sums: Float64) -> tuple[Int64, Int64, Int64]:
    """Return frame, prediction and object of every pair of the matching.

    Args:
        similarity: ``(T, D, G)``.
        sums: ``(D, G)`` numbers of masks of both tracks together.
    """
    rivals = similarity.sum(axis=1, keepdims=True) + similarity.sum(axis=2, keepdims=True)
    rivals -= similarity
    shares = np.divide(similarity, rivals, out=np.zeros(rivals.shape), where=rivals > _TOLERANCE)
    potential = shares.sum(axis=0)
    rest = sums - potential
    alignment = np.divide(potential, rest, out=np.zeros(rest.shape), where=rest > 0)
    score = alignment * similarity
    # Rows and columns without any overlap cannot change the sum.
    frames = np.flatnonzero(similarity.any(axis=(1, 2)))
    if not len(frames):
        return _NONE
    if score.shape[2] == 1:
        rows = np.argmax(score[frames, :, 0], axis=1)
        return frames, rows, np.zeros(len(frames), np.int64)
    parts = [_pair_frame(int(frame), score[frame]) for frame in frames]
    frame_index, rows, columns = (np.concatenate(p) for p in zip(_NONE, *parts, strict=True))
    return frame_index, rows, columns


_NONE = (np.zeros(0, np.int64),) * 3


def _pair_frame(frame: int, score: Float64) -> tuple[Int64, Int64, Int64]:
    used = np.flatnonzero(score.any(axis=1))
    rows, columns = linear_sum_assignment(score[used], maximize=True)
    return np.full(len(rows), frame, np.int64), used[rows], columns


def _association(hits: Bool, pairs: Int64, sums: Float64) -> Float64:
    """Return the sum of A(c) at each threshold; ``pairs`` numbers the pair of tracks."""
    totals = sums.reshape(-1)
    values = np.zeros(_A)
    for a, hit in enumerate(hits):
        common = np.bincount(pairs[hit], minlength=len(totals)).astype(np.float64)
        values[a] = (common * common / np.maximum(1.0, totals - common)).sum()
    return values


def _identity(similarity: Float64) -> Float64:
    common = (similarity >= _IDENTITY_IOU).sum(axis=0)
    rows, columns = linear_sum_assignment(common, maximize=True)
    return np.asarray(common[rows, columns].sum(), np.float64)
