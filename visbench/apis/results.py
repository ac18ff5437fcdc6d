# SPDX-License-Identifier: Apache-2.0
"""Results of a single video as a file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from visbench.apis.sources import InputError
from visbench.engine.errors import ConfigError
from visbench.engine.outputs import prepare_output_file, unwritable
from visbench.files import write_json
from visbench.structures import VideoTracks


def results_records(
    result: VideoTracks, classes: Sequence[str], category_ids: Sequence[int]
) -> list[dict[str, Any]]:
    """Return the records of a ``results.json`` with two more fields for human eyes.

    Args:
        result: The result of a video.
        classes: Name of every 0-based label, or nothing.
        category_ids: Category id of every label; labels beyond it get their number plus one.

    Returns:
        Records in YouTube-VIS form, with ``category_name`` and ``track_id`` (the id that overlays
        show).

    Examples:
        >>> result = frames_to_tracks(VideoInfo(0, "clip", 48, 64), [instances])
        >>> record, = results_records(result, ["cat", "dog"], [10, 20])
        >>> record["category_id"], record["category_name"], record["track_id"]
        (10, 'cat', 4)
    """
    highest = max((prediction.label for prediction in result.predictions), default=-1)
    ids = [*category_ids, *range(len(category_ids) + 1, highest + 2)]
    records = result.to_results(ids)
    for record, prediction in zip(records, result.predictions, strict=True):
        label = prediction.label
        record["category_name"] = classes[label] if label < len(classes) else f"class {label}"
        record["track_id"] = result.tracks[prediction.track_index].id
    return records


def prepare_results(path: str | os.PathLike[str]) -> None:
    """Make sure that results can be written to a file, before work on them begins.

    Raises:
        InputError: If they cannot, for example since it is a folder.
    """
    try:
        prepare_output_file(path, "results_out")
    except ConfigError as error:
        raise InputError(str(error)) from error


def write_results(path: str | os.PathLike[str], records: Sequence[dict[str, Any]]) -> None:
    """Write records as JSON; the file appears under its name only when it is complete.

    Raises:
        InputError: If it cannot be written.

    Examples:
        >>> write_results("results.json", [])
        >>> open("results.json").read()
        '[]'
    """
    try:
        write_json(path, list(records))
    except OSError as error:
        raise InputError(str(unwritable(Path(path), "results_out", error))) from error
