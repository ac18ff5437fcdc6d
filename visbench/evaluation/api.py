# SPDX-License-Identifier: Apache-2.0
"""One call from files to numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from visbench.evaluation.annotations import Annotations
from visbench.evaluation.result import EvaluationResult
from visbench.evaluation.results import Prediction, iterate_results
from visbench.evaluation.video_evaluator import VideoEvaluator

__all__ = ["evaluate"]

_LARGEST_GROUP = 256


def evaluate(
    annotations: str | Path | Mapping[str, Any] | Annotations,
    results: str | Path | Iterable[Mapping[str, Any]],
    metric: str | Sequence[str] = "youtube_vis",
    class_agnostic: bool = False,
    official_bugs: bool = False,
    tolerant: bool = False,
) -> EvaluationResult:
    """Evaluate a results file.

    The file is read record by record, and the masks of a video are dropped as soon as they are
    compared; results that keep the tracks of a video together are evaluated fastest.

    Args:
        annotations: Annotation file (json or json.gz), or its content.
        results: Results (json, json.gz or a submission zip), or a list of records.
        metric: One or several of ``youtube_vis``, ``ovis`` and ``imagenet_vid``.
        class_agnostic: Put all categories of a video in one pool.
        official_bugs: Reproduce the numbers of the official evaluator where they are wrong:
            annotation id 0 is never found, lists of another length are cut, frames with masks of
            another size are left out.
        tolerant: Leave out records with defects and list them in the result.

    Returns:
        The numbers (fractions, -1 where undefined), arrays, warnings and skipped records.

    Raises:
        InputError: The input has a defect; the message names file, record and field.
        ValueError: The metric does not exist.
    """
    source, records = iterate_results(results)
    evaluator = VideoEvaluator(
        annotations,
        metric,
        class_agnostic=class_agnostic,
        official_bugs=official_bugs,
        tolerant=tolerant,
        source=source,
    )
    for group in _groups(evaluator.reader.read_all(records)):
        evaluator.add(group)
    return evaluator.compute()


def _groups(predictions: Iterator[Prediction]) -> Iterator[list[Prediction]]:
    """Yield runs of predictions of the same video, bounded in number."""
    group: list[Prediction] = []
    for prediction in predictions:
        if group and (prediction.video_id != group[0].video_id or len(group) == _LARGEST_GROUP):
            yield group
            group = []
        group.append(prediction)
    if group:
        yield group
