# SPDX-License-Identifier: Apache-2.0
"""DAVIS label maps on disk: one sub-folder of palette PNGs per sequence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from visbench.evaluation.davis import Labels, SequenceResult, evaluate_sequence, summarize_sequences
from visbench.evaluation.errors import InputError, Notes
from visbench.evaluation.result import EvaluationResult
from visbench.evaluation.run_lengths import MAX_PIXELS

__all__ = ["evaluate_davis", "read_label_map", "sequence_names"]

_LABEL_MODES = ("P", "L", "1")


def evaluate_davis(
    annotations: str | Path,
    results: str | Path,
    *,
    official_bugs: bool = False,
    tolerant: bool = False,
) -> EvaluationResult:
    """Evaluate a folder of DAVIS results.

    All files are looked for before the first frame is read; one frame is in memory at a time.

    Args:
        annotations: Folder with one sub-folder of palette PNGs per sequence.
        results: The same for the predictions: pixel value 0 is background, 1 to 20 a proposal.
        official_bugs: As in :func:`~visbench.evaluation.davis.evaluate_sequence`.
        tolerant: Leave out sequences with defects and list them in the result.

    Returns:
        The seven numbers under ``davis``, and the sequences in ``details["davis"]``.

    Raises:
        InputError: A sequence or a frame is missing, has another size or labels out of range.
    """
    truth, found = Path(annotations), Path(results)
    notes = Notes()
    names = _sequences(truth)
    for extra in sorted(set(sequence_names(found)) - set(names)):
        notes.warn(f"{found}: sequence {extra} is not in {truth} and ignored")
    usable = []
    for name in names:
        try:
            usable.append((name, _frame_names(truth / name, found / name)))
        except InputError as error:
            _skip(error, tolerant, notes)
    sequences: list[SequenceResult] = []
    for name, frames in usable:
        try:
            sequences.append(_evaluate(truth / name, found / name, frames, official_bugs))
        except InputError as error:
            _skip(error, tolerant, notes)
            continue
        _warn_about_labels(sequences[-1], official_bugs, notes)
    return EvaluationResult(
        {"davis": summarize_sequences(sequences)},
        warnings=notes.warnings,
        skipped=notes.skipped,
        details={"davis": sequences},
    )


def _skip(error: InputError, tolerant: bool, notes: Notes) -> None:
    if not tolerant:
        raise error
    notes.skipped.append(str(error))


def _warn_about_labels(sequence: SequenceResult, official_bugs: bool, notes: Notes) -> None:
    missing = ", ".join(map(str, sequence.missing_ids))
    if missing:
        effect = "counted as empty objects" if official_bugs else "not counted as objects"
        notes.warn(f"{sequence.name}: labels {missing} miss in the first frame: {effect}")
    if not sequence.gt_ids:
        notes.warn(f"{sequence.name}: no object in the first frame, the sequence counts nothing")


def sequence_names(folder: Path) -> list[str]:
    """Return the names of the sub-folders, sorted; InputError if it is no folder."""
    if not folder.is_dir():
        raise InputError(
            str(folder), "", "", "no such folder", "DAVIS takes folders of palette PNGs"
        )
    return sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _sequences(folder: Path) -> list[str]:
    names = sequence_names(folder)
    if not names:
        raise InputError(str(folder), "", "", "holds no sequence", "One sub-folder each is needed")
    return names


def _frame_names(truth: Path, found: Path) -> list[str]:
    names = sorted(path.name for path in truth.glob("*.png"))
    if not names:
        raise InputError(str(truth), "", "", "holds no PNG frame")
    if not found.is_dir():
        raise InputError(str(found), "", "", "sequence is missing in the results")
    here = {path.name for path in found.glob("*.png")}
    missing = [name for name in names if name not in here]
    if missing:
        raise InputError(
            str(found),
            "",
            "",
            f"{len(missing)} of {len(names)} frames are missing, the first is {missing[0]}",
            "Every frame is evaluated, the first and the last included",
        )
    return names


def _evaluate(
    truth: Path, found: Path, frames: Sequence[str], official_bugs: bool
) -> SequenceResult:
    return evaluate_sequence(
        str(found),
        _read_all(truth, frames),
        _read_all(found, frames),
        official_bugs=official_bugs,
    )


def _read_all(folder: Path, frames: Sequence[str]) -> Iterator[Labels]:
    for name in frames:
        yield read_label_map(folder / name)


def read_label_map(path: Path) -> Labels:
    """Return the ``(H, W)`` labels of a palette or grey image.

    Raises:
        InputError: The file is missing, damaged, too large or holds colours.
    """
    try:
        with Image.open(path) as image:
            if image.mode not in _LABEL_MODES:
                raise InputError(
                    str(path),
                    "",
                    "",
                    f"is a {image.mode} image",
                    "Pixels must be labels: save a palette ('P') or grey ('L') PNG",
                )
            if image.width * image.height > MAX_PIXELS // 16:
                raise InputError(str(path), "", "", f"size {image.size} is larger than any frame")
            return np.asarray(image).astype(np.uint8)
    except InputError:
        raise
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(
            str(path), "", "", f"cannot be read ({error})", "The image is damaged"
        ) from error
