# SPDX-License-Identifier: Apache-2.0
"""Writes a split in the YouTube-VIS layout.

::

    <root>/v1/<preset>/train.json                        annotations; there when all is complete
    <root>/v1/<preset>/train/JPEGImages/<video>/<frame>.png

A split is written into ``.train.partial`` beside its final place and renamed at the end, so that
an interrupted run leaves nothing that looks complete; the next one takes up its finished videos.
The first N videos of a split go to ``<root>/v1/<preset>-first<N>``.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .annotations import build_dataset, frame_names, scene_annotations, track_annotations
from .locking import file_lock
from .presets import MIXED, VERSION, VIDEOS
from .render import FrameTruth, render_frame
from .scene import Scene, check_preset, split_name
from .workers import write_in_parallel

_IMAGES = "JPEGImages"
_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 1]


@dataclass(frozen=True)
class SplitPaths:
    """Where a split lies.

    Attributes:
        annotations: The annotation file.
        images: The folder that holds one folder of frames per video.
    """

    annotations: Path
    images: Path

    @property
    def root(self) -> Path:
        """Folder of the preset: the data root of a config."""
        return self.annotations.parent

    @property
    def complete(self) -> bool:
        """Whether the split is there; the annotation file is put in place last."""
        return self.annotations.is_file() and self.images.is_dir()


def split_paths(root: str | Path, preset: str, split: str, videos: int | None = None) -> SplitPaths:
    """Return where a split lies or would lie.

    Args:
        root: Root of the data set, such as ``data/moving_shapes``.
        preset: Name of a preset.
        split: ``train`` or ``val`` (also ``valid``).
        videos: Number of videos; None or the full number: the full split.

    Raises:
        ValueError: If preset, split or number of videos do not exist.
    """
    check_preset(preset, split)
    split = split_name(split)
    full = VIDEOS[split]
    if videos is not None and not 1 <= videos <= full:
        raise ValueError(f"videos: {videos} is out of range; {preset} {split} has 1 to {full}")
    folder = preset if videos in (None, full) else f"{preset}-first{videos}"
    base = Path(root) / VERSION / folder
    return SplitPaths(base / f"{split}.json", base / split / _IMAGES)


def make_split(
    root: str | Path,
    preset: str,
    split: str,
    videos: int | None = None,
    workers: int = 2,
    progress: bool = True,
) -> SplitPaths:
    """Write a split unless it is there already.

    Safe to call from several processes at once: one writes, the others wait and use it.

    Args:
        root: Root of the data set, such as ``data/moving_shapes``.
        preset: ``easy``, ``occluded``, ``crowded``, ``long`` or, for training, ``mixed``.
        split: ``train`` or ``val`` (also ``valid``).
        videos: Only the first so many videos, in a folder of their own; None: all.
        workers: Processes that draw; below 2 the calling process does it all.
        progress: Whether to show a progress bar (on standard error).

    Returns:
        Where the split lies.

    Raises:
        ValueError: If an argument names something that does not exist.
        OSError: If a file cannot be written; finished videos are kept for the next call.
    """
    paths = split_paths(root, preset, split, videos)
    if paths.complete:
        return paths
    split = split_name(split)
    paths.root.mkdir(parents=True, exist_ok=True)
    with file_lock(paths.root / f".{split}.lock"):
        if not paths.complete:
            count = VIDEOS[split] if videos is None else videos
            _write_split(paths, Path(root), preset, split, count, workers, progress)
    return paths


def ensure_split(
    root: str | Path, preset: str, split: str, videos: int | None = None, workers: int = 2
) -> SplitPaths:
    """Return where a split lies and write it first if it is missing; see ``make_split``."""
    return make_split(root, preset, split, videos=videos, workers=workers)


def _write_split(
    paths: SplitPaths, root: Path, preset: str, split: str, count: int, workers: int, progress: bool
) -> None:
    partial = paths.root / f".{split}.partial"
    images = partial / _IMAGES
    images.mkdir(parents=True, exist_ok=True)
    jobs = [Job(preset, split, index, images, root) for index in range(count)]
    tracks: list[list[dict[str, Any]]] = []
    with _progress(f"MovingShapes {VERSION} {preset} {split}", count, progress) as advance:
        for result in _run(jobs, workers):
            tracks.append(result)
            advance()
    data = _annotations(preset, split, tracks)
    waiting = paths.root / f".{split}.json.partial"
    waiting.write_text(json.dumps(data, separators=(",", ":")), encoding="utf-8")
    final = paths.images.parent
    if final.exists():
        # Left by a process that died between the two renames below: it has no annotations.
        shutil.rmtree(final)
    os.replace(partial, final)
    os.replace(waiting, paths.annotations)


def _annotations(preset: str, split: str, tracks: list[list[dict[str, Any]]]) -> dict[str, Any]:
    """Return the content of the annotation file for the tracks of every video."""
    count = len(tracks)
    scenes = (Scene.sample(preset, split, index) for index in range(count))
    info = {
        "description": "MovingShapes, procedural videos of textured shapes",
        "version": VERSION,
        "preset": preset,
        "split": split,
        "videos": count,
        "full_videos": VIDEOS[split],
    }
    return build_dataset(zip(scenes, tracks, strict=True), info)


@dataclass(frozen=True)
class Job:
    """One video to write.

    Attributes:
        preset: Name of the preset.
        split: ``train`` or ``valid``.
        index: Number of the video in the split.
        images: Folder that gets the video's folder.
        root: Root of the data set, where ``mixed`` looks for its parts.
    """

    preset: str
    split: str
    index: int
    images: Path
    root: Path

    def to_json(self) -> str:
        """Return the job as one line of JSON; paths are made absolute."""
        images, root = str(self.images.resolve()), str(self.root.resolve())
        return json.dumps([self.preset, self.split, self.index, images, root])

    @classmethod
    def from_json(cls, line: str) -> Job:
        """Return the job that ``to_json`` wrote."""
        preset, split, index, images, root = json.loads(line)
        return cls(preset, split, index, Path(images), Path(root))


def _run(jobs: list[Job], workers: int) -> Iterator[list[dict[str, Any]]]:
    if workers < 2 or len(jobs) < 2:
        yield from map(write_video, jobs)
        return
    yield from write_in_parallel([job.to_json() for job in jobs], min(workers, len(jobs)))


def write_video(job: Job) -> list[dict[str, Any]]:
    """Write the frames of a video unless they are there, and return its annotations."""
    scene = Scene.sample(job.preset, job.split, job.index)
    folder = job.images / scene.name
    if folder.is_dir():
        return scene_annotations(scene)
    if job.preset == MIXED and _link_video(job, scene, folder):
        return scene_annotations(scene)
    unfinished = job.images / f".{scene.name}.partial"
    unfinished.mkdir(exist_ok=True)
    truths: list[FrameTruth] = []
    for index, name in enumerate(frame_names(scene)):
        image, truth = render_frame(scene, index)
        _write_image(unfinished / Path(name).name, image)
        truths.append(truth)
    os.replace(unfinished, folder)
    return track_annotations(scene, truths)


def _write_image(path: Path, image: Any) -> None:
    done, data = cv2.imencode(".png", image, _PNG)
    if not done:
        raise OSError(f"{path}: OpenCV could not encode the frame as PNG")
    path.write_bytes(data.tobytes())


def _link_video(job: Job, scene: Scene, folder: Path) -> bool:
    """Take a video of ``mixed`` from its part by hard links; false if that cannot be done."""
    part = split_paths(job.root, scene.preset.name, job.split)
    source = part.images / scene.name
    if not part.complete or not source.is_dir():
        return False
    unfinished = job.images / f".{scene.name}.partial"
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        shutil.copytree(source, unfinished, copy_function=os.link)
    except (OSError, shutil.Error):
        shutil.rmtree(unfinished, ignore_errors=True)
        return False
    os.replace(unfinished, folder)
    return True


@contextmanager
def _progress(title: str, total: int, shown: bool) -> Iterator[Any]:
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        TextColumn("videos"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), disable=not shown) as bar:
        task = bar.add_task(title, total=total)
        yield lambda: bar.advance(task)
