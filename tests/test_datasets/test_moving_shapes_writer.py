# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from visbench.datasets.moving_shapes import (
    Scene,
    SplitPaths,
    ensure_split,
    frame_truth,
    make_split,
    render_frame,
    split_paths,
    writer,
)
from visbench.datasets.moving_shapes.annotations import scene_annotations
from visbench.datasets.moving_shapes.preview import contact_sheet, write_preview
from visbench.datasets.moving_shapes.workers import write_in_parallel


def make(
    root: Path, preset: str = "easy", split: str = "val", videos: int | None = 2, workers: int = 1
) -> SplitPaths:
    return make_split(root, preset, split, videos=videos, workers=workers, progress=False)


def stamps(folder: Path) -> dict[str, int]:
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".lock"
    }


def test_round_trip(tmp_path: Path) -> None:
    paths = make(tmp_path)
    assert paths.annotations == tmp_path / "v1" / "easy-first2" / "valid.json"
    assert paths.images == tmp_path / "v1" / "easy-first2" / "valid" / "JPEGImages"
    data = json.loads(paths.annotations.read_text())
    assert data["info"]["videos"] == 2
    assert data["info"]["full_videos"] == 60
    for index, video in enumerate(data["videos"]):
        scene = Scene.sample("easy", "val", index)
        for frame in (0, 20, 35):
            image = cv2.imread(str(paths.images / video["file_names"][frame]))
            assert np.array_equal(image, render_frame(scene, frame)[0])
        tracks = [t for t in data["annotations"] if t["video_id"] == video["id"]]
        for track, expected in zip(tracks, scene_annotations(scene), strict=True):
            assert {key: track[key] for key in expected} == expected
    left = [path.name for path in paths.root.iterdir()]
    assert sorted(left) == [".valid.lock", "valid", "valid.json"]


def test_what_is_there_is_used_again(tmp_path: Path) -> None:
    paths = make(tmp_path)
    before = stamps(tmp_path)
    assert make(tmp_path) == ensure_split(tmp_path, "easy", "valid", videos=2) == paths
    assert stamps(tmp_path) == before


def test_an_interrupted_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encode = writer._write_image
    calls: list[Path] = []

    def failing(path: Path, image: np.ndarray) -> None:
        calls.append(path)
        if len(calls) == 60:
            raise OSError("disk full")
        encode(path, image)

    with monkeypatch.context() as patch:
        patch.setattr(writer, "_write_image", failing)
        with pytest.raises(OSError, match="disk full"):
            make(tmp_path)
    paths = split_paths(tmp_path, "easy", "val", 2)
    assert not paths.complete
    assert not paths.annotations.exists()
    finished = paths.root / ".valid.partial" / "JPEGImages" / "easy_valid_0000"
    before = stamps(finished)
    assert len(before) == 36
    make(tmp_path)
    assert paths.complete
    assert stamps(paths.images / "easy_valid_0000") == before
    whole = make(tmp_path / "whole")
    assert paths.annotations.read_bytes() == whole.annotations.read_bytes()
    assert len(list(paths.images.rglob("*.png"))) == 72


def test_a_run_that_died_between_the_renames_is_repaired(tmp_path: Path) -> None:
    paths = make(tmp_path)
    text = paths.annotations.read_bytes()
    paths.annotations.unlink()
    make(tmp_path)
    assert paths.annotations.read_bytes() == text
    assert len(list(paths.images.rglob("*.png"))) == 72


def test_two_processes_write_what_one_writes(tmp_path: Path) -> None:
    one = make(tmp_path / "one", videos=3, workers=1)
    two = make(tmp_path / "two", videos=3, workers=2)
    assert one.annotations.read_bytes() == two.annotations.read_bytes()
    for path in sorted(one.images.rglob("*.png")):
        assert (two.images / path.relative_to(one.images)).read_bytes() == path.read_bytes()


def test_a_worker_that_fails_is_reported(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    jobs = [writer.Job("easy", "valid", i, blocked, tmp_path).to_json() for i in range(2)]
    with pytest.raises(OSError, match=r"ended early \(exit 1\):[\s\S]*NotADirectoryError"):
        list(write_in_parallel(jobs, 2))


def test_writers_at_the_same_time_do_not_collide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    write = writer.write_video

    def counting(job: writer.Job) -> list[dict[str, object]]:
        written.append(job.index)
        return write(job)

    monkeypatch.setattr(writer, "write_video", counting)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: make(tmp_path), range(2))
    assert first == second
    assert first.complete
    assert sorted(written) == [0, 1]


def test_processes_at_the_same_time_do_not_collide(tmp_path: Path) -> None:
    # The package alone, without the rest of the library: numpy, OpenCV, pycocotools and rich.
    code = (
        "import sys; sys.path.append(sys.argv[1]); import moving_shapes; "
        "moving_shapes.make_split(sys.argv[2], 'easy', 'val', 3, workers=1, progress=False); "
        "loaded = {name.split('.')[0] for name in sys.modules}; "
        "assert not loaded & {'torch', 'mmcv', 'mmengine', 'mmdet', 'visbench'}, loaded"
    )
    package = Path(writer.__file__).parents[1]
    command = [sys.executable, "-c", code, str(package), str(tmp_path / "both")]
    crew = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    assert [(process.communicate()[1], process.returncode) for process in crew] == [("", 0)] * 2
    both = split_paths(tmp_path / "both", "easy", "val", 3)
    one = make(tmp_path / "one", videos=3)
    assert both.annotations.read_bytes() == one.annotations.read_bytes()
    assert len(list(both.images.rglob("*.png"))) == 3 * 36


def test_mixed_links_the_videos_of_its_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(writer.VIDEOS, "train", 2)
    easy = make(tmp_path, "easy", "train", None)
    mixed = make(tmp_path, "mixed", "train", None)
    data = json.loads(mixed.annotations.read_text())
    names = [video["file_names"][0] for video in data["videos"]]
    assert names == ["easy_train_0000/00000.png", "occluded_train_0000/00000.png"]
    assert (mixed.images / names[0]).samefile(easy.images / names[0])
    assert (mixed.images / names[1]).is_file()
    scene = Scene.sample("mixed", "train", 1)
    shown = [t for t in data["annotations"] if t["video_id"] == 2]
    seen = frame_truth(scene, 9).present
    assert [t["areas"][9] is not None for t in shown] == list(seen)


@pytest.mark.parametrize("videos", [0, 61])
def test_a_number_of_videos_out_of_range_is_refused(tmp_path: Path, videos: int) -> None:
    with pytest.raises(ValueError, match=f"videos: {videos} is out of range"):
        make(tmp_path, videos=videos)
    assert not list(tmp_path.iterdir())


def test_all_videos_are_the_full_split(tmp_path: Path) -> None:
    assert split_paths(tmp_path, "easy", "val", 60) == split_paths(tmp_path, "easy", "valid")


def test_preview(tmp_path: Path) -> None:
    assert contact_sheet("easy", "val", videos=2, columns=3).shape == (2 * 264, 3 * 392, 3)
    write_preview(tmp_path / "sheet.png", "easy", "val", videos=1)
    assert (tmp_path / "sheet.png").stat().st_size > 0
    with pytest.raises(OSError, match="cannot write"):
        write_preview(tmp_path / "no" / "sheet.png", "easy", "val", videos=1)
    with pytest.raises(OSError, match=r"use \.png"):
        write_preview(tmp_path / "sheet.unknown", "easy", "val", videos=1)
