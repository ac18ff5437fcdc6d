# SPDX-License-Identifier: Apache-2.0
"""All numbers of a report that the rows do not hold, computed once by the evaluator, in points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from visbench.benchmark.report.collect import Group, Run, Spread
from visbench.benchmark.rows import Row
from visbench.benchmark.scoring import intervals, score
from visbench.benchmark.summary import Line
from visbench.evaluation import Annotations, EvaluationResult, evaluate, load_annotations
from visbench.evaluation.average_precision import Cell
from visbench.evaluation.breakdown import Selection, make_splits
from visbench.evaluation.error_analysis import KINDS
from visbench.evaluation.errors import InputError
from visbench.evaluation.metrics import METRICS

SPLITS = ("class", "video_length", "occlusion", "object_size", "motion")
"""Splits of the breakdown in the order of the page, see :mod:`visbench.evaluation.breakdown`."""

_TOLERANCE = 0.005


@dataclass(frozen=True)
class ErrorShares:
    """What AP is lost to, in points; by kind, see :mod:`visbench.evaluation.error_analysis`.

    Attributes:
        steps: Gain of each kind when all are repaired in turn; with AP they add up to 100.
        alone: Gain of each kind when it alone is repaired.
        false: Predictions of each kind at an IoU of 0.5.
        lost: Objects that are lost to each kind at an IoU of 0.5.
    """

    steps: Mapping[str, float | None]
    alone: Mapping[str, float | None]
    false: Mapping[str, int]
    lost: Mapping[str, int]


@dataclass(frozen=True)
class Analysis:
    """The numbers of one run, in points; None where undefined.

    Attributes:
        metric: Which of the evaluator's metrics.
        numbers: By name.
        resampling: Interval and resamples of AP, as in the ``details`` of rows.
        splits: AP by split and group.
        videos: AP by video id.
        errors: What AP is lost to; None for tracks of boxes.
        threshold: Score from which on predictions are drawn, see :func:`best_threshold`.
        notes: Remarks of the evaluator, and a change of the files since the row was written.
    """

    metric: str
    numbers: Mapping[str, float | None]
    resampling: Mapping[str, Any]
    splits: Mapping[str, Mapping[str, float | None]]
    videos: Mapping[int, float | None]
    errors: ErrorShares | None
    threshold: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class DatasetFacts:
    """What a data set's splits consist of.

    Attributes:
        annotations: The file, loaded.
        objects: Number of objects by split and group.
        videos: Ids of the videos with such an object, by split and group.
        boxes: Whether its objects are boxes; they are masks otherwise.
    """

    annotations: Annotations
    objects: Mapping[str, Mapping[str, int]]
    videos: Mapping[str, Mapping[str, frozenset[int]]]
    boxes: bool = False


@dataclass
class Numbers:
    """All computed numbers: facts by annotation file, analyses by key of the run."""

    facts: dict[Path, DatasetFacts] = field(default_factory=dict)
    analyses: dict[str, Analysis] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    def of(self, group: Group) -> list[Analysis]:
        """Return the analyses of a group's runs that have one."""
        return [self.analyses[run.key] for run in group.runs if run.key in self.analyses]

    def interval(self, group: Group) -> tuple[float, float] | None:
        """Return the limits of a group's AP over videos, of the mean over seeds."""
        rows = [
            replace(run.row, details={**self.analyses[run.key].resampling, **run.row.details})
            for run in group.runs
            if run.key in self.analyses
        ]
        return Line(tuple(rows)).interval if len(rows) == len(group.runs) else group.line.interval

    def split(self, group: Group, split: str, name: str) -> Spread | None:
        """Return the spread over seeds of a group's AP in one part of the data."""
        return Spread.of([found.splits.get(split, {}).get(name) for found in self.of(group)])

    def video(self, group: Group, video_id: int) -> Spread | None:
        """Return the spread over seeds of a group's AP on one video."""
        return Spread.of([found.videos.get(video_id) for found in self.of(group)])

    def error(self, group: Group, kind: str) -> Spread | None:
        """Return the spread over seeds of what a group loses to a kind of error, in turn."""
        return Spread.of([found.errors.steps[kind] for found in self.of(group) if found.errors])

    def add(self, run: Run) -> None:
        """Evaluate a run; what stands in the way becomes a note."""
        if run.results is None or run.annotations is None:
            return
        metric = metric_of(run.row)
        if metric is None:
            self.notes[run.key] = "its metric is not one of tracks; no breakdown"
            return
        boxes = METRICS[metric].tracks == "boxes"
        try:
            if run.annotations not in self.facts:
                self.facts[run.annotations] = facts_of(run.annotations, boxes)
            facts = self.facts[run.annotations]
            if facts.boxes != boxes:
                kinds = "boxes, other rows of masks" if boxes else "masks, other rows of boxes"
                self.notes[run.key] = f"{metric} is of {kinds} on these data; no breakdown"
                return
            self.analyses[run.key] = analyse(run, facts.annotations, metric)
        except InputError as error:
            self.notes[run.key] = f"cannot be evaluated: {error}"


def metric_of(row: Row) -> str | None:
    """Return the evaluator's metric that a row's AP is of; None if it is another one's."""
    names = [name.rpartition("/") for name in row.details.get("metrics", {})]
    kind = next((kind for kind, _, name in names if name == "AP"), "youtube_vis")
    return kind if kind in METRICS and METRICS[kind].statistics else None


def facts_of(path: Path, boxes: bool = False) -> DatasetFacts:
    """Load an annotation file and count the members of its splits.

    Args:
        path: The file.
        boxes: Load boxes in place of masks.

    Raises:
        InputError: The file has a defect or no ground truth.
    """
    annotations = load_annotations(path, masks=not boxes, boxes=boxes)
    annotations.require_tracks()
    splits = make_splits(annotations)
    members = {
        split: {name: _members(annotations, selection) for name, selection in groups.items()}
        for split, groups in splits.items()
    }
    return DatasetFacts(
        annotations,
        {s: {name: len(found) for name, found in groups.items()} for s, groups in members.items()},
        {
            s: {name: frozenset(video for video in found) for name, found in groups.items()}
            for s, groups in members.items()
        },
        boxes,
    )


def _members(annotations: Annotations, selection: Selection) -> list[int]:
    """Return the video of every object of a selection."""
    return [
        track.video_id
        for track in annotations.tracks or []
        if not track.is_crowd
        and (selection.videos is None or track.video_id in selection.videos)
        and (selection.categories is None or track.category_id in selection.categories)
        and (selection.objects is None or track.id in selection.objects)
    ]


def analyse(run: Run, truth: Annotations, metric: str) -> Analysis:
    """Evaluate the predictions of a run.

    Args:
        run: A run with its results.
        truth: The loaded annotation file.
        metric: A metric with statistics.

    Raises:
        InputError: The results have a defect.
    """
    assert run.results is not None
    pooled = run.row.class_agnostic
    result = score(run.results, truth, metric, pooled)
    numbers = {name: _points(value) for name, value in result.metrics[metric].items()}
    masks = METRICS[metric].tracks == "masks"
    return Analysis(
        metric=metric,
        numbers=numbers,
        resampling=intervals(result),
        splits={
            split: {group: _points(values["AP"]) for group, values in groups.items()}
            for split, groups in (result.breakdown or {}).get(metric, {}).items()
        },
        videos={
            int(video): _points(values[metric]["AP"])
            for video, values in (result.per_video or {}).items()
        },
        errors=_error_shares(evaluate(truth, run.results, "errors", class_agnostic=pooled))
        if masks
        else None,
        threshold=best_threshold(result.cells[METRICS[metric].tracks]),
        notes=(*result.warnings, *_changed(run.row, numbers["AP"])),
    )


def _points(value: float) -> float | None:
    return None if value == -1 else 100 * float(value)


def _error_shares(result: EvaluationResult) -> ErrorShares:
    found = result.details["errors"]
    return ErrorShares(
        steps={kind: _points(found.steps[kind]) for kind in KINDS},
        alone={kind: _points(found.gains[kind]) for kind in KINDS},
        false={kind: int(counts[0]) for kind, counts in found.false_positives.items()},
        lost={kind: int(counts[0]) for kind, counts in found.lost_objects.items()},
    )


def _changed(row: Row, ap: float | None) -> tuple[str, ...]:
    if row.AP is None or ap is None or abs(row.AP - ap) <= _TOLERANCE:
        return ()
    return (
        f"the row says {row.AP:.2f} AP, its results.json gives {ap:.2f}: results or annotations "
        "have changed since",
    )


def best_threshold(cells: Sequence[Cell]) -> float:
    """Return the score threshold with the best F1 of tracks at an IoU of 0.5.

    Scores of different methods mean different things; at this threshold each is drawn at its best.
    Of equal ones the highest is taken. Without any hit it is the score down to which there are as
    many predictions as objects.

    Args:
        cells: Compared tracks of every video and category.

    Returns:
        A score of a prediction; 0 without predictions.
    """
    scores = np.concatenate([np.zeros(0), *(cell.scores for cell in cells)])
    if not len(scores):
        return 0.0
    hits = np.concatenate([_hits(cell) for cell in cells])
    objects = sum(int((~cell.gt_crowd).sum()) for cell in cells)
    order = np.argsort(-scores, kind="stable")
    scores, found = scores[order], np.cumsum(hits[order])
    if not found[-1]:
        return float(scores[min(max(objects, 1), len(scores)) - 1])
    f1 = 2 * found / (np.arange(1, len(scores) + 1) + objects)
    # Equal scores cannot be told apart by a threshold: the last of them speaks for all.
    last = np.append(scores[1:] < scores[:-1], True)
    return float(scores[int(np.argmax(np.where(last, f1, -1.0)))])


def _hits(cell: Cell) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    matches = cell.match(cell.gt_crowd)[0]
    hits: np.ndarray[tuple[int], np.dtype[np.bool_]] = (matches >= 0) & ~np.append(
        cell.gt_crowd, True
    )[matches]
    return hits
