# SPDX-License-Identifier: Apache-2.0
"""How identities come about in InsPro; no network code.

The identity of an object is the index of its query slot. In training, temporally consistent
matching binds objects to slots for the length of a clip; at test time a bounded bank of object
features and running class scores per slot are all that is remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from visbench.structures import Prediction

Costs = npt.NDArray[np.floating]
Slots = npt.NDArray[np.int64]


def extend_bank(bank: Sequence[Tensor], features: Tensor, size: int) -> list[Tensor]:
    """Return the object features of the last ``size`` frames, oldest first.

    Args:
        bank: Object features of earlier frames.
        features: Object features of the current frame.
        size: Bank size T, at least 1.
    """
    return [*bank, features][-size:]


def solve(costs: Costs) -> Slots:
    """Return the slot of every object in the cheapest assignment, -1 for objects left over.

    Args:
        costs: ``(N, G)`` cost of every slot for every object.

    Returns:
        ``(G,)`` slots, each at most once.

    Raises:
        FloatingPointError: If a cost is not finite, which means that training has diverged.
    """
    if not np.isfinite(costs).all():
        raise FloatingPointError(
            "a matching cost is NaN or infinite: the predictions are no longer finite; lower the "
            "learning rate, clip gradients or train without reduced precision"
        )
    slots = np.full(costs.shape[1], -1, dtype=np.int64)
    rows, columns = linear_sum_assignment(costs)
    slots[columns] = rows
    return slots


def _each_stage(costs: Costs) -> Slots:
    return np.stack([solve(stage) for stage in costs])


def _last_stage(costs: Costs) -> Slots:
    return np.repeat(solve(costs[-1])[None], len(costs), axis=0)


STAGE_MODES: dict[str, Callable[[Costs], Slots]] = {
    "per_stage_new": _each_stage,
    "last": _last_stage,
}
"""How new objects are matched: by each stage's own predictions, or by the last stage's for all.
Either way the binding that later frames use is the last stage's."""


class TemporallyConsistentMatching:
    """Matching of one clip in which an object keeps its slot (section 3.3 of the paper).

    Call :meth:`match` once per frame in temporal order. An object seen before is given its slot
    without a look at the cost; slots of absent objects stay reserved; new objects compete for the
    slots that are bound to none.

    Args:
        num_slots: Number of query slots N.
        stage_mode: ``per_stage_new`` or ``last``, see :data:`STAGE_MODES`.

    Raises:
        ValueError: If ``stage_mode`` is another word.
    """

    def __init__(self, num_slots: int, stage_mode: str = "per_stage_new") -> None:
        if stage_mode not in STAGE_MODES:
            raise ValueError(f"tcm_stage_mode={stage_mode!r} is not one of {sorted(STAGE_MODES)}")
        self.num_slots = num_slots
        self.stage_mode = stage_mode
        self.slot_of: dict[int, int] = {}

    def match(self, ids: Sequence[int], costs: Costs) -> Slots:
        """Match the objects of the next frame.

        Args:
            ids: G ids of the visible objects.
            costs: ``(S, N, G)`` costs of S stages.

        Returns:
            ``(S, G)`` slots, -1 for an object that found no free slot (it may be bound later).

        Raises:
            ValueError: If an id occurs twice.
        """
        ids = _unique(ids)
        slots = np.full((len(costs), len(ids)), -1, dtype=np.int64)
        known = np.array([object_id in self.slot_of for object_id in ids], dtype=bool)
        slots[:, known] = [
            self.slot_of[object_id] for object_id in ids if object_id in self.slot_of
        ]
        free = np.setdiff1d(np.arange(self.num_slots), list(self.slot_of.values()))
        if (~known).any() and len(free):
            found = STAGE_MODES[self.stage_mode](costs[:, free][:, :, ~known])
            slots[:, ~known] = np.where(found < 0, -1, free[found])
        for object_id, slot in zip(ids, slots[-1].tolist(), strict=True):
            if slot >= 0:
                self.slot_of[object_id] = slot
        return slots

    def owners(self) -> Slots:
        """Return the id bound to every slot, ``(N,)``, -1 for free slots."""
        owners = np.full(self.num_slots, -1, dtype=np.int64)
        for object_id, slot in self.slot_of.items():
            owners[slot] = object_id
        return owners


class IndependentMatching:
    """Hungarian matching of every frame and stage by itself (Sparse R-CNN; the paper's ablation).

    Args:
        num_slots: Number of query slots N.
    """

    def __init__(self, num_slots: int) -> None:
        self.num_slots = num_slots

    def match(self, ids: Sequence[int], costs: Costs) -> Slots:
        """Match one frame; see :meth:`TemporallyConsistentMatching.match`."""
        _unique(ids)
        return _each_stage(costs)


def _unique(ids: Sequence[int]) -> list[int]:
    values = [int(object_id) for object_id in ids]
    if len(set(values)) != len(values):
        raise ValueError(
            f"an object id occurs twice in one frame: {values}; correct 'instances_ids' of the data"
        )
    return values


Reducer = Callable[[Tensor, Tensor, Tensor, float], tuple[Tensor, Tensor]]


def _mean_all(
    totals: Tensor, counts: Tensor, probabilities: Tensor, threshold: float
) -> tuple[Tensor, Tensor]:
    return totals + probabilities, counts + 1


def _mean_present(
    totals: Tensor, counts: Tensor, probabilities: Tensor, threshold: float
) -> tuple[Tensor, Tensor]:
    present = (probabilities >= threshold).to(totals.dtype)
    return totals + probabilities * present, counts + present


def _max(
    totals: Tensor, counts: Tensor, probabilities: Tensor, threshold: float
) -> tuple[Tensor, Tensor]:
    return torch.maximum(totals, probabilities), torch.ones_like(counts)


SCORE_REDUCERS: dict[str, Reducer] = {
    "mean_all": _mean_all,
    "mean_present": _mean_present,
    "max": _max,
}
"""How class probabilities of the frames become one score: the mean over all frames, over the
frames in which they reach the frame threshold, or the largest."""


def accumulate_scores(
    totals: Tensor, counts: Tensor, probabilities: Tensor, threshold: float, reduce: str
) -> tuple[Tensor, Tensor]:
    """Add one frame to the running class scores.

    Args:
        totals: ``(N, K)`` sums (or maxima) so far.
        counts: ``(N, K)`` number of frames behind each.
        probabilities: ``(N, K)`` class probabilities of the frame.
        threshold: Probability from which an object counts as present.
        reduce: A name in :data:`SCORE_REDUCERS`.

    Returns:
        New totals and counts.

    Raises:
        ValueError: If ``reduce`` is unknown.
    """
    if reduce not in SCORE_REDUCERS:
        raise ValueError(f"score_reduce={reduce!r} is not one of {sorted(SCORE_REDUCERS)}")
    return SCORE_REDUCERS[reduce](totals, counts, probabilities, threshold)


def video_scores(totals: Tensor, counts: Tensor) -> Tensor:
    """Return the class scores ``(N, K)`` of the frames seen so far; 0 where there were none."""
    return totals / counts.clamp(min=1)


def best_slots(scores: Tensor, number: int) -> Tensor:
    """Return the slots with the highest class scores, in ascending order of the slot.

    Args:
        scores: ``(N, K)``.
        number: How many slots; all if there are fewer.
    """
    order = scores.amax(dim=1).argsort(descending=True, stable=True)
    return order[:number].sort().values


def predict_video(
    scores: Tensor, emitted: Sequence[int], top_k: int
) -> tuple[list[int], list[Prediction]]:
    """Choose what is reported of a video: the best (slot, class) pairs.

    Args:
        scores: ``(N, K)`` class scores of the video.
        emitted: Slots that were emitted in at least one frame; others have nothing to report.
        top_k: Number of pairs before the slots without a mask are left out.

    Returns:
        The slots that become tracks, and the predictions, which count among them.
    """
    num_classes = scores.shape[1]
    order = scores.flatten().argsort(descending=True, stable=True)[:top_k].tolist()
    pairs = [divmod(index, num_classes) for index in order]
    known = set(emitted)
    pairs = [(slot, label) for slot, label in pairs if slot in known]
    slots = list(dict.fromkeys(slot for slot, _ in pairs))
    predictions = [
        Prediction(slots.index(slot), label, float(scores[slot, label])) for slot, label in pairs
    ]
    return slots, predictions
