# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from mmengine.evaluator import Evaluator
from PIL import Image

from visbench.engine.davis_metric import DavisMetric
from visbench.engine.errors import ConfigError
from visbench.evaluation import evaluate_davis
from visbench.registry import METRICS
from visbench.structures import Prediction, Track, VideoInfo, VideoTracks, encode_masks
from visbench.structures.label_maps import write_label_maps

HEIGHT, WIDTH, LENGTH = 24, 32, 3
FRAMES = [f"{index:05d}" for index in range(LENGTH)]


def square(video_id: int, index: int, top: int = 2) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[top : top + 8, 2 + 3 * index + video_id :][:, :10] = True
    return mask


def dataset(folder: Path | None, videos: range) -> Any:
    """Return what the loops know of a data set, with annotations if a folder is given."""
    if folder is not None:
        for video_id in videos:
            maps = [square(video_id, t) + 2 * square(video_id, t, 14) for t in range(LENGTH)]
            write_label_maps(folder / f"v{video_id}", [m.astype(np.uint8) for m in maps], FRAMES)
        write_label_maps(folder / "of_another_split", [np.ones((4, 4), np.uint8)], ["00000"])
    records = [
        {
            "video_id": video_id,
            "video_name": f"v{video_id}",
            "height": HEIGHT,
            "width": WIDTH,
            "file_names": [f"v{video_id}/{frame}.jpg" for frame in FRAMES],
        }
        for video_id in videos
    ]
    return SimpleNamespace(
        ann_file="val.txt",
        category_ids=[1],
        annotation_folder=folder,
        iter_records=lambda: iter(records),
    )


def tracks_of(video_id: int, scores: list[float], shift: int = 0) -> dict[str, Any]:
    """Return a sample with the upper and the lower square in turns."""
    tracks = []
    for index in range(len(scores)):
        top = (2, 14)[index % 2]
        masks = np.stack([np.roll(square(video_id, t, top), shift, axis=1) for t in range(LENGTH)])
        tracks.append(Track(index, encode_masks(masks), None, np.ones(LENGTH, np.float32)))
    video = VideoInfo(video_id, f"v{video_id}", HEIGHT, WIDTH, LENGTH)
    predictions = [Prediction(index, 0, score) for index, score in enumerate(scores)]
    return {"video_tracks": VideoTracks(video, tracks, predictions)}


def measured(metric: DavisMetric, samples: list[dict[str, Any]]) -> dict[str, float]:
    Evaluator(metric).process(samples)
    return metric.evaluate(1)


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_numbers_are_those_of_the_written_label_maps(tmp_path: Path) -> None:
    truth = tmp_path / "truth"
    metric = METRICS.build({"type": "visbench.DavisMetric"})
    metric.bind(dataset(truth, range(1, 4)), str(tmp_path / "out"))
    samples = [tracks_of(i, [0.5, 0.6], shift=i - 1) for i in range(1, 4)]
    numbers = measured(metric, samples)
    (truth / "of_another_split" / "00000.png").unlink()
    (truth / "of_another_split").rmdir()
    expected = evaluate_davis(truth, tmp_path / "out" / "label_maps").metrics["davis"]
    assert numbers == {f"davis/{name}": value for name, value in expected.items()}
    assert 0.5 < numbers["davis/J&F-Mean"] < 1
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == numbers
    assert len(json.loads((tmp_path / "out" / "results.json").read_text())) == 6


def test_the_best_twenty_tracks_are_taken_and_the_best_is_on_top(tmp_path: Path) -> None:
    metric = DavisMetric()
    metric.bind(dataset(None, range(1, 2)), str(tmp_path))
    scores = [0.1 + 0.01 * index for index in range(25)]
    sample = tracks_of(1, scores)
    sample["video_tracks"].predictions += [Prediction(3, 0, 0.9), Prediction(24, 0, 0.05)]
    assert measured(metric, [sample]) == {}
    labels = read(tmp_path / "label_maps" / "v1" / "00001.png")
    # Track 3 has the lower square and the best score; 24, with the upper one, comes next.
    np.testing.assert_array_equal(labels, 2 * square(1, 1) + square(1, 1, 14))
    records = json.loads((tmp_path / "results.json").read_text())
    assert len(records) == 20
    assert [record["score"] for record in records] == sorted([*scores[6:], 0.9], reverse=True)


def test_a_video_without_tracks_counts(tmp_path: Path) -> None:
    metric = DavisMetric(out_dir=str(tmp_path / "out"))
    metric.bind(dataset(tmp_path / "truth", range(1, 3)), None)
    numbers = measured(metric, [tracks_of(1, [0.5, 0.4]), tracks_of(2, [])])
    assert numbers["davis/J-Mean"] == 0.5
    assert not read(tmp_path / "out" / "label_maps" / "v2" / "00002.png").any()


def test_a_second_test_replaces_the_label_maps_of_the_first(tmp_path: Path) -> None:
    for videos in (range(1, 3), range(2, 4)):
        metric = DavisMetric()
        metric.bind(dataset(None, videos), str(tmp_path))
        measured(metric, [tracks_of(i, [0.5, 0.4]) for i in videos])
    folders = [path.name for path in (tmp_path / "label_maps").iterdir() if path.is_dir()]
    assert sorted(folders) == ["v2", "v3"]
    legend = json.loads((tmp_path / "label_maps" / "labels.json").read_text())
    assert legend["v3"]["2"] == {"category_id": 1, "score": 0.4}
    (tmp_path / "label_maps" / "labels.json").unlink()
    with pytest.raises(ConfigError, match=r"v2 holds 00000\.png, which is not of an earlier run"):
        DavisMetric().bind(dataset(None, range(1, 2)), str(tmp_path))


def test_validation_writes_nothing(tmp_path: Path) -> None:
    metric = DavisMetric(annotation_folder=str(tmp_path / "truth"), prefix="val")
    metric.bind(dataset(tmp_path / "truth", range(1, 2)), None)
    numbers = measured(metric, [tracks_of(1, [0.5, 0.4])])
    assert numbers["val/davis/J&F-Mean"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["truth"]


def test_wrong_use_is_told() -> None:
    with pytest.raises(ConfigError, match="does not know the frames of video 1"):
        measured(DavisMetric(annotation_folder="truth"), [tracks_of(1, [0.5])])
    boxes = Track(0, None, np.ones((LENGTH, 4), np.float32), np.ones(LENGTH, np.float32))
    video = VideoInfo(1, "v1", HEIGHT, WIDTH, LENGTH)
    sample = {"video_tracks": VideoTracks(video, [boxes], [Prediction(0, 0, 0.5)])}
    with pytest.raises(ConfigError, match="needs tracks with masks"):
        measured(DavisMetric(), [sample])
