# SPDX-License-Identifier: Apache-2.0
"""Pipelines, and annotation files with one defect each."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

Edit = Callable[[dict[str, Any]], Any]


@pytest.fixture
def train_pipeline() -> list[dict[str, Any]]:
    """Shared resize and flip, as the configs have it."""
    return [
        {
            "type": "visbench.ClipBroadcaster",
            "share_random_params": True,
            "transforms": [
                {"type": "visbench.LoadFrame"},
                {"type": "mmdet.LoadTrackAnnotations", "with_mask": True},
                {
                    "type": "mmdet.RandomChoiceResize",
                    "resize_type": "mmdet.Resize",
                    "scales": [(96, 64), (72, 48)],
                    "keep_ratio": True,
                },
                {"type": "mmdet.RandomFlip", "prob": 0.5},
            ],
        },
        {"type": "visbench.PackClip", "require": "any"},
    ]


@pytest.fixture
def test_pipeline() -> list[dict[str, Any]]:
    return [
        {
            "type": "visbench.ClipBroadcaster",
            "transforms": [
                {"type": "visbench.LoadFrame"},
                {"type": "mmdet.Resize", "scale": (72, 48), "keep_ratio": True},
            ],
        },
        {"type": "visbench.PackClip"},
    ]


@pytest.fixture
def edited(tiny_youtube_vis: Path, tmp_path: Path) -> Callable[..., Path]:
    """Copy a split's annotation file, apply an edit to its content and return the path."""

    def make(edit: Edit, split: str = "train") -> Path:
        data = json.loads((tiny_youtube_vis / f"{split}.json").read_text())
        edit(data)
        path = tmp_path / f"{split}.json"
        path.write_text(json.dumps(data))
        return path

    return make


@pytest.fixture
def copied_root(tiny_youtube_vis: Path, tmp_path: Path) -> Path:
    """A copy of the data set whose files a test may damage."""
    return Path(shutil.copytree(tiny_youtube_vis, tmp_path / "copy"))


COCO_HEIGHT, COCO_WIDTH = 60, 80
COCO_CATEGORIES = ((1, "person"), (3, "car"), (4, "motorcycle"), (74, "mouse"), (34, "frisbee"))


def coco_object(number: int, image: int, category: int, polygon: list[float]) -> dict[str, Any]:
    """Return an annotation of one polygon with COCO's fields."""
    xs, ys = polygon[::2], polygon[1::2]
    width, height = max(xs) - min(xs), max(ys) - min(ys)
    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "iscrowd": 0,
        "area": width * height / 2,
        "bbox": [min(xs), min(ys), width, height],
        "segmentation": [polygon],
    }


def coco_crowd(number: int, image: int, category: int) -> dict[str, Any]:
    """Return a crowd in the upper left 10 x 20 pixels; its id does not fit 32 bits, as COCO's."""
    runs = [0, 10] + [COCO_HEIGHT - 10, 10] * 19 + [COCO_HEIGHT * (COCO_WIDTH - 19) - 10]
    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "iscrowd": 1,
        "area": 200.0,
        "bbox": [0, 0, 20, 10],
        "segmentation": {"size": [COCO_HEIGHT, COCO_WIDTH], "counts": runs},
    }


def coco_content() -> dict[str, Any]:
    """Return six images: shared and other categories, crowds, bad polygons, nothing, many."""
    triangle = [20.0, 10.0, 60.0, 20.0, 30.0, 50.0]
    square = [5.0, 5.0, 25.0, 5.0, 25.0, 25.0, 5.0, 25.0]
    outside = [200.0, 200.0, 240.0, 200.0, 240.0, 240.0]
    many = [
        coco_object(600 + i, 6, 1, [8.0 * i, 8.0, 8.0 * i + 14, 8.0, 8.0 * i + 7, 8.0 + 6 * i + 9])
        for i in range(7)
    ]
    annotations = [
        coco_object(11, 1, 1, triangle),
        coco_object(12, 1, 74, square),
        coco_object(21, 2, 74, triangle),
        coco_crowd(900100000031, 3, 1),
        coco_object(41, 4, 3, square),
        coco_crowd(900100000042, 4, 1),
        {**coco_object(43, 4, 1, outside), "bbox": [70, 50, 20, 20]},
        {**coco_object(44, 4, 4, triangle), "segmentation": [[10.0, 10.0, 20.0, 20.0]]},
        {**coco_object(45, 4, 1, square), "area": 0},
        *many,
    ]
    size = {"height": COCO_HEIGHT, "width": COCO_WIDTH}
    return {
        "images": [{"id": i, "file_name": f"{i:012d}.jpg", **size} for i in range(1, 7)],
        "categories": [{"id": number, "name": name} for number, name in COCO_CATEGORIES],
        "annotations": annotations,
    }


@pytest.fixture
def tiny_coco(tmp_path: Path) -> Path:
    """Root of a tiny COCO with the splits train2017 and val2017 of the same content."""
    root = tmp_path / "coco"
    (root / "annotations").mkdir(parents=True)
    for split in ("train2017", "val2017"):
        (root / split).mkdir()
        (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(coco_content()))
        for number in range(1, 7):
            rng = np.random.default_rng(number)
            image = rng.integers(0, 255, (COCO_HEIGHT, COCO_WIDTH, 3), dtype=np.uint8)
            cv2.imwrite(str(root / split / f"{number:012d}.jpg"), cv2.blur(image, (9, 9)))
    return root
