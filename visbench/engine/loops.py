# SPDX-License-Identifier: Apache-2.0
"""Validation and test, one video after the other."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.dist import barrier, get_dist_info
from mmengine.model import is_model_wrapper
from mmengine.runner import BaseLoop, autocast

from visbench.engine.classes import check_labels, check_model_classes
from visbench.engine.errors import ConfigError
from visbench.engine.generators import preserved_generators
from visbench.engine.partial_results import PartialResults, config_digest, weights_digest
from visbench.registry import LOOPS
from visbench.structures import VideoInfo, VideoTracks
from visbench.version import __version__

_PRECISIONS = {"fp32": None, "fp16": torch.float16, "bf16": torch.bfloat16}


def autocast_to(precision: str) -> AbstractContextManager[Any]:
    """Return the context in which a loop of a precision computes.

    Args:
        precision: ``fp32``, ``fp16`` or ``bf16``.
    """
    dtype = _PRECISIONS[precision]
    return autocast(enabled=dtype is not None, dtype=dtype)


class VideoLoop(BaseLoop):
    """Drives a method over the videos of a data set.

    For every index of the data loader's sampler the loop calls ``dataset.get_video(index)``,
    ``model.prepare`` on each frame as the method asks for it, and ``model.segment``. Hooks see
    videos as iterations: ``data_batch`` is ``{"video": VideoInfo, "index": int}``, afterwards
    with the ``seconds`` that ``segment`` took (reading of frames included); ``outputs`` is
    ``[{"video_tracks": VideoTracks}]``, and the same list goes to the evaluator. A video is never
    split between ranks; a rank may have none.

    Args:
        runner: The runner.
        dataloader: Data loader or its config; only its data set and sampler are used.
        evaluator: Evaluator or its config.
        precision: ``fp32``, ``fp16`` or ``bf16``: the type that autocast computes in.
        log_seconds: Least time between two lines of progress.

    Raises:
        ConfigError: If the precision is unknown, the data set has no videos to give, or the model
            more classes than the data.
    """

    stage: str

    def __init__(
        self,
        runner: Any,
        dataloader: Any,
        evaluator: Any,
        precision: str = "fp32",
        log_seconds: float = 10.0,
    ) -> None:
        super().__init__(runner, dataloader)
        if precision not in _PRECISIONS:
            raise ConfigError(
                f"{self.stage}_cfg.precision is {precision!r}; use one of {sorted(_PRECISIONS)}"
            )
        if precision == "fp16" and get_device() == "cpu":
            raise ConfigError(
                f"{self.stage}_cfg.precision is 'fp16', which the CPU does not have; use 'bf16' "
                "or 'fp32'"
            )
        if not hasattr(self.dataset, "get_video"):
            raise ConfigError(
                f"{type(self).__name__} needs a data set of videos with get_video(index), but "
                f"{self.stage}_dataloader.dataset is a {type(self.dataset).__name__}; use a data "
                "set of visbench.datasets"
            )
        check_model_classes(runner.model, self.dataset, self._data_field)
        self.precision = precision
        self.log_seconds = log_seconds
        self.evaluator = (
            evaluator if hasattr(evaluator, "evaluate") else runner.build_evaluator(evaluator)
        )
        self._bind_evaluator()

    @property
    def dataset(self) -> Any:
        """The data set of videos."""
        return self.dataloader.dataset

    @property
    def _data_field(self) -> str:
        return f"{self.stage}_dataloader.dataset"

    def _bind_evaluator(self) -> None:
        metainfo = getattr(self.dataset, "metainfo", None)
        if metainfo is not None:
            self.evaluator.dataset_meta = metainfo
            self.runner.visualizer.dataset_meta = metainfo
        for metric in self.evaluator.metrics:
            if hasattr(metric, "bind"):
                metric.bind(self.dataset, self.runner.work_dir if self.stage == "test" else None)

    def run(self) -> dict[str, float]:
        """Segment all videos and evaluate.

        The generators' states are the same afterwards: validation does not change a training.

        Returns:
            Metrics by name; empty if there is no ground truth.
        """
        self._call(f"before_{self.stage}")
        self._call(f"before_{self.stage}_epoch")
        with preserved_generators(), _evaluating(self.runner.model) as model:
            self._run_videos(model)
            metrics = self.evaluator.evaluate(len(self.dataset))
        self._call(f"after_{self.stage}_epoch", metrics=metrics)
        self._call(f"after_{self.stage}")
        return metrics

    def _call(self, hook: str, **kwargs: Any) -> None:
        self.runner.call_hook(hook, **kwargs)

    def _run_videos(self, model: Any) -> None:
        indices = self._indices()
        progress = _Progress(self.runner.logger, self.stage, len(indices), self.log_seconds)
        for number, index in enumerate(indices):
            self._run_video(model, number, index, progress)

    def _indices(self) -> list[int]:
        indices = [int(index) for index in self.dataloader.sampler]
        repeated = [index for index, count in Counter(indices).items() if count > 1]
        if repeated:
            raise ConfigError(
                f"{self.stage}_dataloader.sampler yields the videos {repeated[:5]} more than once; "
                "use dict(type='DefaultSampler', shuffle=False, round_up=False)"
            )
        return indices

    def _run_video(self, model: Any, number: int, index: int, progress: _Progress) -> None:
        item = self.dataset.get_video(index)
        batch = {"video": item.video, "index": index}
        self._call(f"before_{self.stage}_iter", batch_idx=number, data_batch=batch)
        start = time.perf_counter()
        tracks = self._segment(model, item)
        batch["seconds"] = time.perf_counter() - start
        self._finish_video(number, batch, tracks)
        progress.add(tracks)

    @torch.no_grad()
    def _segment(self, model: Any, item: Any) -> VideoTracks:
        try:
            with autocast_to(self.precision):
                tracks = model.segment(item.video, map(model.prepare, item.frames))
        finally:
            if hasattr(item.frames, "close"):
                item.frames.close()
        _check(tracks, item.video, model)
        check_labels(tracks, self.dataset, self._data_field)
        return tracks

    def _finish_video(self, number: int, batch: dict[str, Any], tracks: VideoTracks) -> None:
        outputs = [{"video_tracks": tracks}]
        self.evaluator.process(data_samples=outputs, data_batch=batch)
        self._call(f"after_{self.stage}_iter", batch_idx=number, data_batch=batch, outputs=outputs)


@LOOPS.register_module()
class VideoValLoop(VideoLoop):
    """Validation during training; see :class:`VideoLoop`."""

    stage = "val"


@LOOPS.register_module()
class VideoTestLoop(VideoLoop):
    """Test that continues where it was interrupted; see :class:`VideoLoop`.

    Every finished video is appended to ``partial_results.jsonl`` of the work folder (one file
    per rank). A test of the same weights, model, data and precision takes finished videos from
    there; the files are removed when the test is complete.

    Args:
        runner: The runner.
        dataloader: Data loader or its config.
        evaluator: Evaluator or its config.
        precision: As for :class:`VideoLoop`.
        log_seconds: As for :class:`VideoLoop`.
        keep_partial: Whether finished videos are kept for an interrupted test.
    """

    stage = "test"

    def __init__(
        self,
        runner: Any,
        dataloader: Any,
        evaluator: Any,
        precision: str = "fp32",
        log_seconds: float = 10.0,
        keep_partial: bool = True,
    ) -> None:
        super().__init__(runner, dataloader, evaluator, precision, log_seconds)
        self.keep_partial = keep_partial
        self._partial: PartialResults | None = None
        self._finished: dict[int, VideoTracks] = {}
        self._others: list[Path] = []

    def run(self) -> dict[str, float]:
        """Segment all videos that are not finished yet and evaluate all.

        Returns:
            Metrics by name; empty if there is no ground truth.
        """
        if self.keep_partial:
            self._open_partial()
        try:
            metrics = super().run()
        except BaseException:
            self._close_partial(remove=False)
            raise
        self._close_partial(remove=True)
        return metrics

    def _open_partial(self) -> None:
        rank, _ = get_dist_info()
        folder, identity = Path(self.runner.work_dir), self._identity()
        own = PartialResults(folder / _partial_name(rank), identity)
        self._finished, self._others = {}, []
        for path in sorted(folder.glob("partial_results*.jsonl")):
            finished = {} if path == own.path else PartialResults(path, identity).peek()
            self._finished.update(finished)
            self._others += [path] if finished else []
        barrier()
        self._finished.update(own.read())
        self._partial = own
        for note in own.notes:
            self.runner.logger.warning(note)
        if self._finished:
            self.runner.logger.info(f"{len(self._finished)} videos are finished already.")

    def _identity(self) -> dict[str, str]:
        config = self.runner.cfg
        data = config.get("test_dataloader") or {}
        parts = [config.get("model"), data.get("dataset"), self.precision, __version__]
        return {
            "weights": weights_digest(_unwrapped(self.runner.model).state_dict()),
            "config": config_digest(*[_plain(part) for part in parts]),
        }

    def _close_partial(self, remove: bool) -> None:
        if self._partial is None:
            return
        if remove:
            barrier()
            for path in self._others:
                path.unlink(missing_ok=True)
        self._partial.close(remove=remove)
        self._partial = None

    def _run_video(self, model: Any, number: int, index: int, progress: _Progress) -> None:
        finished = self._finished.get(self._video_id(index)) if self._finished else None
        if finished is None:
            super()._run_video(model, number, index, progress)
            return
        batch = {"video": finished.video, "index": index}
        self._call("before_test_iter", batch_idx=number, data_batch=batch)
        super()._finish_video(number, batch, finished)
        progress.skip()

    def _video_id(self, index: int) -> int:
        return int(self.dataset.get_video(index).video.video_id)

    def _finish_video(self, number: int, batch: dict[str, Any], tracks: VideoTracks) -> None:
        if self._partial is not None:
            self._partial.append(tracks)
        super()._finish_video(number, batch, tracks)


class _Progress:
    """Lines of progress with the expected time left."""

    def __init__(self, logger: Any, stage: str, total: int, every: float) -> None:
        self._logger, self._stage, self._total, self._every = logger, stage, total, every
        self._done = self._skipped = self._frames = 0
        self._start = self._last = time.monotonic()

    def skip(self) -> None:
        self._skipped += 1

    def add(self, tracks: VideoTracks) -> None:
        self._done += 1
        self._frames += tracks.video.length or 0
        now = time.monotonic()
        seen = self._done + self._skipped
        if now - self._last < self._every and seen < self._total:
            return
        self._last = now
        seconds = max(now - self._start, 1e-9)
        left = int(seconds / self._done * (self._total - seen))
        self._logger.info(
            f"Video({self._stage}) [{seen}/{self._total}]  {self._frames} frames  "
            f"{self._frames / seconds:.1f} frames/s  eta: {left // 3600}:"
            f"{left // 60 % 60:02d}:{left % 60:02d}"
        )


@contextmanager
def _evaluating(model: Any) -> Iterator[Any]:
    training = model.training
    model.eval()
    try:
        yield _unwrapped(model)
    finally:
        model.train(training)


def _unwrapped(model: Any) -> Any:
    return model.module if is_model_wrapper(model) else model


def _check(tracks: VideoTracks, video: VideoInfo, model: Any) -> None:
    if tracks.video.video_id != video.video_id:
        raise RuntimeError(
            f"{type(model).__name__}.segment returned tracks of video {tracks.video.video_id} for "
            f"video {video.video_id} ({video.name})"
        )


def _partial_name(rank: int) -> str:
    return "partial_results.jsonl" if rank == 0 else f"partial_results_{rank}.jsonl"


def _plain(part: Any) -> Any:
    return part.to_dict() if hasattr(part, "to_dict") else part
