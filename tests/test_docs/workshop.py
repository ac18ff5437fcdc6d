# SPDX-License-Identifier: Apache-2.0
"""The folder in which snippets run: small files under the names that pages use."""

from __future__ import annotations

import copy
import json
import os
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest
from snippets import MODULE, ROOT, run_tool

from visbench.datasets.moving_shapes import ensure_split
from visbench.registry import registries

CONFIG = "masktrack_rcnn_demo_movingshapes"
CHECKPOINT = f"work_dirs/{CONFIG}/iter_1800.pth"


def make_workshop(folder: Path, own_data: Path) -> None:
    """Fill a folder.

    Args:
        folder: An empty folder; it is the working directory.
        own_data: A data set in YouTube-VIS layout, for ``data/mine``.
    """
    for name in ("configs", "examples", "tests", "tools"):
        (folder / name).symlink_to(ROOT / name)
    shutil.copytree(own_data, folder / "data" / "mine")
    paths = ensure_split("data/moving_shapes", "easy", "val", videos=2, workers=1)
    write_results(folder, json.loads(paths.annotations.read_text()))
    write_videos(folder, paths.images)
    run_tool(["python", "tools/train.py", CONFIG, "--work-dir", "trained", "--device", "cpu"])
    (folder / CHECKPOINT).parent.mkdir(parents=True)
    (folder / "trained" / "iter_1.pth").rename(folder / CHECKPOINT)
    # Placeholders of short examples.
    for name in ("CHECKPOINT", "CHECKPOINT.pth"):
        (folder / name).symlink_to(CHECKPOINT)


def write_results(folder: Path, truth: dict[str, Any]) -> None:
    """Write annotations and two imperfect results for them: one plain, one as a submission."""
    for name in ("valid.json", "ANNOTATIONS.json"):
        (folder / name).write_text(json.dumps(truth))
    ours = [predicted(record, drop=0) for record in truth["annotations"]]
    for name in ("results.json", "RESULTS.json"):
        (folder / name).write_text(json.dumps(ours))
    theirs = [predicted(record, drop=5) for record in truth["annotations"]]
    for name in ("submission.zip", "theirs.zip"):
        with zipfile.ZipFile(folder / name, "w") as archive:
            archive.writestr("results.json", json.dumps(theirs))


def predicted(record: dict[str, Any], drop: int) -> dict[str, Any]:
    """Return an object as a prediction without its first and, by choice, its last masks."""
    masks = copy.deepcopy(record["segmentations"])
    seen = [index for index, mask in enumerate(masks) if mask is not None]
    for index in [seen[0], *seen[len(seen) - drop :]]:
        masks[index] = None
    return {
        "video_id": record["video_id"],
        "category_id": record["category_id"],
        "score": round(0.9 - 0.05 * (record["id"] % 7), 2),
        "segmentations": masks,
    }


def write_videos(folder: Path, images: Path) -> None:
    """Write six frames of the first video as a folder and as a video file."""
    first = min(path for path in images.iterdir() if path.is_dir())
    (folder / "frames").mkdir()
    writer = None
    for path in sorted(first.iterdir())[:6]:
        shutil.copy(path, folder / "frames")
        image = cv2.imread(str(path))
        size = (image.shape[1], image.shape[0])
        if writer is None:
            fourcc = cv2.VideoWriter.fourcc(*"mp4v")
            writer = cv2.VideoWriter(str(folder / "video.mp4"), fourcc, 10.0, size)
        writer.write(image)
    assert writer is not None
    writer.release()


def copy_workshop(source: Path, target: Path) -> None:
    """Copy a filled folder for one page; large files are linked."""
    shutil.copytree(source, target, symlinks=True, copy_function=_link)


def _link(source: str, target: str) -> None:
    os.link(source, target, follow_symlinks=False)


@pytest.fixture(scope="session")
def filled_workshop(tmp_path_factory: pytest.TempPathFactory, tiny_youtube_vis: Path) -> Path:
    """A folder with everything that pages use; made once."""
    folder = tmp_path_factory.mktemp("workshop")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make_workshop(folder, tiny_youtube_vis)
    return folder


@pytest.fixture
def workshop(
    filled_workshop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A copy of the prepared folder, as the working directory; what pages register goes again."""
    folder = tmp_path / "workshop"
    copy_workshop(filled_workshop, folder)
    monkeypatch.chdir(folder)
    # For processes that tools start.
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    yield folder
    for registry in registries():
        own = [key for key, value in registry.module_dict.items() if value.__module__ == MODULE]
        for key in own:
            del registry.module_dict[key]
