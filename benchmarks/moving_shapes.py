# SPDX-License-Identifier: Apache-2.0
"""Measure MovingShapes: statistics of the presets, floors, the control and speed.

    python benchmarks/moving_shapes.py                     # everything
    python benchmarks/moving_shapes.py --only statistics   # the table of docs/moving_shapes.md

Prints Markdown tables. Writes the validation splits that it needs to --root.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from visbench.datasets.moving_shapes import PRESETS, VIDEOS, Scene, make_split, render_frame
from visbench.datasets.moving_shapes.floors import (
    colour_segmentation,
    filled_boxes,
    shuffled_ids,
)
from visbench.datasets.moving_shapes.statistics import TrackFacts, scene_facts, summarise
from visbench.evaluation import evaluate

_COLUMNS = (
    "tracks", "light", "medium", "heavy", "late", "late_or_return", "median_speed",
    "smallest_area", "largest_area", "fewest_frames",
)  # fmt: skip


def _facts(task: tuple[str, str, int]) -> list[TrackFacts]:
    return scene_facts(Scene.sample(*task))


def print_statistics(workers: int) -> None:
    """Print the statistics of every video of every split."""
    print("| preset | split | " + " | ".join(_COLUMNS) + " |")
    print("|---" * (len(_COLUMNS) + 2) + "|")
    with ProcessPoolExecutor(workers) as pool:
        for preset in PRESETS:
            whole: list[TrackFacts] = []
            for split, count in VIDEOS.items():
                tasks = [(preset, split, index) for index in range(count)]
                tracks = [fact for facts in pool.map(_facts, tasks, chunksize=5) for fact in facts]
                whole += tracks
                _print_row(preset, split, tracks)
            _print_row(preset, "both", whole)


def _print_row(preset: str, split: str, tracks: list[TrackFacts]) -> None:
    numbers = summarise(tracks)
    cells = [
        f"{numbers[name]:.0f}" if name in ("tracks", "fewest_frames") else f"{numbers[name]:.1f}"
        for name in _COLUMNS
    ]
    print(f"| {preset} | {split} | " + " | ".join(cells) + " |", flush=True)


def print_floors(root: Path, presets: list[str]) -> None:
    """Print AP, AP50 and AP75 in points of the floors and the control on validation splits."""
    print("| preset | row | AP | AP50 | AP75 | AR1 | AR10 |")
    print("|---|---|---|---|---|---|---|")
    for preset in presets:
        paths = make_split(root, preset, "val")
        annotations = json.loads(paths.annotations.read_text(encoding="utf-8"))

        rows: dict[str, Callable[[], list[dict[str, Any]]]] = {
            "ground-truth boxes, linked by IoU": partial(filled_boxes, annotations),
            "colour segmentation, linked by IoU": partial(
                colour_segmentation, annotations, partial(_read_frame, paths.images)
            ),
            "ground-truth masks, ids shuffled": partial(shuffled_ids, annotations),
        }
        for name, make in rows.items():
            values = evaluate(annotations, make()).to_dict()["youtube_vis"]
            cells = [f"{100 * values[key]:.1f}" for key in ("AP", "AP50", "AP75", "AR1", "AR10")]
            print(f"| {preset} | {name} | " + " | ".join(cells) + " |", flush=True)


def _read_frame(images: Path, name: str) -> NDArray[np.uint8]:
    frame = cv2.imread(str(images / name))
    if frame is None:
        raise OSError(f"{images / name}: cannot read the frame")
    return np.asarray(frame, dtype=np.uint8)


def print_speed(videos: int = 10) -> None:
    """Print the time of a scene and of a frame with its masks, one thread."""
    print("| preset | scene and textures, ms | frame with masks, ms |")
    print("|---|---|---|")
    for preset in PRESETS:
        start = time.perf_counter()
        scenes = [Scene.sample(preset, "valid", index) for index in range(videos)]
        for scene in scenes:
            render_frame(scene, 0)
        setup = (time.perf_counter() - start) / videos
        start = time.perf_counter()
        for scene in scenes:
            for index in range(36):
                render_frame(scene, index)
        frame = (time.perf_counter() - start) / (36 * videos)
        print(f"| {preset} | {1000 * setup:.1f} | {1000 * frame:.2f} |", flush=True)


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=("statistics", "floors", "speed"))
    parser.add_argument("--root", type=Path, default=Path("data/moving_shapes"))
    parser.add_argument("--presets", nargs="+", default=["easy", "occluded", "crowded"],
                        help="presets of the floors (default: %(default)s)")  # fmt: skip
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    if args.only in (None, "statistics"):
        print_statistics(args.workers)
    if args.only in (None, "floors"):
        print_floors(args.root, args.presets)
    if args.only in (None, "speed"):
        cv2.setNumThreads(1)
        print_speed()


if __name__ == "__main__":
    main()
