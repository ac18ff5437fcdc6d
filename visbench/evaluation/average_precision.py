# SPDX-License-Identifier: Apache-2.0
"""Matching of predicted to annotated tracks, and precision and recall from it.

Everything is organised in cells: the tracks of one video and one category. Only cells that hold
something are visited. The rules are those of the official YouTube-VIS evaluator (a fork of COCO's
evaluator), with the occlusion axis of the OVIS fork.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
import numpy.typing as npt

__all__ = [
    "AREA_RANGES",
    "CLASS_AGNOSTIC",
    "IOU_THRESHOLDS",
    "LIMITS",
    "OCCLUSION_RANGES",
    "RECALL_POINTS",
    "Cell",
    "Outcome",
    "PrecisionRecall",
    "accumulate",
    "match",
    "outcome",
]

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]

IOU_THRESHOLDS: Float64 = np.linspace(0.5, 0.95, 10, dtype=np.float64)
RECALL_POINTS: Float64 = np.linspace(0.0, 1.0, 101, dtype=np.float64)
LIMITS = (1, 10, 100)
AREA_RANGES: Mapping[str, tuple[float, float]] = {
    "all": (0, 1e10),
    "small": (0, 128**2),
    "medium": (128**2, 256**2),
    "large": (256**2, 1e10),
}
OCCLUSION_RANGES: Mapping[str, tuple[float, float]] = {
    "all": (0.0, 1.0),
    "light": (0.0, 0.25),
    "medium": (0.25, 0.5),
    "heavy": (0.5, 1.0),
}
CLASS_AGNOSTIC = -1
"""Category of the pool of all categories."""

_HIGHEST_THRESHOLD = 1 - 1e-10
_LARGEST_LIMIT = LIMITS[-1]


@dataclass(frozen=True)
class Cell:
    """The tracks of one video and category, predictions sorted by descending score.

    Attributes:
        video_id: The video.
        category_id: The category, or :data:`CLASS_AGNOSTIC`.
        result_index: ``(D,)`` positions in the results.
        scores: ``(D,)``.
        areas: ``(D,)`` mean areas of the predictions in pixels.
        ious: ``(D, G)`` spatio-temporal IoU.
        gt_ids: ``(G,)`` annotation ids, in file order.
        gt_areas: ``(G,)`` areas of the objects.
        gt_crowd: ``(G,)`` whether an object is a crowd.
        gt_occlusion: ``(G,)`` occlusion scores.
    """

    video_id: int
    category_id: int
    result_index: Int64
    scores: Float64
    areas: Float64
    ious: Float64
    gt_ids: Int64
    gt_areas: Float64
    gt_crowd: Bool
    gt_occlusion: Float64
    _matches: dict[bytes, Int64] = field(default_factory=dict, repr=False, compare=False)

    def match(self, gt_ignore: Bool) -> Int64:
        """Return :func:`match` for this cell; equal patterns are matched once."""
        key = gt_ignore.tobytes()
        if key not in self._matches:
            self._matches[key] = match(self.ious, gt_ignore, self.gt_crowd)
        return self._matches[key]


@dataclass(frozen=True)
class PrecisionRecall:
    """Precision and recall of every category, -1 where undefined.

    Axes are T thresholds, R recall points, K categories (ascending ids), A area ranges, O
    occlusion ranges (absent without occlusion), M limits of predictions per video and category.

    Attributes:
        precision: ``(T, R, K, A[, O], M)`` in [0, 1].
        recall: ``(T, K, A[, O], M)`` in [0, 1].
        scores: As ``precision``: the score at which that recall is reached, 0 where it is not.
        categories: K category ids.
        areas: Names of the area ranges.
        occlusions: Names of the occlusion ranges; empty without that axis.
    """

    precision: Float64
    recall: Float64
    scores: Float64
    categories: tuple[int, ...]
    areas: tuple[str, ...]
    occlusions: tuple[str, ...]

    def per_category(self) -> dict[int, float]:
        """Return AP (all thresholds, sizes and levels, 100 predictions); -1 where undefined."""
        values = self.precision[:, :, :, 0]
        values = values[:, :, :, 0, -1] if self.occlusions else values[:, :, :, -1]
        return {
            category: float(np.mean(values[:, :, k])) if values[0, 0, k] > -1 else -1.0
            for k, category in enumerate(self.categories)
        }


def match(ious: Float64, gt_ignore: Bool, gt_crowd: Bool) -> Int64:
    """Assign objects to predictions, greedily in order of the scores.

    At each threshold a prediction takes the free object of highest IoU (the later one of equals),
    ignored objects only if no other is free, crowds any number of times.

    Args:
        ious: ``(D, G)``, predictions by descending score, objects in file order.
        gt_ignore: ``(G,)`` objects that do not count.
        gt_crowd: ``(G,)`` crowds.

    Returns:
        ``(T, D)`` index of the object taken, -1 for none.
    """
    matches = np.full((len(IOU_THRESHOLDS), ious.shape[0]), -1, np.int64)
    possible = ious >= IOU_THRESHOLDS[0]
    order = np.argsort(gt_ignore, kind="stable")
    candidates = [
        (int(d), [(int(g), float(ious[d, g])) for g in order if possible[d, g]])
        for d in np.flatnonzero(possible.any(axis=1))
    ]
    if not candidates:
        return matches
    ignored, crowd = gt_ignore.tolist(), gt_crowd.tolist()
    for row, threshold in zip(matches, IOU_THRESHOLDS.tolist(), strict=True):
        taken: set[int] = set()
        for detection, objects in candidates:
            best, found = min(threshold, _HIGHEST_THRESHOLD), -1
            for g, iou in objects:
                if g in taken and not crowd[g]:
                    continue
                if found >= 0 and ignored[g] and not ignored[found]:
                    break
                if iou >= best:
                    best, found = iou, g
            if found >= 0:
                taken.add(found)
                row[detection] = found
    return matches


@dataclass(frozen=True)
class Outcome:
    """What became of the predictions of one cell, and how many objects count in it.

    Attributes:
        scores: ``(D,)`` in descending order.
        hit: ``(T, D)`` whether a prediction was given an object.
        ignored: ``(T, D)`` whether it counts neither as true nor as false.
        positives: Number of objects that count.
    """

    scores: Float64
    hit: Bool
    ignored: Bool
    positives: int


def accumulate(
    cells: Sequence[Cell],
    categories: Sequence[int],
    areas: Sequence[str],
    occlusions: Sequence[str] = (),
    *,
    official_bugs: bool = False,
) -> PrecisionRecall:
    """Compute precision and recall of every category.

    Args:
        cells: Cells by ascending video id.
        categories: Category ids, ascending.
        areas: Names from :data:`AREA_RANGES`.
        occlusions: Names from :data:`OCCLUSION_RANGES`; none for no occlusion axis.
        official_bugs: An object with annotation id 0 is never found.
    """
    levels = tuple(occlusions) or ("all",)
    axes = (len(categories), len(areas), len(levels), len(LIMITS))
    curve_shape = (len(IOU_THRESHOLDS), len(RECALL_POINTS), *axes)
    precision: Float64 = np.full(curve_shape, -1.0)
    scores: Float64 = np.full(curve_shape, -1.0)
    recall: Float64 = np.full((len(IOU_THRESHOLDS), *axes), -1.0)
    by_category: dict[int, list[Cell]] = {category: [] for category in categories}
    for cell in cells:
        by_category[cell.category_id].append(cell)
    for k, category in enumerate(categories):
        pool = _Pool(by_category[category])
        for a, o in product(range(len(areas)), range(len(levels))):
            curves = pool.curves(AREA_RANGES[areas[a]], OCCLUSION_RANGES[levels[o]], official_bugs)
            for m, (curve, final, reached) in enumerate(curves):
                precision[:, :, k, a, o, m] = curve
                recall[:, k, a, o, m] = final
                scores[:, :, k, a, o, m] = reached
    if not occlusions:
        precision, recall, scores = precision[..., 0, :], recall[..., 0, :], scores[..., 0, :]
    return PrecisionRecall(
        precision, recall, scores, tuple(categories), tuple(areas), tuple(occlusions)
    )


def outcome(
    cell: Cell,
    area: tuple[float, float],
    occlusion: tuple[float, float],
    *,
    official_bugs: bool = False,
) -> Outcome:
    """Return which predictions of a cell hit, and which count for nothing.

    Args:
        cell: The tracks of one video and category.
        area: Smallest and largest area in pixels of the objects that count.
        occlusion: Lowest and highest occlusion score of the objects that count.
        official_bugs: An object with annotation id 0 is never found.
    """
    outside = (cell.areas < area[0]) | (cell.areas > area[1])
    if not len(cell.gt_ids):
        shape = len(IOU_THRESHOLDS), len(outside)
        return Outcome(cell.scores, np.zeros(shape, np.bool_), np.broadcast_to(outside, shape), 0)
    gt_ignore = _ignored_objects(cell, area, occlusion)
    matches = cell.match(gt_ignore)
    hit = matches >= 0
    # Index -1 picks an entry appended for "no object".
    ignored = np.append(gt_ignore, False)[matches]
    if official_bugs:
        hit = hit & (np.append(cell.gt_ids, 0)[matches] != 0)
    ignored = ignored | (~hit & outside)
    return Outcome(cell.scores, hit, ignored, int((~gt_ignore).sum()))


def _ignored_objects(cell: Cell, area: tuple[float, float], occlusion: tuple[float, float]) -> Bool:
    ignored = cell.gt_crowd | (cell.gt_areas < area[0]) | (cell.gt_areas > area[1])
    return ignored | (cell.gt_occlusion < occlusion[0]) | (cell.gt_occlusion > occlusion[1])


class _Pool:
    """The predictions of one category in all videos.

    Attributes:
        scores: ``(N,)``, video by video.
        orders: For each limit, the predictions within it by descending score; equal scores stay in
            the order of the videos.
    """

    def __init__(self, cells: Sequence[Cell]) -> None:
        sizes = [len(cell.scores) for cell in cells]
        self.scores: Float64 = np.concatenate([np.zeros(0), *(cell.scores for cell in cells)])
        self.areas: Float64 = np.concatenate([np.zeros(0), *(cell.areas for cell in cells)])
        ranks = np.concatenate([np.zeros(0, np.int64), *map(np.arange, sizes)])
        order = np.argsort(-self.scores, kind="stable")
        self.orders = [order[ranks[order] < limit] for limit in LIMITS]
        stops = np.cumsum(sizes).tolist()
        # Few cells hold an object; in the others nothing can be hit.
        self.members = [
            (cell, slice(stop - size, stop))
            for cell, size, stop in zip(cells, sizes, stops, strict=True)
            if len(cell.gt_ids)
        ]

    def positives(self, area: tuple[float, float], occlusion: tuple[float, float]) -> int:
        """Return the number of objects that count."""
        return sum(
            int((~_ignored_objects(cell, area, occlusion)).sum()) for cell, _ in self.members
        )

    def outcomes(
        self, area: tuple[float, float], occlusion: tuple[float, float], official_bugs: bool
    ) -> tuple[Bool, Bool]:
        """Return ``(T, N)`` whether predictions hit an object and whether they are ignored."""
        hit = np.zeros((len(IOU_THRESHOLDS), len(self.scores)), np.bool_)
        ignored = np.empty_like(hit)
        ignored[:] = (self.areas < area[0]) | (self.areas > area[1])
        for cell, part in self.members:
            found = outcome(cell, area, occlusion, official_bugs=official_bugs)
            hit[:, part], ignored[:, part] = found.hit, found.ignored
        return hit, ignored

    def curves(
        self, area: tuple[float, float], occlusion: tuple[float, float], official_bugs: bool
    ) -> Iterator[tuple[Float64, Float64, Float64]]:
        """Yield what :func:`_curve` returns for every limit; nothing if no object counts."""
        positives = self.positives(area, occlusion)
        if not positives:
            return
        hit, ignored = self.outcomes(area, occlusion, official_bugs)
        for order in self.orders:
            yield _curve(self.scores[order], hit[:, order], ignored[:, order], positives)


def _curve(
    scores: Float64, hit: Bool, ignored: Bool, positives: int
) -> tuple[Float64, Float64, Float64]:
    """Return precision ``(T, R)``, final recall ``(T,)`` and scores ``(T, R)``.

    Args:
        scores: ``(N,)`` in descending order.
        hit: ``(T, N)`` whether a prediction hits an object.
        ignored: ``(T, N)`` whether it counts for nothing.
        positives: Number of objects that count.
    """
    counted = ~ignored
    precision = np.zeros((len(hit), len(RECALL_POINTS)))
    reached = np.zeros((len(hit), len(RECALL_POINTS)))
    if not len(scores):
        return precision, np.zeros(len(hit)), reached
    true = np.cumsum(hit & counted, axis=1).astype(np.float64)
    false = np.cumsum(~hit & counted, axis=1).astype(np.float64)
    recall = true / positives
    values = true / (false + true + np.spacing(1))
    values = np.maximum.accumulate(values[:, ::-1], axis=1)[:, ::-1]
    for t in range(len(hit)):
        index = np.searchsorted(recall[t], RECALL_POINTS, side="left")
        inside = index < len(scores)
        precision[t, inside] = values[t, index[inside]]
        reached[t, inside] = scores[index[inside]]
    return precision, recall[:, -1], reached
