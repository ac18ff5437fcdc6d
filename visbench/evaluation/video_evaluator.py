# SPDX-License-Identifier: Apache-2.0
"""Evaluation video by video: masks are compared and dropped, only scores and IoUs are kept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from visbench.evaluation.analysis import AnalysisOptions, analyse
from visbench.evaluation.annotation_files import load_annotations
from visbench.evaluation.annotations import Annotations, GroundTruthTrack
from visbench.evaluation.average_precision import CLASS_AGNOSTIC, LIMITS, Cell
from visbench.evaluation.errors import InputError, Notes
from visbench.evaluation.frame_overlaps import FrameOverlaps, Overlaps
from visbench.evaluation.metrics import METRICS, summarize
from visbench.evaluation.result import EvaluationResult
from visbench.evaluation.results import Prediction, ResultReader
from visbench.evaluation.scorers import ErrorScorer, HotaScorer, PrecisionScorer
from visbench.evaluation.track_iou import Float64, Int64, box_track_ious, mask_track_ious

__all__ = ["Collected", "VideoEvaluator", "metric_names"]

_CellKey = tuple[int, int]


def metric_names(metric: str | Sequence[str]) -> list[str]:
    """Return the metrics asked for.

    Raises:
        ValueError: One of them does not exist.
    """
    names = [metric] if isinstance(metric, str) else list(metric)
    for name in names:
        if name not in METRICS:
            raise ValueError(f"unknown metric {name!r}; there are {', '.join(METRICS)}")
    return names


@dataclass(frozen=True)
class _Compared:
    """A prediction after its masks are dropped; ``ious`` are with the objects of its cell."""

    index: int
    category_id: int
    score: float
    area: float
    ious: Float64


@dataclass(frozen=True)
class Collected:
    """What an evaluator holds, in a form that is quickly sent to another process.

    Attributes:
        count: Number of records read.
        unknown_categories: How many predictions were of each category that does not exist.
        keys: For each kind of track: ``(N, 4)`` video, pool, position and category.
        numbers: For each kind of track: ``(N, 2)`` score and area.
        ious: For each kind of track: N rows of IoUs, one behind the other.
    """

    count: int
    unknown_categories: dict[int, int]
    keys: dict[str, Int64]
    numbers: dict[str, Float64]
    ious: dict[str, Float64]


class VideoEvaluator:
    """Collects the results of videos one by one and computes the metrics at the end.

    Memory does not grow with the masks seen: a video is compared with its ground truth when it
    arrives. Videos without results need no call.

    Args:
        annotations: Annotation file: path, content, or loaded.
        metric: One or several of ``youtube_vis``, ``ovis``, ``imagenet_vid``, ``hota`` and
            ``errors``.
        class_agnostic: Put all categories of a video in one pool.
        official_bugs: Reproduce the errors of the official evaluator.
        tolerant: Leave out records with defects and list them in the result.
        source: Name of the results for messages.
        analysis: What to compute beyond the numbers of the metrics.
        workers: Processes that read the annotation file, see :func:`load_annotations`.

    Raises:
        InputError: The annotation file has a defect, or no ground truth.
        ValueError: The metric does not exist, or does not allow the analysis.
    """

    def __init__(
        self,
        annotations: str | Path | Mapping[str, Any] | Annotations,
        metric: str | Sequence[str] = "youtube_vis",
        *,
        class_agnostic: bool = False,
        official_bugs: bool = False,
        tolerant: bool = False,
        source: str = "results",
        analysis: AnalysisOptions | None = None,
        workers: int | None = None,
    ) -> None:
        self.metrics = metric_names(metric)
        self.analysis = analysis or AnalysisOptions()
        self.analysis.check(self.metrics)
        self.class_agnostic = class_agnostic
        self.official_bugs = official_bugs
        self.kinds: list[str] = sorted({METRICS[name].tracks for name in self.metrics})
        self.annotations = load_annotations(
            annotations,
            masks="masks" in self.kinds,
            boxes="boxes" in self.kinds,
            official_bugs=official_bugs,
            tolerant=tolerant,
            workers=workers,
        )
        self.annotations.require_tracks()
        self._check_kinds()
        file_notes = self.annotations.notes
        self.notes = Notes([*file_notes.warnings], [*file_notes.skipped])
        self.reader = ResultReader(
            self.annotations,
            source,
            masks="masks" in self.kinds,
            boxes="boxes" in self.kinds,
            official_bugs=official_bugs,
            tolerant=tolerant,
            notes=self.notes,
            class_agnostic=class_agnostic,
        )
        self._updated: set[int] = set()
        self._compared: dict[str, dict[_CellKey, list[_Compared]]] = {
            kind: defaultdict(list) for kind in self.kinds
        }
        frames = self.analysis.needs_frames(self.metrics)
        self._frames = FrameOverlaps(self.annotations) if frames else None

    def _check_kinds(self) -> None:
        for track in self.annotations.tracks or []:
            for kind in self.kinds:
                if getattr(track, kind) is None:
                    raise ValueError(
                        f"the annotations were loaded without {kind}: call "
                        f"load_annotations(..., {kind}=True)"
                    )

    def update(self, video_id: int, results: Iterable[Mapping[str, Any]]) -> None:
        """Add all predictions of a video.

        Args:
            video_id: Id of the video in the annotation file.
            results: Records as in ``results.json``; ``video_id`` may be missing, RLE counts may be
                strings, bytes or lists. Their order breaks ties between equal scores.

        Raises:
            InputError: The video is unknown or came before, or a record has a defect.
        """
        if video_id not in self.annotations.videos:
            raise InputError(
                self.reader.source,
                "",
                "video_id",
                f"{video_id} is not a video of {self.annotations.source}",
                "Give the dataset and the evaluator the same annotation file",
            )
        if video_id in self._updated:
            raise InputError(
                self.reader.source, "", "video_id", f"video {video_id} was given before"
            )
        self._updated.add(video_id)
        self.add(list(self.reader.read_all(results, video_id)))

    def add(self, predictions: Sequence[Prediction]) -> None:
        """Compare some predictions of one video with its ground truth.

        Args:
            predictions: Checked predictions of the same video; further ones may follow later.
        """
        groups: dict[_CellKey, list[Prediction]] = defaultdict(list)
        for prediction in predictions:
            groups[prediction.video_id, self._pool(prediction.category_id)].append(prediction)
        for key, group in groups.items():
            objects = self._objects(key)
            for kind in self.kinds:
                self._compared[kind][key] += _compare(kind, group, objects)
        if self._frames is not None:
            self._frames.add(predictions)

    @property
    def divisible(self) -> bool:
        """Whether parts of the results may be added elsewhere and absorbed."""
        return self._frames is None

    def collected(self) -> Collected:
        """Return everything that was added so far, for :meth:`absorb`."""
        keys: dict[str, Int64] = {}
        numbers: dict[str, Float64] = {}
        ious: dict[str, Float64] = {}
        for kind, cells in self._compared.items():
            found = [(key, item) for key, items in cells.items() for item in items]
            keys[kind] = np.array(
                [(*key, item.index, item.category_id) for key, item in found], np.int64
            ).reshape(-1, 4)
            numbers[kind] = np.array(
                [(item.score, item.area) for _, item in found], np.float64
            ).reshape(-1, 2)
            ious[kind] = np.concatenate([np.zeros(0), *(item.ious for _, item in found)])
        return Collected(self.reader.count, self.reader.unknown_categories, keys, numbers, ious)

    def absorb(self, other: Collected) -> None:
        """Add what another evaluator collected from the records behind those read here."""
        shift, self.reader.count = self.reader.count, self.reader.count + other.count
        for category, number in other.unknown_categories.items():
            known = self.reader.unknown_categories
            known[category] = known.get(category, 0) + number
        for kind, keys in other.keys.items():
            used = 0
            rows = zip(keys.tolist(), other.numbers[kind].tolist(), strict=True)
            sizes: dict[_CellKey, int] = {}
            for (video_id, pool, index, category_id), (score, area) in rows:
                key = video_id, pool
                if key not in sizes:
                    sizes[key] = len(self._objects(key))
                ious = other.ious[kind][used : used + sizes[key]]
                used += sizes[key]
                self._compared[kind][key].append(
                    _Compared(index + shift, category_id, score, area, ious)
                )

    def _pool(self, category_id: int) -> int:
        return CLASS_AGNOSTIC if self.class_agnostic else category_id

    def _objects(self, key: _CellKey) -> list[GroundTruthTrack]:
        """Return the annotated objects of a cell: by category, then in file order."""
        tracks = self.annotations.tracks_by_video.get(key[0], [])
        chosen = [track for track in tracks if self._pool(track.category_id) == key[1]]
        return sorted(chosen, key=lambda track: track.category_id)

    def compute(self) -> EvaluationResult:
        """Return the numbers for all videos; those that were never given count as empty."""
        self.reader.finish()
        cells = {kind: self._cells(kind) for kind in self.kinds}
        categories = sorted(self.annotations.categories)
        if self.class_agnostic:
            categories = [CLASS_AGNOSTIC]
        self._warn_about_ground_truth()
        curves, numbers, details = {}, {}, {}
        scorers = self._scorers(cells, categories)
        for name, scorer in scorers.items():
            if isinstance(scorer, PrecisionScorer):
                curves[name] = scorer.curves()
                numbers[name] = summarize(METRICS[name], curves[name])
            else:
                numbers[name] = scorer.numbers()
                details[name] = scorer.result()
        return EvaluationResult(
            numbers,
            curves,
            cells,
            dict(self.annotations.categories),
            list(self.notes.warnings),
            list(self.notes.skipped),
            details,
            **analyse(
                scorers, self.annotations, self.analysis, self._overlaps, self.class_agnostic
            ),
        )

    def _scorers(
        self, cells: Mapping[str, list[Cell]], categories: Sequence[int]
    ) -> dict[str, PrecisionScorer | HotaScorer | ErrorScorer]:
        videos = sorted(self.annotations.videos)
        scorers: dict[str, PrecisionScorer | HotaScorer | ErrorScorer] = {}
        for name in self.metrics:
            metric = METRICS[name]
            if name == "hota":
                threshold = self.analysis.hota_score_threshold
                scorers[name] = HotaScorer(self._overlaps, videos, threshold)
            elif name == "errors":
                scorers[name] = ErrorScorer(self._overlaps, videos)
            else:
                scorers[name] = PrecisionScorer(
                    metric, cells[metric.tracks], categories, videos, self.official_bugs
                )
        return scorers

    def _overlaps(self, video_id: int) -> Overlaps:
        assert self._frames is not None
        overlaps = self._frames.video(video_id)
        return overlaps.pooled() if self.class_agnostic else overlaps

    def _warn_about_ground_truth(self) -> None:
        tracks = self.annotations.tracks or []
        source = self.annotations.source
        if not tracks:
            self.notes.warn(f"{source}: there is not a single object, so nothing is defined (-1)")
        missing = [track.id for track in tracks if track.occlusion is None]
        if "ovis" in self.metrics and missing:
            self.notes.warn(
                f"{source}: {len(missing)} objects have no occlusion labels and count as not "
                f"occluded, the first is annotation {missing[0]}"
            )

    def _cells(self, kind: str) -> list[Cell]:
        keys = set(self._compared[kind])
        for track in self.annotations.tracks or []:
            keys.add((track.video_id, self._pool(track.category_id)))
        return [self._cell(kind, key) for key in sorted(keys)]

    def _cell(self, kind: str, key: _CellKey) -> Cell:
        objects = self._objects(key)
        found = sorted(self._compared[kind].get(key, ()), key=self._order)[: LIMITS[-1]]
        ious = [prediction.ious for prediction in found] if objects else []
        return Cell(
            video_id=key[0],
            category_id=key[1],
            result_index=np.array([prediction.index for prediction in found], np.int64),
            scores=np.array([prediction.score for prediction in found], np.float64),
            areas=np.array([prediction.area for prediction in found], np.float64),
            ious=np.stack(ious) if ious else np.zeros((len(found), len(objects))),
            gt_ids=np.array([track.id for track in objects], np.int64),
            gt_areas=np.array([track.area for track in objects], np.float64),
            gt_crowd=np.array([track.is_crowd for track in objects], np.bool_),
            gt_occlusion=np.array([track.occlusion or 0.0 for track in objects], np.float64),
        )

    def _order(self, prediction: _Compared) -> tuple[float, int, int]:
        """Sort by score; ties by category (as pooled by the reference), then by position."""
        return -prediction.score, prediction.category_id, prediction.index


def _compare(
    kind: str, predictions: Sequence[Prediction], objects: Sequence[GroundTruthTrack]
) -> list[_Compared]:
    if kind == "masks":
        masks = [prediction.masks for prediction in predictions if prediction.masks is not None]
        areas = [track.mean_area for track in masks]
        truth = [track.masks for track in objects if track.masks is not None]
        ious = mask_track_ious(masks, truth)
    else:
        boxes = [prediction.boxes for prediction in predictions if prediction.boxes is not None]
        areas = [track.mean_area for track in boxes]
        ious = box_track_ious(boxes, [t.boxes for t in objects if t.boxes is not None])
    return [
        _Compared(prediction.index, prediction.category_id, prediction.score, area, row)
        for prediction, area, row in zip(predictions, areas, ious, strict=True)
    ]
