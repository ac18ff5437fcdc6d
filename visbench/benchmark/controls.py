# SPDX-License-Identifier: Apache-2.0
"""Rows of MovingShapes that need no training: two floors and the shuffled-id control."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from visbench.benchmark.data_choice import MOVING_SHAPES
from visbench.benchmark.events import send
from visbench.benchmark.rows import Row, points

FILLED_BOXES = "floor: true boxes + IoU"
COLOURS = "floor: colours + IoU"
SHUFFLED = "control: shuffled ids"
CONTROLS = (FILLED_BOXES, COLOURS, SHUFFLED)
"""Names of the rows, in the order of the table; :data:`CONTROLS_NOTE` explains them."""

CONTROLS_NOTE = (
    "Rows that learn nothing say what the data set measures. Floor 'true boxes + IoU': "
    "ground-truth boxes filled as masks and linked by IoU. Floor 'colours + IoU': regions of one "
    "colour, named by their silhouette and linked by IoU. Control 'shuffled ids': ground-truth "
    "masks whose ids change places within each class in every frame; what it loses against 100 is "
    "how much of AP is identity."
)

CONTROLS_VERSION = "v1"
"""Part of the rows' names; raised when the controls change."""


def has_controls(dataset: str) -> bool:
    """Return whether a data set, by its name in rows, has controls."""
    return dataset.startswith(MOVING_SHAPES)


def control_row(name: str, dataset: str, ann_file: str | Path, image_folder: str | Path) -> Row:
    """Compute and evaluate one control.

    Args:
        name: One of :data:`CONTROLS`.
        dataset: Name of the validation data.
        ann_file: Its annotation file.
        image_folder: Folder that file names are relative to.
    """
    from visbench.evaluation import evaluate

    annotations = json.loads(Path(ann_file).read_text(encoding="utf-8"))
    results = _results(name)(annotations, Path(image_folder))
    metrics = evaluate(annotations, results, metric="youtube_vis").to_dict()["youtube_vis"]
    facts = {"method": name, "config": "", "dataset": dataset, "seed": 0, "kind": "control"}
    return Row.from_dict(
        {
            **facts,
            **points(metrics),
            "config_hash": CONTROLS_VERSION,
            "details": {"metrics": metrics},
        }
    )


def _results(name: str) -> Callable[[dict[str, Any], Path], list[dict[str, Any]]]:
    from visbench.datasets.moving_shapes import floors

    return {
        FILLED_BOXES: lambda annotations, images: floors.filled_boxes(annotations),
        SHUFFLED: lambda annotations, images: floors.shuffled_ids(annotations),
        COLOURS: lambda annotations, images: floors.colour_segmentation(
            annotations, _reader(annotations, images)
        ),
    }[name]


def _reader(annotations: dict[str, Any], images: Path) -> Callable[[str], Any]:
    import cv2

    total = sum(len(video["file_names"]) for video in annotations["videos"])
    done = 0

    def read(file_name: str) -> Any:
        nonlocal done
        done += 1
        if done % 20 == 0 or done == total:
            send(stage="controls", done=done, total=total)
        image = cv2.imread(str(images / file_name))
        if image is None:
            raise FileNotFoundError(f"frame {images / file_name} cannot be read")
        return image

    return read
