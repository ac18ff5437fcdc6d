# SPDX-License-Identifier: Apache-2.0
"""A tiny work folder of a comparison: three videos of four frames, made-up methods."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rich.console import Console

from visbench.benchmark import Row, RowStore
from visbench.benchmark.report import ReportOptions, write_html_report
from visbench.benchmark.report.gallery import GalleryOptions
from visbench.benchmark.scoring import row_numbers, score
from visbench.structures import encode_masks

HOSTILE = "<script>alert('x')</script> & \"co\""
LENGTH, HEIGHT, WIDTH = 4, 24, 32


def _mask(x: int, y: int, size: int = 10) -> dict[str, Any]:
    mask = np.zeros((1, HEIGHT, WIDTH), np.uint8)
    mask[0, y : y + size, x : x + size] = 1
    return dict(encode_masks(mask)[0])


def _truth() -> dict[str, Any]:
    videos, annotations = [], []
    for video in (1, 2, 3):
        names = [f"video{video}/{frame}.png" for frame in range(LENGTH)]
        sizes = {"height": HEIGHT, "width": WIDTH, "length": LENGTH}
        videos.append({"id": video, "file_names": names, **sizes})
        for number in range(2):
            occlusion = "severe_occlusion" if video == 3 else "no_occlusion"
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "video_id": video,
                    "category_id": 1 + (number + (video == 3)) % 2 + (video == 3),
                    "iscrowd": 0,
                    "segmentations": [_mask(4 + frame, 2 + 11 * number) for frame in range(LENGTH)],
                    "occlusion": [occlusion] * LENGTH,
                }
            )
    names = ("disc", "square", "<b>ring</b>")
    categories = [{"id": key, "name": name} for key, name in enumerate(names, 1)]
    return {"videos": videos, "categories": categories, "annotations": annotations}


def _results(truth: dict[str, Any], shift: int, swap: bool, drop: int) -> list[dict[str, Any]]:
    """Return the annotated objects, moved to the right; ids change places in video 2."""
    records = []
    for object_ in truth["annotations"]:
        number = (object_["id"] - 1) % 2
        rows = [2 + 11 * number] * LENGTH
        if swap and object_["video_id"] == 2:
            rows[2:] = [2 + 11 * (1 - number)] * 2
        if object_["id"] == drop:
            continue
        masks = [_mask(4 + frame + shift, row) for frame, row in enumerate(rows)]
        record = {"video_id": object_["video_id"], "segmentations": masks}
        score = 0.9 - 0.05 * object_["id"]
        records.append({**record, "category_id": object_["category_id"], "score": score})
        # The same masks under a second class are the same track.
        records.append({**record, "category_id": 1 + object_["category_id"] % 3, "score": 0.1})
    return records


@dataclass(frozen=True)
class Store:
    """The work folder and what was put into it."""

    work_dir: Path
    annotations: Path
    results: dict[tuple[str, int], Path]


METHODS = ((HOSTILE, 0, 1, False, 0), (HOSTILE, 1, 2, False, 0), ("Other", 0, 0, True, 1))


def make_store(folder: Path) -> Store:
    """Write rows, runs, annotations and frames."""
    truth = _truth()
    annotations = folder / "data" / "valid.json"
    annotations.parent.mkdir(parents=True)
    annotations.write_text(json.dumps(truth))
    for video in truth["videos"]:
        for name in video["file_names"]:
            path = folder / "data" / "valid" / "JPEGImages" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), np.full((HEIGHT, WIDTH, 3), 120, np.uint8))
    work_dir, results = folder / "work", {}
    store = RowStore(work_dir / "rows")
    for method, seed, shift, swap, drop in METHODS:
        config = "hostile" if method == HOSTILE else "other"
        run = work_dir / "runs" / f"{config}__seed{seed}__12345678"
        path = run / "test" / "results.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(_results(truth, shift, swap, drop)))
        log = run / "20260101_000000" / "vis_data" / "scalars.json"
        log.parent.mkdir(parents=True)
        log.write_text("".join(f'{{"loss": {9 - s}.5, "step": {s}}}\n' for s in range(1, 5)))
        fields = row_numbers(score(path, annotations))
        store.add(
            Row(
                method,
                f"{config}.py",
                "tiny",
                seed,
                fps=20.0 + seed,
                config_hash="12345678",
                run_dir=str(run),
                results=str(path),
                annotations=str(annotations),
                **fields,
            )
        )
        results[method, seed] = path
    gone = {"results": "gone/results.json", "annotations": "gone.json", "run_dir": "gone"}
    store.add(Row("Gone", "gone.py", "far", 0, AP=12.5, config_hash="1", **gone))
    store.add(Row("floor: <i>", "", "tiny", 0, AP=33.0, kind="control", config_hash="v1"))
    failed = {"status": "failed", "reason": "the <loss> is infinite"}
    store.add(Row("Broken", "broken.py", "", 0, config_hash="2", **failed))
    store.add(Row("Other", "other.py", "tiny", 0, config_hash="12345678", **failed))
    (store.folder / "damaged.json").write_text("{")
    return Store(work_dir, annotations, results)


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(tmp_path_factory.mktemp("report"))


@pytest.fixture
def fresh_store(tmp_path: Path) -> Store:
    """A store of one test alone."""
    return make_store(tmp_path)


@pytest.fixture(scope="session")
def write(store: Store) -> Callable[..., str]:
    """Write the report with some options and return its text."""

    def write(name: str, **options: Any) -> str:
        out = store.work_dir / name
        gallery = GalleryOptions(**{"videos": 1, "frames": 2, **options.pop("gallery", {})})
        chosen = ReportOptions(gallery=gallery, **options)
        write_html_report(store.work_dir, out, chosen, Console(quiet=True))
        return out.read_text(encoding="utf-8")

    return write


@pytest.fixture(scope="session")
def page(write: Callable[..., str]) -> str:
    return write("page.html", title="A <title>")
