# SPDX-License-Identifier: Apache-2.0
"""Hooks that measure and report; they change nothing of a run."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook

from visbench.benchmark.events import send
from visbench.visualization import write_overlay_video

_EVERY = 0.5


class ProgressHook(Hook):
    """Sends the progress of training and test as events, at most twice a second."""

    priority = "LOWEST"

    def __init__(self) -> None:
        self._last = 0.0

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Send the number of finished iterations and the loss."""
        done, total = runner.iter + 1, runner.max_iters
        if self._due(done == total):
            loss = float(outputs["loss"].detach()) if outputs and "loss" in outputs else None
            send(stage="train", done=done, total=total, loss=loss)

    def after_test_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Send the number of finished videos."""
        done, total = batch_idx + 1, len(runner.test_loop.dataset)
        if self._due(done == total):
            send(stage="test", done=done, total=total)

    def _due(self, last: bool) -> bool:
        now = time.monotonic()
        if now - self._last < _EVERY and not last:
            return False
        self._last = now
        return True


class TrainingTimeHook(Hook):
    """Adds up the seconds of training over interruptions.

    The sum travels in the checkpoints (MMEngine's message hub), so a resumed run goes on from the
    time of the iteration it resumes at: work that was lost and done again counts once.
    """

    # Before the checkpoint hook, whose file must hold the time of its own iteration.
    priority = "NORMAL"
    _FIELD = "visbench_training_seconds"

    def __init__(self) -> None:
        self._before = 0.0
        self._start = 0.0

    def before_train(self, runner: Any) -> None:
        """Take over the time that a resumed checkpoint has cost."""
        self._before = self.total(runner) or 0.0
        self._start = time.monotonic()

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Bring the sum up to date."""
        seconds = self._before + time.monotonic() - self._start
        runner.message_hub.update_info(self._FIELD, seconds)

    def total(self, runner: Any) -> float | None:
        """Return the seconds so far; None if nothing has been trained."""
        value = runner.message_hub.runtime_info.get(self._FIELD)
        return None if value is None else float(value)


class InferenceTimeHook(Hook):
    """Notes the seconds that the loop spent in ``model.segment``, video by video.

    Videos of an interrupted test keep their times. Reading of frames is included; evaluation,
    drawing and writing are not.

    Args:
        path: The file of notes.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def after_test_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: dict[str, Any] | None = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Note a video, unless it was finished in an earlier session."""
        if not data_batch or "seconds" not in data_batch or not outputs:
            return
        video = outputs[0]["video_tracks"].video
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([video.video_id, video.length, data_batch["seconds"]]) + "\n")

    def frames_per_second(self) -> float | None:
        """Return frames per second over all videos; None if none was timed."""
        if not self.path.exists():
            return None
        videos: dict[int, tuple[int, float]] = {}
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                video_id, frames, seconds = json.loads(line)
            except ValueError:
                continue
            videos[int(video_id)] = (int(frames), float(seconds))
        seconds = sum(seconds for _, seconds in videos.values())
        return sum(frames for frames, _ in videos.values()) / seconds if seconds > 0 else None


class OneOverlayHook(Hook):
    """Writes the overlay of the first video of a test beside its input.

    Args:
        path: The video to write, ``*.mp4``.
        score_threshold: Predictions with a lower score are not drawn.
    """

    def __init__(self, path: str | Path, score_threshold: float = 0.3) -> None:
        self.path = Path(path)
        self.score_threshold = score_threshold

    def after_test_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: dict[str, Any] | None = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Draw the first video, unless an earlier session has."""
        if batch_idx > 0 or not data_batch or not outputs or self.path.exists():
            return
        dataset = runner.test_loop.dataset
        frames = dataset.get_video(data_batch["index"]).frames
        write_overlay_video(
            self.path,
            (frames.reader(index) for index in range(len(frames))),
            outputs[0]["video_tracks"],
            dataset.metainfo.get("classes", ()),
            self.score_threshold,
            beside_input=True,
        )
