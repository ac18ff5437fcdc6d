# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch.distributed as dist
import torch.multiprocessing as mp
from engine_toy import HEIGHT, LENGTH, WIDTH, square, write_annotations
from mmengine.evaluator import Evaluator

from visbench.engine.errors import ConfigError, UserError
from visbench.engine.metric import VISMetric
from visbench.evaluation import evaluate
from visbench.structures import Prediction, Track, VideoInfo, VideoTracks, encode_masks


def found(video_id: int, shift: int = 0) -> dict[str, Any]:
    masks = np.stack([np.roll(square(video_id, t), shift, axis=1) for t in range(LENGTH)])
    video = VideoInfo(video_id, f"v{video_id}", HEIGHT, WIDTH, LENGTH)
    track = Track(0, encode_masks(masks), None, np.ones(LENGTH, dtype=np.float32))
    return {"video_tracks": VideoTracks(video, [track], [Prediction(0, video_id % 2, 0.8)])}


def process(metric: VISMetric, samples: list[dict[str, Any]]) -> dict[str, float]:
    Evaluator(metric).process(samples)
    return metric.evaluate(1)


def test_numbers_are_those_of_the_evaluation_package(tmp_path: Path) -> None:
    annotations = write_annotations(tmp_path / "val.json", range(1, 6))
    metric = VISMetric(str(annotations), out_dir=str(tmp_path / "out"))
    numbers = process(metric, [found(i, shift=i) for i in range(1, 6)])
    expected = evaluate(annotations, tmp_path / "out" / "results.json").to_dict()["youtube_vis"]
    assert numbers == {f"youtube_vis/{name}": value for name, value in expected.items()}
    assert 0 < numbers["youtube_vis/AP"] < 1
    assert numbers["youtube_vis/AP"] != round(numbers["youtube_vis/AP"], 4)
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == numbers
    with zipfile.ZipFile(tmp_path / "out" / "submission.zip") as archive:
        assert archive.namelist() == ["results.json"]
        assert len(json.loads(archive.read("results.json"))) == 5


def test_tracks_of_boxes(tmp_path: Path) -> None:
    annotations = write_annotations(tmp_path / "val.json", range(1, 4))
    samples = [found(i) for i in range(1, 4)]
    for shift, sample in enumerate(samples, start=1):
        (track,) = sample["video_tracks"].tracks
        # The boxes of the file are 10 pixels wide.
        track.boxes = np.array([[shift, 0, shift + 10, 12]] * LENGTH, dtype=np.float32)
        track.masks = None
    metric = VISMetric(str(annotations), metric="imagenet_vid", out_dir=str(tmp_path / "out"))
    numbers = process(metric, samples)
    expected = evaluate(annotations, tmp_path / "out" / "results.json", metric="imagenet_vid")
    assert numbers == {
        f"imagenet_vid/{name}": value for name, value in expected.to_dict()["imagenet_vid"].items()
    }
    assert 0 < numbers["imagenet_vid/AP"] < 1
    assert not (tmp_path / "out" / "submission.zip").exists()


def test_several_metrics_and_a_prefix(tmp_path: Path) -> None:
    annotations = write_annotations(tmp_path / "val.json", range(1, 3))
    metric = VISMetric(str(annotations), metric=["youtube_vis", "ovis"], prefix="easy")
    numbers = process(metric, [found(1), found(2)])
    assert numbers["easy/youtube_vis/AP"] == pytest.approx(1.0)
    assert numbers["easy/ovis/AP"] == pytest.approx(1.0)
    assert all(name.startswith("easy/") for name in numbers)


@pytest.mark.parametrize("format_only", [True, False])
def test_without_ground_truth_only_results_are_written(tmp_path: Path, format_only: bool) -> None:
    annotations = write_annotations(tmp_path / "test.json", range(1, 3), annotated=format_only)
    metric = VISMetric(str(annotations), format_only=format_only, out_dir=str(tmp_path / "out"))
    assert process(metric, [found(1), found(2)]) == {}
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == ["results.json", "submission.zip"]


def test_validation_writes_nothing(tmp_path: Path) -> None:
    annotations = write_annotations(tmp_path / "val.json", range(1, 3))
    process(VISMetric(str(annotations)), [found(1)])
    assert [path.name for path in tmp_path.iterdir()] == ["val.json"]


def test_results_are_not_cut_and_each_video_comes_once(tmp_path: Path) -> None:
    annotations = write_annotations(tmp_path / "val.json", range(1, 6))
    metric = VISMetric(str(annotations))
    assert process(metric, [found(i) for i in range(1, 6)])["youtube_vis/AP"] > 0.999
    assert process(metric, [found(1)])["youtube_vis/AP"] < 0.9
    with pytest.raises(UserError, match="video 2 was given to VISMetric more than once"):
        process(metric, [found(2), found(2)])


def test_category_ids_come_from_the_data_set_then_its_meta_then_the_file(tmp_path: Path) -> None:
    annotations = write_annotations(tmp_path / "val.json", range(1, 3))
    metric = VISMetric(str(annotations))
    assert metric.category_ids == [10, 20]
    metric = VISMetric()
    metric.dataset_meta = {"category_ids": (20, 10), "ann_file": str(annotations)}
    assert metric.category_ids == [20, 10]
    assert sorted(metric.annotations.videos) == [1, 2]
    with pytest.raises(ConfigError, match="ann_file"):
        VISMetric().annotations  # noqa: B018


def test_wrong_use_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'metric': unknown metric 'coco'"):
        VISMetric(metric="coco")
    with pytest.raises(ConfigError, match=r"video_tracks.*VideoValLoop"):
        VISMetric().process(None, [{"pred_instances": 1}])


def _rank(rank: int, folder: str, repeat: bool) -> None:
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/store_{repeat}", rank=rank, world_size=2
    )
    metric = VISMetric(f"{folder}/val.json", collect_dir=f"{folder}/collect_{repeat}")
    # Rank 1 has no video, or one that rank 0 has too.
    mine = range(1, 6) if rank == 0 else range(5, 6) if repeat else range(0)
    metric.process(None, [found(i) for i in mine])
    try:
        answer: Any = metric.evaluate(5)["youtube_vis/AP"]
    except UserError as error:
        answer = str(error)
    Path(folder, f"answer_{rank}_{repeat}").write_text(str(answer))
    dist.destroy_process_group()


@pytest.mark.parametrize("repeat", [False, True])
def test_ranks_are_collected_by_video(tmp_path: Path, repeat: bool) -> None:
    write_annotations(tmp_path / "val.json", range(1, 6))
    mp.start_processes(_rank, (str(tmp_path), repeat), nprocs=2, start_method="fork")
    answers = [(tmp_path / f"answer_{rank}_{repeat}").read_text() for rank in (0, 1)]
    assert answers[0] == answers[1]
    assert ("more than once" in answers[0]) if repeat else (float(answers[0]) == pytest.approx(1.0))
