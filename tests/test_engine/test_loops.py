# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from engine_toy import LENGTH
from mmengine.hooks import Hook

from visbench.datasets import FrameError
from visbench.engine import ConfigError, VideoTestLoop
from visbench.structures import VideoTracks

MakeRunner = Callable[..., Any]


class Recorder(Hook):
    """Notes what the loop tells hooks."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int, int]] = []

    def before_test_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        self.seen.append(("before", batch_idx, data_batch["video"].video_id))

    def after_test_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        tracks = outputs[0]["video_tracks"]
        assert isinstance(tracks, VideoTracks)
        self.seen.append(("after", batch_idx, tracks.video.video_id))


def partial(runner: Any) -> Path:
    return Path(runner.work_dir, "partial_results.jsonl")


def test_every_video_reaches_hooks_and_metric_once(make_runner: MakeRunner) -> None:
    runner, recorder = make_runner(), Recorder()
    runner.register_hook(recorder)
    metrics = runner.test()
    assert recorder.seen == [(stage, i, i + 1) for i in range(4) for stage in ("before", "after")]
    assert metrics["youtube_vis/AP"] == 1.0
    results = json.loads(Path(runner.work_dir, "results.json").read_text())
    assert [result["video_id"] for result in results] == [1, 2, 3, 4]
    assert [result["category_id"] for result in results] == [20, 10, 20, 10]
    assert json.loads(Path(runner.work_dir, "metrics.json").read_text()) == metrics
    assert not partial(runner).exists()


def test_interrupted_test_continues_at_the_next_video(make_runner: MakeRunner) -> None:
    expected = make_runner("whole").test()
    runner = make_runner()
    source = runner.test_loop.dataset
    source.broken = 3
    with pytest.raises(FrameError, match=r"v3/0\.jpg"):
        runner.test()
    assert len(partial(runner).read_bytes().splitlines()) == 3
    # Power fails while the third video is being written.
    with partial(runner).open("ab") as file:
        file.write(b'{"video":{"video_id":3')

    again = make_runner()
    assert again.test() == expected
    assert again.test_loop.dataset.read == [3] * LENGTH + [4] * LENGTH
    assert not partial(again).exists()
    for name in ("results.json", "metrics.json"):
        assert (
            Path(again.work_dir, name).read_bytes()
            == Path(again.work_dir, "..", "whole", name).read_bytes()
        )


@pytest.mark.parametrize("change", ["weights", "config"])
def test_results_of_another_test_are_not_taken_over(make_runner: MakeRunner, change: str) -> None:
    runner = make_runner()
    runner.test_loop.dataset.broken = 3
    with pytest.raises(FrameError):
        runner.test()
    content = partial(runner).read_bytes()
    options = {"test_cfg.precision": "bf16"} if change == "config" else {}
    again = make_runner(**options)
    if change == "weights":
        with torch.no_grad():
            again.model.head.bias += 1
    again.test()
    assert len(again.test_loop.dataset.read) == 4 * LENGTH
    assert Path(again.work_dir, "partial_results.1.old").read_bytes() == content


def test_results_of_other_ranks_are_taken_over(make_runner: MakeRunner) -> None:
    runner = make_runner()
    runner.test_loop.dataset.broken = 3
    with pytest.raises(FrameError):
        runner.test()
    other = partial(runner).with_name("partial_results_1.jsonl")
    partial(runner).rename(other)
    again = make_runner()
    assert again.test()["youtube_vis/AP"] == 1.0
    assert sorted(set(again.test_loop.dataset.read)) == [3, 4]
    assert not other.exists()


def test_validation_leaves_training_as_it_was(make_runner: MakeRunner) -> None:
    runner = make_runner()
    runner.model.train()
    state = torch.get_rng_state()
    original = runner.model.segment

    def random_segment(*args: Any) -> VideoTracks:
        assert not runner.model.training
        assert not torch.is_grad_enabled()
        torch.rand(3)
        return original(*args)

    runner.model.segment = random_segment
    assert runner.val_loop.run()["youtube_vis/AP"] == 1.0
    assert torch.equal(torch.get_rng_state(), state)
    assert runner.model.training
    assert not partial(runner).exists()
    assert not Path(runner.work_dir, "results.json").exists()


def test_a_rank_may_have_no_video(make_runner: MakeRunner) -> None:
    runner = make_runner(**{"test_evaluator.format_only": True})
    runner.test_loop.dataloader.sampler.indices = []
    runner.test_loop.dataset.videos = []
    sampler = runner.test_loop.dataloader.sampler
    sampler.size, sampler.num_samples, sampler.total_size = 0, 0, 0
    assert runner.test() == {}
    assert json.loads(Path(runner.work_dir, "results.json").read_text()) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"test_cfg.precision": "fp8"}, "precision is 'fp8'"),
        ({"test_cfg.precision": "fp16"}, "the CPU does not have"),
    ],
)
def test_bad_precision_is_refused(
    make_runner: MakeRunner, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        make_runner(**options).test_loop  # noqa: B018


def test_repeated_videos_are_refused(make_runner: MakeRunner) -> None:
    runner = make_runner()
    runner.test_loop.dataloader.sampler.total_size = 5
    runner.test_loop.dataloader.sampler.num_samples = 5
    runner.test_loop.dataloader.sampler.round_up = True
    with pytest.raises(ConfigError, match=r"more than once.*round_up=False"):
        runner.test()


def test_data_sets_of_images_are_refused(make_runner: MakeRunner) -> None:
    images = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.zeros(2)))
    with pytest.raises(ConfigError, match=r"get_video.*TensorDataset"):
        VideoTestLoop(make_runner(), images, {"type": "VISMetric"})


def test_tracks_of_another_video_are_refused(make_runner: MakeRunner) -> None:
    runner = make_runner()
    first = runner.test_loop.dataset.get_video(0).video
    original = runner.model.segment
    runner.model.segment = lambda video, frames: original(first, frames)
    with pytest.raises(RuntimeError, match="tracks of video 1 for video 2"):
        runner.test()


def test_progress_says_how_much_is_left(make_runner: MakeRunner) -> None:
    runner = make_runner(**{"test_cfg.log_seconds": 0.0})
    lines: list[str] = []
    runner.logger.info = lambda text, *_: lines.append(str(text))
    runner.test()
    progress = [line for line in lines if line.startswith("Video(test)")]
    assert len(progress) == 4
    assert "[4/4]  12 frames" in progress[-1]
    assert progress[-1].endswith("eta: 0:00:00")


def test_a_model_with_more_classes_than_the_data_does_not_start(make_runner: MakeRunner) -> None:
    runner = make_runner()
    runner.model.head.num_classes = 3
    words = r"model\.head\.num_classes is 3, but test_dataloader\.dataset has 2 categories; test on"
    with pytest.raises(ConfigError, match=words):
        runner.test_loop  # noqa: B018
    runner.model.head.num_classes = 2
    assert runner.test()["youtube_vis/AP"] == 1.0


def test_a_label_beyond_the_data_is_told_at_the_first_video(
    make_runner: MakeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner, recorder = make_runner(), Recorder()
    runner.register_hook(recorder)
    segment = runner.model.segment

    def relabelled(*args: Any) -> VideoTracks:
        tracks = segment(*args)
        tracks.predictions = [entry._replace(label=7) for entry in tracks.predictions]
        return tracks

    monkeypatch.setattr(runner.model, "segment", relabelled)
    words = r"label 7 \(counted from 0\) in video v1, but test_dataloader\.dataset has 2 categories"
    with pytest.raises(ConfigError, match=words):
        runner.test()
    assert [stage for stage, *_ in recorder.seen] == ["before"]
