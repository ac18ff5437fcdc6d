# SPDX-License-Identifier: Apache-2.0
"""AP of the same masks with the identities of the ground truth (``--oracle ids``).

The predicted masks of every frame are linked anew, by what they overlap instead of by what the
method thought. What AP then misses is lost to masks, classes and scores; the difference to the AP
as it is was lost to association. Per video and category, among the predictions AP looks at:

1. In every frame, predicted masks and objects are paired one to one so that the sum of their frame
   IoUs is greatest; pairs below 0.1 are no pairs.
2. The masks paired with an object become one track. Its score is the highest among the predictions
   they come from.
3. A prediction without any paired mask stays as it is.
4. What remains of the others: a mask that has an IoU of at least 0.1 with an object of the frame is
   dropped, as this object has got its mask. A mask on no object stays in the prediction it comes
   from, except that the *main* prediction of an object hands its remaining masks over to the
   object's new track, in the frames where that has none. The home of a prediction is the object
   with most of its paired masks (the first of equals), and the main prediction of an object is, of
   those at home in it, the one with most masks paired with it (the highest-ranked of equals).

So no prediction becomes two, except that a rest keeps its identity and its score, and wrong masks
still cost what they cost before. Categories stay as predicted; crowds take part in nothing.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from visbench.evaluation.average_precision import Cell
from visbench.evaluation.frame_overlaps import Overlaps
from visbench.evaluation.tracks import mean_area

__all__ = ["assign_frames", "relink", "with_true_identities"]

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]

_FOREGROUND = 0.1


def with_true_identities(cell: Cell, overlaps: Overlaps) -> Cell:
    """Return a cell with the predicted masks linked like the objects.

    Args:
        cell: Tracks of one video and category.
        overlaps: All predictions and objects of the video.
    """
    part = overlaps.select(
        _positions(overlaps.result_index, cell.result_index),
        _positions(overlaps.gt_ids, cell.gt_ids),
    )
    source, score = relink(part)
    if not len(source):
        return cell
    taken = source >= 0
    frames = np.arange(source.shape[1])
    # Index -1 picks the last prediction; it is masked away.
    areas = np.where(taken, part.areas[frames, source], 0)
    common = np.where(taken[:, :, None], part.intersections[frames, source], 0).sum(axis=1)
    unions = np.add.outer(areas.sum(axis=1), part.gt_areas.sum(axis=0)) - common
    order = np.argsort(-score, kind="stable")
    ious = np.divide(common, unions, out=np.zeros(unions.shape), where=unions > 0, dtype=np.float64)
    return replace(
        cell,
        result_index=np.full(len(order), -1, np.int64),
        scores=score[order],
        areas=np.array([mean_area(areas[row]) for row in order]),
        ious=ious[order],
        _matches={},
    )


def _positions(values: Int64, wanted: Int64) -> Int64:
    order = np.argsort(values)
    return order[np.searchsorted(values, wanted, sorter=order)]


def relink(overlaps: Overlaps) -> tuple[Int64, Float64]:
    """Link masks anew.

    Args:
        overlaps: D predictions, by descending score, and the objects of one category.

    Returns:
        ``(N, T)``: the prediction that each new track takes its mask from in each frame, -1 for
        none; and ``(N,)`` scores. Tracks of objects come first, then what remains.
    """
    paired = assign_frames(np.where(overlaps.gt_crowd, 0.0, overlaps.frame_ious))
    length, number = overlaps.areas.shape
    objects = np.arange(len(overlaps.gt_ids))
    links = (paired[:, :, None] == objects).sum(axis=0)
    linked = links.any(axis=1)
    on_object = (overlaps.frame_ious[:, :, ~overlaps.gt_crowd] >= _FOREGROUND).any(axis=2)
    # What may remain of a prediction: (D, T).
    rest = ((overlaps.areas > 0) & (paired < 0)).T & ~(on_object.T & linked[:, None])
    tracks: list[Int64] = []
    scores: list[float] = []
    for g in np.flatnonzero(links.any(axis=0)):
        # Lists of predictions are by descending score, so the first contributor has the highest.
        track = np.full(length, -1, np.int64)
        frames, rows = np.nonzero(paired == g)
        track[frames] = rows
        main = _main(links, int(g))
        if main >= 0:
            track[(track < 0) & rest[main]] = main
            rest[main] = False
        tracks.append(track)
        scores.append(overlaps.scores[rows.min()])
    for d in range(number):
        if rest[d].any() or not linked[d]:
            tracks.append(np.where(rest[d], d, -1))
            scores.append(overlaps.scores[d])
    if not tracks:
        return np.zeros((0, length), np.int64), np.zeros(0)
    return np.stack(tracks), np.array(scores)


def _main(links: Int64, g: int) -> int:
    """Return the main prediction of an object, -1 if none is at home in it."""
    home = (links.argmax(axis=1) == g) & (links[:, g] > 0)
    return int(np.where(home, links[:, g], -1).argmax()) if home.any() else -1


def assign_frames(frame_ious: Float64) -> Int64:
    """Pair the masks of every frame one to one for the greatest sum of IoUs.

    Args:
        frame_ious: ``(T, D, G)``; IoUs below 0.1 count as 0.

    Returns:
        ``(T, D)`` index of the object, -1 for none.
    """
    paired = np.full(frame_ious.shape[:2], -1, np.int64)
    ious = np.where(frame_ious >= _FOREGROUND, frame_ious, 0.0)
    for frame in np.flatnonzero(ious.any(axis=(1, 2))):
        used = np.flatnonzero(ious[frame].any(axis=1))
        rows, columns = linear_sum_assignment(ious[frame, used], maximize=True)
        real = ious[frame, used[rows], columns] > 0
        paired[frame, used[rows[real]]] = columns[real]
    return paired
