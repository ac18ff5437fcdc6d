# SPDX-License-Identifier: Apache-2.0
"""How IAI comes to identities: ranking, painting and assignment of detections; no network code."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

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
    if ranking not in RANKINGS:
        raise ValueError(f"ranking={ranking!r} is not one of {sorted(RANKINGS)}")
    scores = class_scores.amax(dim=1)
    if id_scores is not None:
        scores = RANKINGS[ranking](scores, id_scores.amax(dim=1), first_frame)
    return scores if quality is None else scores * quality
