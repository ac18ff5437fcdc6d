# SPDX-License-Identifier: Apache-2.0
"""How IAI comes to identities: ranking, painting and assignment of detections; no network code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment
from torch import Tensor

Flags = npt.NDArray[np.bool_]
Ids = npt.NDArray[np.int64]
Scores = npt.NDArray[np.floating]
Ranking = Callable[[Tensor, Tensor, bool], Tensor]


def _weighted(classes: Tensor, ids: Tensor, first_frame: bool) -> Tensor:
    return classes + 0.5 * ids if first_frame else 0.5 * classes + ids


def _average(classes: Tensor, ids: Tensor, first_frame: bool) -> Tensor:
    return (classes + ids) / 2


RANKINGS: dict[str, Ranking] = {"weighted": _weighted, "average": _average}
"""How class and id score make the score of non-maximum suppression. ``weighted`` is the reference
implementation: the id counts half in the first frame, the class counts half later. ``average`` is
the paper (section 3.2)."""


def rank(
    class_scores: Tensor,
    id_scores: Tensor | None,
    first_frame: bool,
    ranking: str = "weighted",
    quality: Tensor | None = None,
) -> Tensor:
    """Return the scores by which the detections of a frame are suppressed and cut off.

    Args:
        class_scores: ``(n, C)``.
        id_scores: ``(n, N)``; None without id branch, when the class alone decides.
        first_frame: Whether the video begins with this frame.
        ranking: A name in :data:`RANKINGS`.
        quality: ``(n,)`` factors, such as the centerness.

    Returns:
        ``(n,)`` scores, which may exceed 1.

    Raises:
        ValueError: If ``ranking`` is unknown.
    """
    check_ranking(ranking)
    scores = class_scores.amax(dim=1)
    if id_scores is not None:
        scores = RANKINGS[ranking](scores, id_scores.amax(dim=1), first_frame)
    return scores if quality is None else scores * quality


def check_ranking(name: str) -> None:
    """Check the name of a ranking.

    Raises:
        ValueError: If it is not in :data:`RANKINGS`.
    """
    if name not in RANKINGS:
        raise ValueError(f"ranking={name!r} is not one of {sorted(RANKINGS)}")


@dataclass(frozen=True)
class OverflowRule:
    """What becomes of new objects once the ids are used up.

    Args:
        reserved: How many of the N ids no track gets; the one for "new" is among them.
        shared: Whether all further objects get one id, which is remembered but never emitted;
            otherwise they are discarded.
    """

    reserved: int
    shared: bool


OVERFLOW_RULES = {"discard": OverflowRule(1, False), "share": OverflowRule(2, True)}
"""``discard`` is the paper (section 3.2): N - 1 tracks, further objects are ignored. ``share`` is
the reference implementation: N - 2 tracks; all further objects take the id N - 2, the later
overwriting the earlier, and each of them counts as new."""

NO_ID = -1
"""Stands for objects that got no id and pixels that belong to none, background included."""

SMALLEST_OVERLAP = 0.3
"""Without predicted ids, an object of the last frame is found again from this IoU on (ours)."""


@dataclass(frozen=True)
class FrameIdentities:
    """Who is who in one frame.

    Attributes:
        visible: ``(n,)`` whether enough of a detection is seen; the others are dropped.
        ids: ``(n,)`` id of every detection, :data:`NO_ID` for those that are dropped or discarded.
        num_known: Ids handed out to tracks so far, 0 to ``num_known - 1``.
        new: Whether an object has appeared in this frame.
        label_map: ``(H, W)`` id of every pixel of the padded frame, N for background.
    """

    visible: Flags
    ids: Ids
    num_known: int
    new: bool
    label_map: Ids


def identify(
    masks: Flags,
    id_scores: Scores,
    num_known: int,
    overflow: str = "discard",
    visible_fraction: float = 0.1,
) -> FrameIdentities:
    """Decide the ids of the detections of a frame (fact sheet, section 6).

    Args:
        masks: ``(n, H, W)`` in the order of non-maximum suppression.
        id_scores: ``(n, N)`` of ids, the last one for "new".
        num_known: Ids handed out in earlier frames.
        overflow: A name in :data:`OVERFLOW_RULES`.
        visible_fraction: A detection is dropped if a smaller part of it is not hidden by earlier
            ones.

    Returns:
        The ids and the label map. A dropped detection hides later ones all the same, but its
        pixels count as background; of several detections with one id the last one has it, and the
        pixels of the others belong to no id.
    """
    num_ids = id_scores.shape[1]
    owners, visible = paint(masks, visible_fraction)
    ids = np.full(len(masks), NO_ID, dtype=np.int64)
    ids[visible], known, new = assign_ids(id_scores[visible], num_known, overflow)
    values = np.where(ids == NO_ID, num_ids, ids)
    for object_id in np.unique(ids[ids != NO_ID]):
        values[np.flatnonzero(ids == object_id)[:-1]] = NO_ID
    label_map = np.append(values, num_ids)[owners]
    return FrameIdentities(visible, ids, known, new, label_map)


def paint(masks: Flags, visible_fraction: float = 0.0) -> tuple[Ids, Flags]:
    """Give every pixel to the first of the masks that hold it.

    Args:
        masks: ``(n, H, W)``, the first in front.
        visible_fraction: Part of a mask that must be left for it to be visible, 0 to 1.

    Returns:
        Owner ``(H, W)`` of every pixel, -1 for none, and ``(n,)`` whether a mask is visible; an
        empty one never is.
    """
    owners = np.full(masks.shape[1:], -1, dtype=np.int64)
    visible = np.zeros(len(masks), dtype=bool)
    for index, mask in enumerate(masks):
        own = mask & (owners < 0)
        owners[own] = index
        total = np.count_nonzero(mask)
        visible[index] = total > 0 and np.count_nonzero(own) >= visible_fraction * total
    return owners, visible


def assignment_costs(id_scores: Scores) -> Scores:
    """Return the costs of the assignment of detections to ids.

    Args:
        id_scores: ``(n, N)``.

    Returns:
        ``(n, N + n)``: negative scores of the N ids, 0 for background, and the score for "new"
        n - 1 times more, so that any number of detections can be new.
    """
    number, num_ids = id_scores.shape
    background = np.zeros((number, 1), dtype=id_scores.dtype)
    again = np.repeat(id_scores[:, -1:], number, axis=1)
    return -np.concatenate([id_scores, background, again], axis=1)[:, : num_ids + number]


def solve(costs: Scores) -> Ids:
    """Return the column of every row in the cheapest assignment.

    Args:
        costs: ``(n, m)`` with m not below n.

    Raises:
        FloatingPointError: If a cost is not finite.
    """
    if not np.isfinite(costs).all():
        raise FloatingPointError(
            "scores of ids are not finite; the weights have diverged or belong to another model"
        )
    columns: Ids = linear_sum_assignment(costs)[1]
    return columns


def assign_ids(
    id_scores: Scores, num_known: int, overflow: str = "discard"
) -> tuple[Ids, int, bool]:
    """Match the detections of a frame with the ids and hand out new ones.

    Every detection whose column is not an id handed out in an earlier frame is new: ids nobody has
    yet, "new", its copies, and background. No score is too low for a match.

    Args:
        id_scores: ``(n, N)`` of the visible detections.
        num_known: Ids handed out in earlier frames.
        overflow: A name in :data:`OVERFLOW_RULES`.

    Returns:
        ``(n,)`` ids, :data:`NO_ID` for discarded detections; the number of ids handed out by now;
        whether an object has appeared.

    Raises:
        ValueError: If ``overflow`` is unknown.
    """
    rule = overflow_rule(overflow)
    limit = id_scores.shape[1] - rule.reserved
    ids = solve(assignment_costs(id_scores))
    count, new = num_known, False
    for row in np.flatnonzero(ids >= num_known):
        if count < limit:
            ids[row], count, new = count, count + 1, True
        elif rule.shared:
            ids[row], new = limit, True
        else:
            ids[row] = NO_ID
    return ids, count, new


def overflow_rule(name: str) -> OverflowRule:
    """Return a rule by its name.

    Raises:
        ValueError: If the name is unknown.
    """
    if name not in OVERFLOW_RULES:
        raise ValueError(f"overflow={name!r} is not one of {sorted(OVERFLOW_RULES)}")
    return OVERFLOW_RULES[name]


def overlap_scores(masks: Flags, label_map: Ids, num_ids: int) -> Scores:
    """Return scores of ids from the overlap with the last frame, for a model without id branch.

    Args:
        masks: ``(n, H, W)``.
        label_map: ``(H, W)`` of the last frame.
        num_ids: Number of ids N.

    Returns:
        ``(n, N)`` IoU with what every id covered; :data:`SMALLEST_OVERLAP` for "new".
    """
    scores = np.zeros((len(masks), num_ids), dtype=np.float32)
    areas = np.bincount(label_map[label_map >= 0].ravel(), minlength=num_ids + 1)[:num_ids]
    for row, mask in enumerate(masks):
        covered = label_map[mask]
        shared = np.bincount(covered[covered >= 0], minlength=num_ids + 1)[:num_ids]
        union = np.count_nonzero(mask) + areas - shared
        scores[row] = shared / np.maximum(union, 1)
    scores[:, -1] = SMALLEST_OVERLAP
    return scores


def class_vectors(ids: Ids, class_scores: Scores, num_ids: int) -> Scores:
    """Return the class scores ``(N, C)`` of the ids of a frame; absent ids have 0.

    Args:
        ids: ``(n,)``; of several detections with one id the last one counts.
        class_scores: ``(n, C)``.
        num_ids: Number of ids N.
    """
    vectors = np.zeros((num_ids, class_scores.shape[1]), dtype=np.float32)
    for object_id, scores in zip(ids, class_scores, strict=True):
        if object_id != NO_ID:
            vectors[object_id] = scores
    return vectors


def video_predictions(
    totals: Scores, num_frames: int, maximum: int = 10, threshold: float = 0.05
) -> list[tuple[int, int, float]]:
    """Choose what is reported of a video: the best pairs of id and class.

    Args:
        totals: ``(N, C)`` sum of the class vectors of all frames.
        num_frames: Length of the video; frames without the object count as 0.
        maximum: Number of pairs at most.
        threshold: Pairs must have a higher mean score.

    Returns:
        ``(id, label, score)``, best first; one id may have several classes.
    """
    means = totals / max(num_frames, 1)
    order = np.argsort(-means, axis=None, kind="stable")[:maximum]
    pairs = [divmod(int(index), means.shape[1]) for index in order]
    return [
        (object_id, label, float(means[object_id, label]))
        for object_id, label in pairs
        if means[object_id, label] > threshold
    ]
