# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from api_methods import image, write_folder, write_video
from PIL import Image

from visbench.apis import InputError, open_source


def test_a_folder_is_read_in_natural_order(tmp_path: Path) -> None:
    source = open_source(write_folder(tmp_path / "clip", 12))
    frames = list(source)
    assert source.name == "clip"
    assert source.length == len(frames) == 12
    assert (source.height, source.width) == (48, 64)
    for index, frame in enumerate(frames):
        np.testing.assert_array_equal(frame, image(index))
    assert len(list(source)) == 12, "a folder can be read again"


def test_a_video_file_is_read_twice_and_states_no_certain_length(tmp_path: Path) -> None:
    source = open_source(write_video(tmp_path / "clip.mp4", 7, fps=12.5))
    assert (source.name, source.height, source.width) == ("clip", 48, 64)
    assert source.video.length is None
    assert source.expected_length == 7
    assert source.fps == pytest.approx(12.5)
    first, second = list(source), list(source)
    assert len(first) == len(second) == 7
    np.testing.assert_array_equal(first, second)
    assert abs(first[3].astype(int) - image(3)).mean() < 5


@pytest.mark.parametrize("kind", ["folder", "video"])
def test_max_frames_ends_the_video(tmp_path: Path, kind: str) -> None:
    path = write_folder(tmp_path / "v") if kind == "folder" else write_video(tmp_path / "v.mp4")
    source = open_source(path, max_frames=3)
    assert source.expected_length == 3
    assert len(list(source)) == 3


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda folder: folder / "none.mp4", r"none.mp4 does not exist; give a video file"),
        (lambda folder: folder, r"holds no frames .*holds notes.txt, one, rubbish.mp4"),
        (lambda folder: folder / "rubbish.mp4", r"rubbish.mp4 cannot be decoded .*ffmpeg"),
        (lambda folder: "", r"the input is an empty text"),
        (lambda folder: "²", r"input ² does not exist"),
        (lambda folder: True, r"the input is a bool; give a path"),
        (lambda folder: folder / "one" / "1.png", r"is a single image; give the folder .*one"),
    ],
)
def test_wrong_inputs(tmp_path: Path, make: object, match: str) -> None:
    (tmp_path / "notes.txt").write_text("no frame")
    (tmp_path / "rubbish.mp4").write_bytes(b"rubbish")
    write_folder(tmp_path / "one", 1)
    assert callable(make)
    with pytest.raises(InputError, match=match):
        open_source(make(tmp_path))


def test_no_camera_names_the_remedy() -> None:
    with pytest.raises(InputError, match=r"camera 97 cannot be opened .*the first camera is 0"):
        open_source("97")


def test_max_frames_must_be_positive(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="max_frames=0"):
        open_source(write_folder(tmp_path / "clip"), max_frames=0)


def test_mixed_sizes_are_refused_at_once(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "clip")
    cv2.imwrite(str(folder / "3.png"), image(0, height=50))
    with pytest.raises(InputError, match=r"3.png is 64x50, but 1.png is 64x48"):
        open_source(folder)


def test_a_file_that_is_no_image_is_refused_at_once(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "clip")
    (folder / "4.jpg").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"4.jpg cannot be read"):
        open_source(folder)


def test_a_truncated_frame_is_refused_when_it_is_read(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "clip", 3)
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    cv2.imwrite(str(folder / "2.jpg"), noise)
    (folder / "2.png").unlink()
    content = (folder / "2.jpg").read_bytes()
    (folder / "2.jpg").write_bytes(content[: len(content) // 2])
    source = open_source(folder)
    with pytest.raises(InputError, match=r"2.jpg .*is damaged"):
        list(source)


@pytest.mark.parametrize("as_list", [False, True])
def test_photographs_stand_upright(tmp_path: Path, as_list: bool) -> None:
    picture = Image.fromarray(np.zeros((40, 60, 3), np.uint8))
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "0.jpg", exif=exif)
    source = open_source([tmp_path / "0.jpg"] if as_list else tmp_path)
    assert (source.height, source.width) == (60, 40)
    assert [frame.shape for frame in source] == [(60, 40, 3)]
