# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from visbench.datasets import FrameError, LoadFrame

IMAGE = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)


def results(path: Path, **fields: Any) -> dict[str, Any]:
    return {"img_path": str(path), "video_name": "clip7", **fields}


@pytest.fixture(params=["a.jpg", "a.png"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / request.param
    cv2.imwrite(str(path), IMAGE)
    return path


def test_sound_files_are_loaded(path: Path) -> None:
    loaded = LoadFrame()(results(path, height=40, width=60))
    assert loaded["img_shape"] == loaded["ori_shape"] == (40, 60)
    np.testing.assert_array_equal(loaded["img"], cv2.imread(str(path)))
    assert LoadFrame(to_float32=True)(results(path))["img"].dtype == np.float32


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated_files_are_refused(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(FrameError, match=rf"frame {path} of video 'clip7' is damaged"):
        LoadFrame()(results(path))


def test_bytes_after_the_end_are_allowed(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0\0trailer")
    assert LoadFrame()(results(path))["img_shape"] == (40, 60)


@pytest.mark.parametrize("content", [b"", b"no image", b"no image\xff\xd9"])
def test_files_that_are_no_image_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(FrameError, match=f"frame {path} of video 'clip7' is"):
        LoadFrame()(results(path))


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FrameError, match=r"none\.jpg of video 'clip7' cannot be read"):
        LoadFrame()(results(tmp_path / "none.jpg"))


def test_other_size_than_annotated_is_refused(path: Path) -> None:
    with pytest.raises(FrameError, match=r"has the size 40x60, but .* say 40x80"):
        LoadFrame()(results(path, height=40, width=80))
