# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from visbench.benchmark.speed.material import (
    endless_reader,
    forth_and_back,
    shapes_material,
    video_material,
)
from visbench.engine.errors import UserError


def test_a_video_of_shapes_is_made_once(tmp_path: Path) -> None:
    material = shapes_material(tmp_path, 48, 64)
    files = sorted(material.path.glob("*.jpg"))
    assert len(files) == 36
    times = [file.stat().st_mtime_ns for file in files]
    assert shapes_material(tmp_path, 48, 64) == material
    assert [file.stat().st_mtime_ns for file in files] == times
    assert shapes_material(tmp_path, 32, 64).path != material.path
    read = endless_reader(material)
    frames = [read(index) for index in range(72)]
    assert {frame.shape for frame in frames} == {(48, 64, 3)}
    changes = [float(np.abs(a.astype(int) - b).mean()) for a, b in pairwise(frames)]
    assert max(changes) < 4 * np.median(changes), "no frame is far from the one before"
    assert np.array_equal(frames[36], frames[34])
    assert not np.array_equal(frames[0], frames[35])


def test_forth_and_back_never_jumps() -> None:
    shown = [forth_and_back(index, 5) for index in range(40)]
    assert set(shown) == set(range(5))
    assert {abs(a - b) for a, b in pairwise(shown)} == {1}
    assert [forth_and_back(index, 1) for index in range(3)] == [0, 0, 0]


def test_a_video_file_begins_again(tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 5, (64, 48))
    for level in (0, 100, 200):
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()
    material = video_material(path)
    assert (material.height, material.width) == (48, 64)
    assert material.name.startswith("clip-")
    read = endless_reader(material)
    for _ in range(2):
        levels = [round(float(read(index).mean()), -2) for index in range(7)]
        assert levels == [0, 100, 200, 0, 100, 200, 0]


def test_a_missing_video_is_an_error() -> None:
    with pytest.raises(UserError, match=r"input none\.mp4 does not exist"):
        video_material("none.mp4")
