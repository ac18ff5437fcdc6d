# SPDX-License-Identifier: Apache-2.0
"""Region and boundary measures J and F of the DAVIS 2017 unsupervised benchmark.

Frames are compared one at a time: boundaries and dilations are made once per mask, not per pair,
and nothing but the J and F of each (frame, proposal, object) is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from visbench.evaluation.boundaries import boundary_f, boundary_pixels, dilate, tolerance
from visbench.evaluation.errors import InputError

__all__ = [
    "MAX_PROPOSALS",
    "VOID",
    "ObjectResult",
    "SequenceResult",
    "evaluate_sequence",
    "summarize_sequences",
]

MAX_PROPOSALS = 20
VOID = 255

_RECALL_THRESHOLD = 0.5
_QUARTERS = 4

Labels = npt.NDArray[np.uint8]
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ObjectResult:
    """An object and the proposal it was given.

    Attributes:
        proposal_id: Label of the proposal in the results.
        gt_id: Label of the object in the ground truth.
        j_mean, j_recall, j_decay: Region measure: mean, share of frames above 0.5, and loss from
            the first to the last quarter of the sequence.
        f_mean, f_recall, f_decay: The same of the boundary measure.
    """

    proposal_id: int
    gt_id: int
    j_mean: float
    j_recall: float
    j_decay: float
    f_mean: float
    f_recall: float
    f_decay: float


@dataclass(frozen=True)
class SequenceResult:
    """The outcome of one sequence.

    Attributes:
        name: The sequence.
        matches: One entry per object, in order of the proposals.
        gt_ids: Labels of the objects.
        mean_jf: ``(P, G)`` mean of J and F of each proposal with each object; rows are padded with
            empty proposals up to the number of objects.
        missing_ids: Labels below the highest that do not occur in the first frame.
    """

    name: str
    matches: list[ObjectResult]
    gt_ids: tuple[int, ...]
    mean_jf: Float64
    missing_ids: tuple[int, ...]


def evaluate_sequence(
    name: str,
    truth: Iterable[Labels],
    proposals: Iterable[Labels],
    *,
    official_bugs: bool = False,
) -> SequenceResult:
    """Evaluate one sequence.

    The objects are the labels of the first ground-truth frame; labels that appear later are
    background. Each is given one proposal so that the sum of the mean of J and F is highest.

    Args:
        name: Name of the sequence.
        truth: T label maps ``(H, W)``: 0 background, 255 void.
        proposals: T label maps ``(H, W)`` with labels up to 20.
        official_bugs: Count a label that is missing in the first frame as an (empty) object, and
            keep frame numbers of the decay in 8 bits as the reference does.

    Raises:
        InputError: There are no frames or not equally many, sizes differ, or a label is above 20.
    """
    frames = _Frames(name)
    try:
        for expected, found in zip(truth, proposals, strict=True):
            frames.add(np.asarray(expected), np.asarray(found))
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            name, f"frame {frames.count}", "", "ground truth and results differ in length"
        ) from None
    if not frames.count:
        raise InputError(name, "", "", "has no frames")
    return frames.finish(official_bugs)


class _Frames:
    """J and F of every (frame, proposal, object) seen so far."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.count = 0
        self.present: list[int] = []
        self.highest = 0
        self.proposals = 0
        self.region: list[Float64] = []
        self.boundary: list[Float64] = []

    def add(self, truth: Labels, found: Labels) -> None:
        place = f"frame {self.count}"
        if truth.ndim != 2 or truth.shape != found.shape:
            raise InputError(
                self.name, place, "", f"result has size {found.shape}, not {truth.shape}"
            )
        for labels in (truth, found):
            if labels.dtype.kind not in "iu" or (labels.size and labels.min() < 0):
                raise InputError(self.name, place, "", "labels must be integers of at least 0")
        self._check_labels(place, int(found.max(initial=0)))
        void = truth == VOID
        if not self.count:
            labels = np.unique(truth[~void])
            self.present = [int(label) for label in labels if label > 0]
            self.highest = max(self.present, default=0)
        truth = np.where(void | (truth > self.highest), 0, truth)
        kept = np.where(void, 0, found)
        self.region.append(_region(truth, kept, void, self.highest))
        self.boundary.append(_boundary(truth, kept, self.highest))
        self.count += 1

    def _check_labels(self, place: str, highest: int) -> None:
        self.proposals = max(self.proposals, highest)
        if highest == VOID:
            raise InputError(
                self.name,
                place,
                "",
                "label 255 in the results: void exists in the ground truth only",
                "Write 0 where there is no proposal",
            )
        if highest > MAX_PROPOSALS:
            raise InputError(
                self.name,
                place,
                "",
                f"label {highest} in the results, more than {MAX_PROPOSALS} proposals",
                f"Number the best {MAX_PROPOSALS} proposals of a sequence from 1",
            )

    def finish(self, official_bugs: bool) -> SequenceResult:
        every = tuple(range(1, self.highest + 1))
        missing = tuple(label for label in every if label not in self.present)
        gt_ids = every if official_bugs else tuple(self.present)
        columns = np.array(gt_ids, np.int64) - 1
        rows = max(self.proposals, len(gt_ids))
        region = np.stack(self.region)[:, :rows][:, :, columns]
        boundary = np.stack(self.boundary)[:, :rows][:, :, columns]
        mean_jf = (region.mean(axis=0) + boundary.mean(axis=0)) / 2
        assigned = zip(*linear_sum_assignment(-mean_jf), strict=True)
        matches = [
            ObjectResult(
                int(row) + 1,
                gt_ids[column],
                *_statistics(region[:, row, column], official_bugs),
                *_statistics(boundary[:, row, column], official_bugs),
            )
            for row, column in assigned
        ]
        return SequenceResult(self.name, matches, gt_ids, mean_jf, missing)


def _row_count(highest: int) -> int:
    return max(MAX_PROPOSALS, highest)


def _region(truth: Labels, found: Labels, void: npt.NDArray[np.bool_], highest: int) -> Float64:
    """Return J ``(P, G)`` of one frame from the joint histogram of both label maps."""
    rows, columns = _row_count(highest) + 1, highest + 1
    joint = found[~void].astype(np.int64) * columns + truth[~void]
    counts = np.bincount(joint, minlength=rows * columns).reshape(rows, columns)
    inter = counts[1:, 1:]
    union = counts.sum(axis=1)[1:, None] + counts.sum(axis=0)[None, 1:] - inter
    region: Float64 = np.ones(inter.shape)
    np.divide(inter, union, out=region, where=union > 0)
    return region


def _boundary(truth: Labels, found: Labels, highest: int) -> Float64:
    """Return F ``(P, G)`` of one frame."""
    height, width = truth.shape
    radius = tolerance(height, width)
    nothing = np.zeros(0, np.int64), np.zeros(0, np.bool_)
    objects, proposals = (_edges(labels, radius) for labels in (truth, found))
    values = np.zeros((_row_count(highest), highest))
    for row in range(values.shape[0]):
        first = proposals.get(row + 1, nothing)
        for column in range(highest):
            values[row, column] = boundary_f(*first, *objects.get(column + 1, nothing))
    return values


def _edges(
    labels: Labels, radius: int
) -> dict[int, tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]]:
    """Return boundary and surrounding of every label that occurs."""
    height, width = labels.shape
    edges = {}
    for label in np.flatnonzero(np.bincount(labels.reshape(-1))).tolist():
        if label:
            pixels = boundary_pixels(labels == label)
            edges[label] = pixels, dilate(pixels, height, width, radius)
    return edges


def _statistics(values: Float64, official_bugs: bool) -> tuple[float, float, float]:
    """Return mean, recall and decay of one value per frame."""
    cuts = np.round(np.linspace(1, len(values), _QUARTERS + 1) + 1e-10) - 1
    bounds = cuts.astype(np.uint8).astype(int) if official_bugs else cuts.astype(int)
    first = values[bounds[0] : bounds[1] + 1]
    last = values[bounds[-2] : bounds[-1] + 1]
    # The wrapped frame numbers of the reference can leave a quarter empty.
    decay = first.mean() - last.mean() if first.size and last.size else np.nan
    return float(values.mean()), float(np.mean(values > _RECALL_THRESHOLD)), float(decay)


def summarize_sequences(sequences: Sequence[SequenceResult]) -> dict[str, float]:
    """Return the seven numbers of the benchmark: plain means over all objects; -1 without any."""
    matches = [match for sequence in sequences for match in sequence.matches]
    if not matches:
        return dict.fromkeys(("J&F-Mean", *_FIELDS), -1.0)
    numbers = {
        name: float(np.mean([getattr(match, attribute) for match in matches]))
        for name, attribute in _FIELDS.items()
    }
    return {"J&F-Mean": (numbers["J-Mean"] + numbers["F-Mean"]) / 2, **numbers}


_FIELDS = {
    "J-Mean": "j_mean",
    "J-Recall": "j_recall",
    "J-Decay": "j_decay",
    "F-Mean": "f_mean",
    "F-Recall": "f_recall",
    "F-Decay": "f_decay",
}
