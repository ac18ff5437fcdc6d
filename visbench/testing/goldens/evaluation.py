# SPDX-License-Identifier: Apache-2.0
"""Golden cases of the metrics: track AP on masks and boxes, occlusion levels, DAVIS J&F."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from visbench.evaluation import EvaluationResult, InputError, evaluate, load_annotations
from visbench.evaluation.average_precision import IOU_THRESHOLDS, Cell
from visbench.evaluation.davis import SequenceResult, evaluate_sequence, summarize_sequences
from visbench.evaluation.metrics import METRICS
from visbench.testing.parity import (
    EXACT,
    ArrayCheck,
    Comparison,
    GoldenCase,
    GoldenError,
    GoldenGroup,
    Tolerance,
)

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["GROUP", "EvaluationGroup"]

METRIC_OF_KIND = {"ytvis": "youtube_vis", "ovis": "ovis", "box": "imagenet_vid"}
REMARKS = (
    "note",
    "reference_raises",
    "second_reference_identical",
    "trackeval_information_only",
)
SEQUENCE_MATRIX = "mean_JF_matrix_proposal_by_gt"

CLOSE = Tolerance(atol=1e-9)
TOLERANCES: Mapping[str, Tolerance] = {
    "stat_names": EXACT,
    "*_shape": EXACT,
    "*_sha256": EXACT,
    "error": EXACT,
    "ious.pairs": EXACT,
    "ious.result_index": EXACT,
    "ious.gt_id": EXACT,
    "sequences": EXACT,
    "sequences.n_gt": EXACT,
    "sequences.matches.proposal_id": EXACT,
    "sequences.matches.gt_id": EXACT,
    "*": CLOSE,
}


class EvaluationGroup(GoldenGroup):
    """Runs the cases of the evaluation group; a case is a json file, most with an npz beside it."""

    name = "evaluation"
    tolerances = {"*": TOLERANCES}

    def outputs(self, folder: Path, case: str) -> list[str]:
        """Return the names of all stored outputs, those inside of lists with a dotted name."""
        content = load_case(folder, case)
        names: list[str] = []
        for name, value in expected_of(content).items():
            if name in REMARKS:
                continue
            names += _parts(name, value)
        if content.get("kind") != "davis" and (folder / f"{case}.npz").is_file():
            names += GoldenCase.load(folder / f"{case}.npz").arrays
        return names

    def run(
        self, folder: Path, case: str, weights: Mapping[str, Tensor] | None = None
    ) -> list[ArrayCheck]:
        """Evaluate the stored problem and compare every stored output; there are no weights.

        Raises:
            GoldenError: The case is not understood.
        """
        content = load_case(folder, case)
        kind = content.get("kind")
        comparison = Comparison(TOLERANCES)
        if kind == "davis":
            _run_davis(content, GoldenCase.load(folder / f"{case}.npz"), comparison)
        elif kind in METRIC_OF_KIND:
            npz = folder / f"{case}.npz"
            arrays = GoldenCase.load(npz).arrays if npz.is_file() else {}
            _run_tracks(content, arrays, comparison)
        else:
            raise GoldenError(f"{folder / case}: field 'kind' is {kind!r}, which is unknown")
        return comparison.checks

    def compute(self, golden: GoldenCase) -> Mapping[str, Any]:
        """Not used: a case is more than one npz file."""
        raise GoldenError(f"{golden.path}: an evaluation case is run from its json file")


def load_case(folder: Path, case: str) -> dict[str, Any]:
    """Read the json or json.gz file of a case.

    Raises:
        GoldenError: The file is missing, damaged, or no JSON object.
    """
    packed, plain = folder / f"{case}.json.gz", folder / f"{case}.json"
    try:
        text = gzip.decompress(packed.read_bytes()) if packed.is_file() else plain.read_bytes()
        content = json.loads(text)
    except (OSError, EOFError, ValueError) as error:
        raise GoldenError(f"{folder / case}: cannot be read as a case: {error}") from error
    if not isinstance(content, dict):
        raise GoldenError(f"{folder / case}: is no JSON object")
    return content


def expected_of(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the stored outputs of a case.

    Raises:
        GoldenError: There are none.
    """
    expected = content.get("expected")
    if not isinstance(expected, dict):
        raise GoldenError(f"case {content.get('case')!r}: field 'expected' is missing")
    return expected


def _parts(name: str, value: Any) -> list[str]:
    """Return the names under which an output is compared."""
    if name == "ious":
        return ["ious", "ious.pairs", "ious.result_index", "ious.gt_id"]
    if name == "sequences":
        keys = {key for sequence in value for key in sequence} - {"matches", "name"}
        matches = {key for sequence in value for match in sequence["matches"] for key in match}
        return [
            "sequences",
            *(f"sequences.{key}" for key in sorted(keys)),
            *(f"sequences.matches.{key}" for key in sorted(matches)),
        ]
    return [name]


def _run_tracks(
    content: Mapping[str, Any], arrays: Mapping[str, Any], comparison: Comparison
) -> None:
    metric = METRIC_OF_KIND[content["kind"]]
    expected = expected_of(content)
    agnostic = not content["options"]["use_cats"]
    result = _evaluated(content, metric, bool(content["quirk"]))
    curves = result.curves[metric]
    for name, values in _statistics(result, metric).items():
        if name in expected:
            comparison.compare(name, expected[name], values)
    for name, other, official_bugs in (
        ("stats_youtube_vis", "youtube_vis", bool(content["quirk"])),
        ("stats_intended", metric, False),
    ):
        if name in expected:
            numbers = _evaluated(content, other, official_bugs).metrics[other]
            comparison.compare(name, expected[name], list(numbers.values()))
    if "ap_per_category" in expected:
        _compare_mapping(comparison, "ap_per_category", expected, curves.per_category(), None)
    if "occlusion_score" in expected:
        tracks = load_annotations(content["gt"], masks=False).tracks or []
        scores = {track.id: track.occlusion or 0.0 for track in tracks}
        _compare_mapping(comparison, "occlusion_score", expected, scores, 0.0)
    if "ious" in expected:
        cells = [] if agnostic else result.cells[METRICS[metric].tracks]
        _compare_ious(comparison, expected["ious"], cells)
    for name in ("precision", "recall", "scores"):
        if name in arrays:
            comparison.compare(name, arrays[name], getattr(curves, name))


def _evaluated(content: Mapping[str, Any], metric: str, official_bugs: bool) -> EvaluationResult:
    agnostic = not content["options"]["use_cats"]
    return evaluate(
        content["gt"], content["results"], metric, agnostic, official_bugs=official_bugs
    )


def _statistics(result: EvaluationResult, metric: str) -> dict[str, Any]:
    numbers, curves = result.metrics[metric], result.curves[metric]
    return {
        "stat_names": list(numbers),
        "stats": list(numbers.values()),
        "iou_thresholds": IOU_THRESHOLDS,
        "precision_shape": curves.precision.shape,
        "recall_shape": curves.recall.shape,
        "precision_sha256": _digest(curves.precision),
        "recall_sha256": _digest(curves.recall),
    }


def _digest(array: Any) -> str:
    return hashlib.sha256(np.ascontiguousarray(np.round(array, 10)).tobytes()).hexdigest()


def _compare_mapping(
    comparison: Comparison,
    name: str,
    expected: Mapping[str, Any],
    ours: Mapping[int, float],
    missing: float | None,
) -> None:
    """Compare numbers by id; an undefined number is null in the file and -1 in the library."""
    golden = {int(key): value for key, value in expected[name].items()}
    keys = sorted(golden)
    if missing is None and sorted(ours) != keys:
        raise GoldenError(f"{name}: ids {sorted(ours)} instead of {keys}")
    comparison.compare(
        name,
        [-1.0 if golden[key] is None else float(golden[key]) for key in keys],
        [float(ours.get(key, np.nan)) for key in keys],
    )


def _compare_ious(
    comparison: Comparison, golden: Sequence[Mapping[str, Any]], cells: Sequence[Cell]
) -> None:
    """Compare the IoU matrices of all pairs of video and category that have one."""
    stored = sorted(golden, key=lambda pair: (pair["video_id"], pair["category_id"]))
    ours = [cell for cell in cells if cell.ious.size]
    pairs = [(p["video_id"], p["category_id"], *np.shape(p["iou"])) for p in stored]
    found = [(c.video_id, c.category_id, *c.ious.shape) for c in ours]
    shape = (-1, 4)
    comparison.compare(
        "ious.pairs",
        np.array(pairs, np.int64).reshape(shape),
        np.array(found, np.int64).reshape(shape),
    )
    for name, part, attribute, kind in (
        ("ious", "iou", "ious", np.float64),
        ("ious.result_index", "result_index", "result_index", np.int64),
        ("ious.gt_id", "gt_id", "gt_ids", np.int64),
    ):
        comparison.compare(
            name,
            _flat([p[part] for p in stored], kind),
            _flat([getattr(cell, attribute) for cell in ours], kind),
        )


def _flat(parts: Sequence[Any], kind: Any) -> Any:
    return np.concatenate([np.zeros(0, kind), *(np.ravel(np.asarray(p, kind)) for p in parts)])


def _run_davis(content: Mapping[str, Any], golden: GoldenCase, comparison: Comparison) -> None:
    expected = expected_of(content)
    try:
        sequences = [
            evaluate_sequence(
                name,
                golden[f"gt_{name}"],
                golden[f"res_{name}"],
                official_bugs=bool(content["quirk"]),
            )
            for name in content["sequences"]
        ]
        stopped = False
    except InputError:
        sequences, stopped = [], True
    if "error" in expected or stopped:
        comparison.compare("error", "error" in expected, stopped)
    if "global" in expected:
        numbers = summarize_sequences(sequences)
        names = list(expected["global"])
        comparison.compare(
            "global",
            [expected["global"][name] for name in names],
            [numbers[name] for name in names],
        )
    if "sequences" in expected:
        _compare_sequences(comparison, expected["sequences"], sequences)


def _compare_sequences(
    comparison: Comparison, golden: Sequence[Mapping[str, Any]], ours: Sequence[SequenceResult]
) -> None:
    comparison.compare("sequences", [s["name"] for s in golden], [s.name for s in ours])
    comparison.compare("sequences.n_gt", [s["n_gt"] for s in golden], [len(s.gt_ids) for s in ours])
    comparison.compare(
        f"sequences.{SEQUENCE_MATRIX}",
        _flat([s[SEQUENCE_MATRIX] for s in golden], np.float64),
        _flat([s.mean_jf for s in ours], np.float64),
    )
    stored = [match for sequence in golden for match in sequence["matches"]]
    found = [match for sequence in ours for match in sequence.matches]
    for key in sorted({key for match in stored for key in match}):
        comparison.compare(
            f"sequences.matches.{key}",
            [match[key] for match in stored],
            [getattr(match, key.lower()) for match in found],
        )


GROUP = EvaluationGroup()
