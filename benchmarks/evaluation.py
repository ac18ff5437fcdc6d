#!/usr/bin/env python
# SPDX-License-Identifier: Apache-2.0
"""Compare the evaluator with MMDetection's copy of the official one, from files to numbers.

A synthetic problem is written to a temporary folder: random closed curves that drift over frames
of 720x1280, predictions that follow an object or not. Each side runs in a process of its own, from
files that are not in the cache, and reports the seconds of its stages and its peak memory (over all
of its processes). visbench runs twice, stage by stage in one process and in two. The ratios are
what counts; the absolute numbers are those of the machine at hand, and wall seconds mean little if
it has other work.

Example:
    python benchmarks/evaluation.py --size youtube_vis --videos 30
    python benchmarks/evaluation.py --size ovis
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator
from itertools import islice
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import orjson
from pycocotools import mask as mask_utils
from rich.console import Console
from rich.table import Table

from visbench.evaluation.run_lengths import read_runs

HEIGHT, WIDTH = 720, 1280
CATEGORIES = 40
CURVE_POINTS = 90
RADII = (40, 155)
RECORDS_AT_ONCE = 50
PRESETS = {
    "youtube_vis": {"videos": 302, "frames": 36, "objects": 1.79, "predictions": 100},
    "ovis": {"videos": 140, "frames": 70, "objects": 5.5, "predictions": 50},
}
Curve = tuple[Any, Any]


def main() -> int:
    """Make the problem, run both sides and print the table of stages."""
    options = parse_arguments()
    if options.side:
        print(json.dumps(SIDES[options.side](*options.files)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        files = write_problem(Path(folder), options)
        found = {side: run_side(side, files) for side in SIDES}
    if any(side["numbers"] != found["official"]["numbers"] for side in found.values()):
        raise SystemExit(f"the sides disagree: {found}")
    print_table(found, options)
    return 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=PRESETS, default="youtube_vis", help="validation split")
    parser.add_argument("--videos", type=int, help="fewer videos than the split has")
    parser.add_argument("--frames", type=int)
    parser.add_argument("--objects", type=float, help="mean number in a video")
    parser.add_argument("--predictions", type=int, help="number in each video")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--side", choices=("official", "stages", "visbench"), help=argparse.SUPPRESS
    )
    parser.add_argument("files", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args()
    for name, value in PRESETS[options.size].items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


def write_problem(folder: Path, options: argparse.Namespace) -> tuple[str, str]:
    """Write annotations and results and return their paths."""
    rng = np.random.default_rng(options.seed)
    videos: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    paths = folder / "annotations.json", folder / "results.json"
    with paths[1].open("wb") as file:
        file.write(b"[")
        for video_id in range(1, options.videos + 1):
            names = [f"{video_id}/{t:05d}.jpg" for t in range(options.frames)]
            video = {"id": video_id, "height": HEIGHT, "width": WIDTH, "file_names": names}
            curves = [make_curve(rng) for _ in range(1 + rng.poisson(options.objects - 1))]
            objects = [make_object(rng, video, curve) for curve in curves]
            for track in objects:
                annotations.append({**track, "id": len(annotations) + 1})
            videos.append(video)
            for number in range(options.predictions):
                record = make_prediction(rng, video, objects, curves, number)
                file.write(b", " * (file.tell() > 1) + orjson.dumps(record))
        file.write(b"]")
    categories = [{"id": k, "name": f"c{k}"} for k in range(1, CATEGORIES + 1)]
    content = {"videos": videos, "categories": categories, "annotations": annotations}
    paths[0].write_bytes(orjson.dumps(content))
    return str(paths[0]), str(paths[1])


def make_curve(rng: np.random.Generator) -> Curve:
    """Return a closed curve, ``(CURVE_POINTS, 2)`` x and y, and its drift from frame to frame."""
    angles = np.linspace(0, 2 * np.pi, CURVE_POINTS, endpoint=False)
    radius = rng.uniform(*RADII) * np.ones(CURVE_POINTS)
    for wave in range(2, 8):
        radius *= 1 + 0.25 / wave * np.sin(wave * angles + rng.uniform(0, 2 * np.pi))
    centre = rng.uniform([0, 0], [WIDTH, HEIGHT])
    curve = centre + radius[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
    return curve, rng.normal(0, 6, 2)


def draw(rng: np.random.Generator, curve: Curve, frames: int, missing: float) -> list[Any]:
    """Return one compressed mask per frame, None in a share of them."""
    points, drift = curve
    masks: list[Any] = []
    for t in range(frames):
        moved = (points + t * drift).clip([0, 0], [WIDTH, HEIGHT]).reshape(-1)
        (mask,) = mask_utils.frPyObjects([moved.tolist()], HEIGHT, WIDTH)
        masks.append(None if rng.random() < missing else mask)
    return masks


def make_object(rng: np.random.Generator, video: dict[str, Any], curve: Curve) -> dict[str, Any]:
    """Return an annotation without id."""
    masks = draw(rng, curve, len(video["file_names"]), 0.27)
    return {
        "video_id": video["id"],
        "category_id": int(rng.integers(1, CATEGORIES + 1)),
        "iscrowd": 0,
        "segmentations": [mask and uncompressed(mask) for mask in masks],
        "areas": [mask and int(mask_utils.area(mask)) for mask in masks],
        "bboxes": [mask and mask_utils.toBbox(mask).tolist() for mask in masks],
    }


def make_prediction(
    rng: np.random.Generator,
    video: dict[str, Any],
    objects: list[dict[str, Any]],
    curves: list[Curve],
    number: int,
) -> dict[str, Any]:
    """Return a prediction: the first ones follow the objects, the others are anywhere."""
    which = number % len(objects)
    category, curve = objects[which]["category_id"], make_curve(rng)
    if number < 2 * len(objects):
        points, drift = curves[which]
        curve = points + rng.normal(0, 4, points.shape), drift
    elif rng.random() > 0.4:
        category = int(rng.integers(1, CATEGORIES + 1))
    masks = draw(rng, curve, len(video["file_names"]), 0.03)
    return {
        "video_id": video["id"],
        "category_id": category,
        "score": float(rng.random()),
        "segmentations": [mask and plain(mask) for mask in masks],
    }


def plain(mask: dict[str, Any]) -> dict[str, Any]:
    """Return a mask ready for JSON."""
    return {"size": mask["size"], "counts": mask["counts"].decode()}


def uncompressed(mask: dict[str, Any]) -> dict[str, Any]:
    """Return a mask as the public annotation files have it."""
    runs = read_runs(mask["counts"].decode(), HEIGHT * WIDTH)
    return {"size": mask["size"], "counts": runs}


class Stages:
    """Measures processor and wall time of stages and of everything, and memory."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.walls: dict[str, float] = {}
        self.last_wall = self.begin = time.perf_counter()
        self.last = self.first = time.process_time()

    def done(self, name: str) -> None:
        """Add the time since the last call to a stage."""
        now, wall = time.process_time(), time.perf_counter()
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self.last
        self.walls[name] = self.walls.get(name, 0.0) + wall - self.last_wall
        self.last, self.last_wall = now, wall

    def report(self, numbers: list[float]) -> dict[str, Any]:
        """Return stages, totals over all processes, peak memory in MiB, and the numbers."""
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        own = time.process_time() - self.first
        peak = own_peak() + children.ru_maxrss
        return {
            "stages": self.seconds,
            "walls": self.walls,
            "wall": time.perf_counter() - self.begin,
            "processor": own + children.ru_utime + children.ru_stime,
            "peak": peak / 1024,
            "numbers": numbers,
        }


def own_peak() -> int:
    """Return the peak memory of this process in KiB."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # What getrusage returns begins with the memory of the process that started this one.
    (line,) = (text for text in status.read_text().splitlines() if text.startswith("VmHWM"))
    return int(line.split()[1])


def run_official(annotations: str, results: str) -> dict[str, Any]:
    """Evaluate with MMDetection's copy of the official evaluator."""
    api, evaluator = official_module("ytvis"), official_module("ytviseval")
    stages = Stages()
    truth = api.YTVIS(annotations)
    stages.done("annotations")

    def load(file: Any) -> Any:
        content = json.load(file)
        stages.done("results: parse")
        return content

    vars(api)["json"] = SimpleNamespace(load=load)
    found = truth.loadRes(results)
    stages.done("results: check and measure")
    evaluation = evaluator.YTVISeval(truth, found, "segm")
    evaluation.evaluate()
    stages.done("IoU and matching")
    evaluation.accumulate()
    evaluation.summarize()
    stages.done("accumulate")
    return stages.report([float(value) for value in evaluation.stats])


def official_module(name: str) -> ModuleType:
    """Load one file of MMDetection without importing the package."""
    package = importlib.util.find_spec("mmdet")
    if package is None or not package.submodule_search_locations:
        raise SystemExit("onedl-mmdetection is needed for the official side")
    path = Path(package.submodule_search_locations[0]) / "evaluation" / "functional" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path}: cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    # The removed numpy alias that the copy still uses in old releases.
    np.float = float  # type: ignore[attr-defined]
    sys.stdout = sys.stderr
    spec.loader.exec_module(module)
    return module


def run_stages(annotations: str, results: str) -> dict[str, Any]:
    """Evaluate with visbench in one process, stage by stage."""
    from visbench.evaluation import VideoEvaluator
    from visbench.evaluation.results import group_by_video
    from visbench.evaluation.streams import iterate_records

    stages = Stages()
    evaluator = VideoEvaluator(annotations, workers=1)
    stages.done("annotations")

    def records() -> Iterator[Any]:
        parsed = iterate_records(Path(results), plain=True)
        # The clock is too slow to look at it for each record.
        while part := list(islice(parsed, RECORDS_AT_ONCE)):
            stages.done("results: parse")
            yield from part
            stages.done("results: check and measure")

    for group in group_by_video(evaluator.reader.read_all(records())):
        stages.done("results: check and measure")
        evaluator.add(group)
        stages.done("IoU and matching")
    result = evaluator.compute()
    stages.done("accumulate")
    return stages.report(list(result.metrics["youtube_vis"].values()))


def run_visbench(annotations: str, results: str) -> dict[str, Any]:
    """Evaluate with visbench as ``evaluate()`` does, in two processes.

    The stages are those of the first process, which reads about half of the results.
    """
    from visbench.evaluation import VideoEvaluator, workers

    stages = Stages()
    iterate = workers.iterate_records

    def records(*args: Any, **options: Any) -> Generator[Any, None, bool]:
        parsed, ended = iterate(*args, **options), False

        def until_end() -> Iterator[Any]:
            nonlocal ended
            ended = yield from parsed

        remaining = until_end()
        while part := list(islice(remaining, RECORDS_AT_ONCE)):
            stages.done("results: parse")
            yield from part
            stages.done("rest")
        return ended

    vars(workers)["iterate_records"] = records
    evaluator = VideoEvaluator(annotations)
    stages.done("annotations")
    workers.add_file(evaluator, Path(results))
    result = evaluator.compute()
    stages.done("rest")
    return stages.report(list(result.metrics["youtube_vis"].values()))


SIDES = {"official": run_official, "stages": run_stages, "visbench": run_visbench}


def run_side(side: str, files: tuple[str, str]) -> dict[str, Any]:
    """Run one side in a process of its own, with the files out of the system's cache."""
    for name in files:
        forget(Path(name))
    command = [sys.executable, __file__, "--side", side, *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{side} failed:\n{done.stderr}")
    text = done.stdout if side != "official" else (done.stdout or done.stderr)
    return json.loads(text.strip().splitlines()[-1])


def forget(path: Path) -> None:
    """Ask the system to drop a file from its cache, where it can be asked."""
    if hasattr(os, "posix_fadvise"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def print_table(found: dict[str, dict[str, Any]], options: argparse.Namespace) -> None:
    """Print seconds per stage, totals, memory and ratios."""
    masks = options.videos * options.frames * options.predictions
    table = Table(title=f"{masks} predicted masks, load {os.getloadavg()[0]:.1f}")
    for name in ("", "official", "visbench", "ratio"):
        table.add_column(name, justify="right" if name else "left")
    one, other, whole = (found[side] for side in ("official", "stages", "visbench"))
    rows = [(name, one["stages"][name], other["stages"][name]) for name in STAGE_NAMES]
    for name in ("processor", "wall"):
        rows.append((f"one process, {name} seconds", one[name], other[name]))
    rows.append(
        ("one process, after parsing", *(rest(s, "processor", "stages") for s in (one, other)))
    )
    rows.append(("two processes, processor seconds", one["processor"], whole["processor"]))
    rows.append(("two processes, wall seconds", one["wall"], whole["wall"]))
    rows.append(
        ("two processes, after parsing, wall", *(rest(s, "wall", "walls") for s in (one, whole)))
    )
    rows.append(("two processes, peak memory (MiB)", one["peak"], whole["peak"]))
    for name, official, ours in rows:
        table.add_row(name, f"{official:.2f}", f"{ours:.2f}", f"{official / ours:.1f}")
    Console(width=100).print(table)


def rest(side: dict[str, Any], total: str, stages: str) -> float:
    """Return the seconds without reading the annotations and parsing the results."""
    return side[total] - sum(side[stages][name] for name in STAGE_NAMES[:2])


STAGE_NAMES = (
    "annotations",
    "results: parse",
    "results: check and measure",
    "IoU and matching",
    "accumulate",
)


if __name__ == "__main__":
    sys.exit(main())
