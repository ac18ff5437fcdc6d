# SPDX-License-Identifier: Apache-2.0
"""One call from files to numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any

from visbench.evaluation.analysis import AnalysisOptions
from visbench.evaluation.annotation_files import load_annotations
from visbench.evaluation.annotations import Annotations
from visbench.evaluation.davis_analysis import analyse_sequences
from visbench.evaluation.davis_files import evaluate_davis, sequence_names
from visbench.evaluation.errors import InputError
from visbench.evaluation.json_files import open_json, read_json
from visbench.evaluation.metrics import METRICS
from visbench.evaluation.per_frame import is_per_frame, join_frames
from visbench.evaluation.result import EvaluationResult
from visbench.evaluation.results import group_by_video, iterate_results
from visbench.evaluation.streams import iterate_records
from visbench.evaluation.video_evaluator import VideoEvaluator, metric_names
from visbench.evaluation.workers import add_file

__all__ = ["ALL_METRICS", "evaluate", "group_by_video"]

ALL_METRICS = (*METRICS, "davis", "all")


def evaluate(
    annotations: str | Path | Mapping[str, Any] | Annotations,
    results: str | Path | Iterable[Mapping[str, Any]],
    metric: str | Sequence[str] = "youtube_vis",
    class_agnostic: bool = False,
    official_bugs: bool = False,
    tolerant: bool = False,
    progress: Callable[[int], object] | None = None,
    *,
    hota_score_threshold: float | None = None,
    oracle: str | None = None,
    breakdown: bool = False,
    bootstrap: int = 0,
    seed: int = 0,
    per_video: bool = False,
    workers: int | None = None,
) -> EvaluationResult:
    """Evaluate a results file.

    The file is read record by record, and the masks of a video are dropped as soon as they are
    compared; results that keep the tracks of a video together are evaluated fastest.

    Args:
        annotations: Annotation file (json or json.gz), or its content. For ``davis`` a folder
            with one sub-folder of palette PNGs per sequence.
        results: Results (json, json.gz or a submission zip), or a list of records. For ``davis``
            a folder like that of the annotations.
        metric: One or several of ``youtube_vis``, ``ovis``, ``imagenet_vid``, ``hota`` and
            ``errors``; or ``davis``; or ``all`` for whatever the two inputs allow.
        class_agnostic: Put all categories of a video in one pool (not for ``davis``); predictions
            need no category then.
        official_bugs: Reproduce the numbers of the official evaluators where they are wrong:
            annotation id 0 is never found, lists of another length are cut, frames with masks of
            another size are left out; DAVIS counts missing labels as objects.
        tolerant: Leave out records (DAVIS: sequences) with defects and list them in the result.
        progress: Called with the number of predictions compared so far (not for ``davis``).
        hota_score_threshold: Predictions with a lower score are left out of HOTA and IDF1; by
            default none is (see :mod:`visbench.evaluation.hota`).
        oracle: ``"ids"`` also gives AP with the identities of the ground truth (see
            :mod:`visbench.evaluation.identity_oracle`).
        breakdown: Also give the numbers by class, video length, object size, motion and occlusion
            (see :mod:`visbench.evaluation.breakdown`; not for ``davis``).
        bootstrap: Number of resamples of the videos for confidence intervals; 0 for none.
        seed: Of the resampling.
        per_video: Also give the numbers of every video.
        workers: 1 or 2 processes that read the files. None takes two for large plain JSON files,
            where the system allows it.

    Returns:
        The numbers (fractions, -1 where undefined), arrays, warnings and skipped records.

    Raises:
        InputError: The input has a defect; the message names file, record and field.
        ValueError: The metric does not exist, or does not allow what else is asked for.
    """
    analysis = AnalysisOptions(hota_score_threshold, oracle, breakdown, bootstrap, seed, per_video)
    if metric == "davis" or (metric == "all" and _is_folder(annotations)):
        return _evaluate_folders(annotations, results, official_bugs, tolerant, analysis)
    if metric != "all":
        analysis.check(metric_names(metric))
    source, records = iterate_results(results, plain=True)
    if metric == "all":
        metric, annotations, records = _applicable(annotations, records, official_bugs, tolerant)
        _check_chosen(annotations.source, metric, analysis)
    evaluator = VideoEvaluator(
        annotations,
        metric,
        class_agnostic=class_agnostic,
        official_bugs=official_bugs,
        tolerant=tolerant,
        source=source,
        analysis=analysis,
        workers=workers,
    )
    if isinstance(results, (str, Path)):
        add_file(evaluator, Path(results), workers, progress)
        return evaluator.compute()
    for group in group_by_video(evaluator.reader.read_all(records)):
        evaluator.add(group)
        if progress is not None:
            progress(evaluator.reader.count)
    return evaluator.compute()


def check_files(
    annotations: str | Path, results: Iterable[str | Path], metric: str | Sequence[str]
) -> None:
    """Make sure that files are there and of the right kind; of results the first record is read.

    Args:
        annotations: Annotation file; for ``davis`` a folder.
        results: Results files; for ``davis`` folders.
        metric: As for :func:`evaluate`.

    Raises:
        InputError: One is missing, cannot be opened or holds no results.
    """
    if metric == "davis" or (metric == "all" and _is_folder(annotations)):
        for folder in (annotations, *results):
            sequence_names(Path(folder))
        return
    with open_json(Path(annotations)) as file:
        file.read(1)
    for path in results:
        with closing(iterate_records(Path(path), plain=True)) as records:
            next(records, None)


def _is_folder(value: Any) -> bool:
    return isinstance(value, (str, Path)) and Path(value).is_dir()


def _evaluate_folders(
    annotations: Any,
    results: Any,
    official_bugs: bool,
    tolerant: bool,
    analysis: AnalysisOptions,
) -> EvaluationResult:
    if analysis.oracle is not None:
        raise InputError("davis", "", "", "oracle 'ids' is for tracks of masks, not for label maps")
    for value in (annotations, results):
        if not isinstance(value, (str, Path)):
            raise InputError("davis", "", "", f"takes two folders, found {type(value).__name__}")
    result = evaluate_davis(annotations, results, official_bugs=official_bugs, tolerant=tolerant)
    return analyse_sequences(result, analysis)


def _applicable(
    annotations: str | Path | Mapping[str, Any] | Annotations,
    records: Iterator[Any],
    official_bugs: bool,
    tolerant: bool,
) -> tuple[list[str], Annotations, Iterator[Any]]:
    """Return the metrics that annotations and results have the fields for.

    Raises:
        InputError: There are none.
    """
    source, content = _content(annotations)
    first = next(records, None)
    chosen = _metrics_for(_field_names(content, "annotations"), first)
    kinds = {METRICS[name].tracks for name in chosen}
    loaded = load_annotations(
        content,
        masks="masks" in kinds,
        boxes="boxes" in kinds,
        official_bugs=official_bugs,
        tolerant=tolerant,
        source=source,
    )
    loaded.require_tracks()
    if not chosen:
        raise InputError(
            source, "", "", "annotations and results share neither 'segmentations' nor 'bboxes'"
        )
    return chosen, loaded, records if first is None else chain([first], records)


def _content(annotations: str | Path | Mapping[str, Any] | Annotations) -> tuple[str, Any]:
    """Return the name and the content of an annotation file; frames are joined to tracks."""
    if isinstance(annotations, Annotations):
        raise InputError(
            annotations.source, "", "", "metric 'all' needs the file, not loaded annotations"
        )
    source: str = "annotations"
    content: Any = annotations
    if not isinstance(annotations, Mapping):
        source, content = str(annotations), read_json(Path(annotations))
    if is_per_frame(content):
        content = join_frames(content, source=source)
    return source, content


def _metrics_for(truth: set[str], first: Any) -> list[str]:
    """Return the metrics for the fields of the annotations and of the first result."""
    common = truth & set(first) if isinstance(first, Mapping) else truth
    chosen = []
    if "segmentations" in common:
        chosen = ["youtube_vis", "ovis"] if "occlusion" in truth else ["youtube_vis"]
        chosen += ["hota", "errors"]
    if "bboxes" in common:
        chosen.append("imagenet_vid")
    return chosen


def _check_chosen(source: str, metrics: Sequence[str], analysis: AnalysisOptions) -> None:
    try:
        analysis.check(metrics)
    except ValueError as error:
        raise InputError(source, "", "", f"allows {', '.join(metrics)}, but {error}") from None


def _field_names(content: Any, name: str) -> set[str]:
    """Return the fields that every record has (and ``occlusion`` if any record has it)."""
    records = content.get(name) if isinstance(content, Mapping) else None
    fields = [set(record) for record in records or [] if isinstance(record, Mapping)]
    if not fields:
        return {"segmentations"}
    every = set.intersection(*fields)
    return every | ({"occlusion"} & set.union(*fields))
