# SPDX-License-Identifier: Apache-2.0
"""Measures a method on one video: its stages, and the whole video as a test runs it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from visbench.benchmark.speed.seams import seams_of, timed
from visbench.benchmark.speed.stages import (
    ASSOCIATION,
    DECODE,
    NETWORK,
    PREPROCESS,
    STAGES,
    StageClock,
    summary,
)
from visbench.datasets import FrameSource
from visbench.engine.loops import autocast_to
from visbench.structures import Frame, VideoInfo, VideoTracks

LOOK_AHEAD = 2
"""Frames that a thread reads in advance where the whole video is measured, as in a test."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Setting:
    """What a model is measured on.

    Args:
        video: The video, its length known.
        reader: Returns a frame, see :class:`~visbench.datasets.FrameSource`.
        transforms: Per-frame transforms of the test pipeline.
        precision: As of the video loops.
        warm_up: Frames before the measurement, so that nothing is built within it.
    """

    video: VideoInfo
    reader: Callable[[int], Any]
    transforms: Sequence[Any]
    precision: str = "fp32"
    warm_up: int = 3

    @property
    def length(self) -> int:
        """Number of frames."""
        assert self.video.length is not None
        return self.video.length

    def source(self, look_ahead: int = 0, reader: Callable[[int], Any] | None = None) -> Any:
        """Return the frames.

        Args:
            look_ahead: Frames read in advance by a thread.
            reader: In place of the setting's own.
        """
        name = self.video.name
        return FrameSource(reader or self.reader, self.length, self.transforms, look_ahead, name)

    def first(self, frames: int) -> Setting:
        """Return the same for the begin of the video."""
        return replace(self, video=replace(self.video, length=min(frames, self.length)))


def measure(model: Any, setting: Setting, device: str, progress: Progress) -> dict[str, Any]:
    """Measure a model on a video.

    Args:
        model: A method, in evaluation mode.
        setting: The video.
        device: Where the model is: ``cpu``, ``cuda`` or ``mps``.
        progress: Called with the number of frames done and to do.

    Returns:
        ``fps_online`` (one frame per step as it arrives; None for an offline method),
        ``fps_whole`` (whole video, frames read in advance), ``total_s``, ``frame`` and ``stages``
        with milliseconds and shares, ``instances_per_frame``, ``online`` and ``note``.
    """
    wait, total = device_wait(device), 2 * setting.length

    def count(done: int) -> None:
        progress(done, total)

    with torch.no_grad(), autocast_to(setting.precision):
        if setting.warm_up:
            # Separately from the clock's run, which must not see it.
            model.segment(*_whole(model, setting.first(setting.warm_up), lambda done: None))
        clock = StageClock(wait=wait)
        with timed(model, clock):
            instances = (_online if model.online else _offline)(model, setting, clock, count)
        wait()
        begin = time.perf_counter()
        model.segment(*_whole(model, setting, lambda done: count(setting.length + done)))
        wait()
        seconds = time.perf_counter() - begin
    return {
        "online": bool(model.online),
        "fps_online": setting.length / clock.total if model.online else None,
        "fps_whole": setting.length / seconds,
        "total_s": clock.total,
        "frame": summary(clock.frames) if model.online else {},
        "stages": stage_figures(clock, bool(model.online)),
        "instances_per_frame": instances / setting.length,
        "note": seams_of(model).note,
    }


def stage_figures(clock: StageClock, online: bool) -> dict[str, dict[str, float]]:
    """Return of every stage ``mean_ms`` per frame, ``share`` of the total, ``p50_ms``, ``p95_ms``.

    Args:
        clock: The clock after the video.
        online: Whether all stages come frame by frame; else decoding and preprocessing do, and
            the others have no percentiles.
    """
    figures = {}
    for stage in STAGES:
        seconds = clock.seconds(stage)
        values = {"mean_ms": 1000 * seconds / len(clock.frames), "share": seconds / clock.total}
        if online or stage in (DECODE, PREPROCESS):
            values.update(summary(clock.per_frame(stage)))
        figures[stage] = values
    return figures


def device_wait(device: str) -> Callable[[], None]:
    """Return what waits until a device has finished."""
    if device == "cuda":
        return torch.cuda.synchronize
    if device == "mps":
        return torch.mps.synchronize
    return lambda: None


def _prepared(
    model: Any, setting: Setting, clock: StageClock, count: Callable[[int], None]
) -> Iterator[Frame]:
    source = setting.source(reader=clock.timed(setting.reader, DECODE))
    for index in range(setting.length):
        with clock.stage(PREPROCESS):
            frame = model.prepare(source.read(index))
        yield frame
        clock.end_frame()
        count(index + 1)


def _online(model: Any, setting: Setting, clock: StageClock, count: Callable[[int], None]) -> int:
    """Run a method step by step; return the number of instances that it emitted."""
    instances = 0
    with clock.running(NETWORK):
        state = model.start(setting.video)
        for frame in _prepared(model, setting, clock, count):
            instances += len(model.step(frame, state).ids)
        with clock.stage(ASSOCIATION):
            model.finish(state)
    return instances


def _offline(model: Any, setting: Setting, clock: StageClock, count: Callable[[int], None]) -> int:
    """Run a method on the whole video; return the number of instances of its tracks."""
    with clock.running(NETWORK):
        tracks = model.segment(setting.video, _prepared(model, setting, clock, count))
    return _instances(tracks)


def _instances(result: VideoTracks) -> int:
    return sum(
        sum(mask is not None for mask in track.masks)
        if track.masks is not None
        else int((~np.isnan(track.frame_scores)).sum())
        for track in result.tracks
    )


def _whole(
    model: Any, setting: Setting, count: Callable[[int], None]
) -> tuple[VideoInfo, Iterator[Frame]]:
    """Return the arguments of ``segment`` as a test has them."""

    def frames() -> Iterator[Frame]:
        for done, frame in enumerate(setting.source(LOOK_AHEAD), start=1):
            yield model.prepare(frame)
            count(done)

    return setting.video, frames()
