# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.evaluator import Evaluator
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from visbench.engine.coco_metric import NUMBERS, CocoImageMetric
from visbench.engine.errors import ConfigError, UserError
from visbench.structures import (
    Prediction,
    Track,
    VideoInfo,
    VideoTracks,
    encode_masks,
    rle_to_box,
)

HEIGHT, WIDTH, IMAGES = 120, 160, 6


def rectangle(rng: np.random.Generator) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    top, left = rng.integers(0, HEIGHT - 60), rng.integers(0, WIDTH - 60)
    mask[top : top + rng.integers(8, 60), left : left + rng.integers(8, 60)] = True
    return mask


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    """Six images with one to four rectangles of two categories, one of them a crowd."""
    rng = np.random.default_rng(0)
    annotations: list[dict[str, Any]] = []
    for image in range(1, IMAGES + 1):
        for _ in range(rng.integers(1, 5)):
            (mask,) = encode_masks(rectangle(rng)[None])
            x1, y1, x2, y2 = map(float, rle_to_box(mask))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": int(rng.choice([3, 7])),
                    "iscrowd": int(len(annotations) == 4),
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": (x2 - x1) * (y2 - y1),
                    "segmentation": mask,
                }
            )
    content = {
        "images": [{"id": i, "height": HEIGHT, "width": WIDTH} for i in range(1, IMAGES + 1)],
        "categories": [{"id": 7, "name": "b"}, {"id": 3, "name": "a"}],
        "annotations": annotations,
    }
    path = tmp_path / "instances_val.json"
    path.write_text(json.dumps(content))
    return path


def found(truth: Path, image: int, number: int = 30, **changes: Any) -> dict[str, Any]:
    """Return shifted true objects and noise; several predictions share a track."""
    rng = np.random.default_rng(image)
    coco = json.loads(truth.read_text())
    objects = [entry for entry in coco["annotations"] if entry["image_id"] == image]
    tracks, predictions = [], []
    for index in range(number):
        entry = objects[index % len(objects)]
        x, y, w, h = (int(v) for v in entry["bbox"])
        mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
        dx, dy = rng.integers(-4, 5, 2)
        mask[max(y + dy, 0) : y + dy + h, max(x + dx, 0) : x + dx + w] = True
        masks = encode_masks((mask if index % 3 else rectangle(rng))[None])
        boxes = rle_to_box(masks[0])[None]
        fields = {"masks": masks, "boxes": boxes, **changes}
        tracks.append(Track(index, frame_scores=np.ones(1, np.float32), **fields))
        label = [3, 7].index(entry["category_id"])
        predictions.append(Prediction(index, label, float(rng.random())))
        predictions.append(Prediction(index, 1 - label, float(rng.random())))
    return {
        "video_tracks": VideoTracks(
            VideoInfo(image, f"{image}", HEIGHT, WIDTH, 1), tracks, predictions
        )
    }


def process(metric: CocoImageMetric, samples: list[dict[str, Any]]) -> dict[str, float]:
    Evaluator(metric).process(samples)
    return metric.evaluate(1)


@pytest.mark.parametrize("kind", ["segm", "bbox"])
def test_numbers_are_those_of_pycocotools(truth: Path, tmp_path: Path, kind: str) -> None:
    metric = CocoImageMetric(str(truth), metric=kind, out_dir=str(tmp_path / "out"))
    samples = [found(truth, image) for image in range(1, IMAGES + 1)]
    numbers = process(metric, samples)
    records = json.loads((tmp_path / "out" / "results.json").read_text())
    assert len(records) == IMAGES * 60
    coco = COCO(str(truth))
    other = {"segm": "bbox", "bbox": "segmentation"}[kind]
    stripped = [{k: v for k, v in record.items() if k != other} for record in records]
    expected = COCOeval(coco, coco.loadRes(stripped), kind)
    expected.evaluate()
    expected.accumulate()
    expected.summarize()
    assert numbers == {
        f"coco_{kind}/{name}": value for name, value in zip(NUMBERS, expected.stats, strict=True)
    }
    value = numbers[f"coco_{kind}/AP"]
    assert 0 < value < 1 and value != round(value, 4)
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == numbers
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "metrics.json",
        "results.json",
    ]


def test_only_the_best_hundred_of_an_image_count(truth: Path) -> None:
    metric = CocoImageMetric(str(truth))
    sample = found(truth, 1, number=70)["video_tracks"]
    records = metric.records(sample)
    assert len(records) == 100
    scores = sorted((prediction.score for prediction in sample.predictions), reverse=True)
    assert [record["score"] for record in records] == scores[:100]
    assert {record["category_id"] for record in records} == {3, 7}


def test_masks_and_boxes_are_measured_by_default(truth: Path) -> None:
    numbers = process(CocoImageMetric(str(truth), prefix="val"), [found(truth, 1)])
    assert len(numbers) == 24
    assert {name.split("/")[1] for name in numbers} == {"coco_segm", "coco_bbox"}
    assert all(name.startswith("val/") for name in numbers)


def test_finding_nothing_is_zero(truth: Path) -> None:
    empty = {"video_tracks": VideoTracks(VideoInfo(1, "1", HEIGHT, WIDTH, 1))}
    numbers = process(CocoImageMetric(str(truth)), [empty])
    assert numbers["coco_segm/AP"] == numbers["coco_bbox/AR100"] == 0.0


def test_without_annotations_only_results_are_written(truth: Path, tmp_path: Path) -> None:
    sample = found(truth, 1)
    content = json.loads(truth.read_text())
    truth.write_text(json.dumps({**content, "annotations": []}))
    metric = CocoImageMetric(str(truth), out_dir=str(tmp_path / "out"))
    assert process(metric, [sample]) == {}
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["results.json"]


def test_a_line_for_a_polygon_is_named(truth: Path) -> None:
    content = json.loads(truth.read_text())
    content["annotations"][1]["segmentation"] = [[1, 1, 5, 1, 5, 5], [0, 0, 9, 9]]
    truth.write_text(json.dumps(content))
    with pytest.raises(UserError, match="annotation 2: field 'segmentation' has a polygon"):
        process(CocoImageMetric(str(truth)), [])


def test_bad_input_is_named(truth: Path) -> None:
    with pytest.raises(ConfigError, match="'boxes' is not among"):
        CocoImageMetric(metric="boxes")
    with pytest.raises(ConfigError, match="'ann_file'"):
        CocoImageMetric().coco  # noqa: B018
    video = {"video_tracks": VideoTracks(VideoInfo(1, "clip", HEIGHT, WIDTH, 2))}
    with pytest.raises(ConfigError, match=r"video 1 \(clip\) has 2 frames; use VISMetric"):
        CocoImageMetric(str(truth)).process(None, [video])
    with pytest.raises(UserError, match="needs results with 'segmentation'"):
        process(CocoImageMetric(str(truth)), [found(truth, 1, masks=None)])
    with pytest.raises(UserError, match=r"images \[99\] are not in"):
        stray = {"video_tracks": VideoTracks(VideoInfo(99, "99", HEIGHT, WIDTH, 1))}
        process(CocoImageMetric(str(truth)), [stray])
