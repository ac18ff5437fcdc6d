# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from visbench.structures import Prediction, Track, VideoInfo, VideoTracks, encode_masks
from visbench.visualization import OverlayWriter, write_overlay_video


def _frame(value: int, height: int = 48, width: int = 64) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def _read(path: Path) -> list[np.ndarray]:
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (got := capture.read())[0]:
        frames.append(got[1])
    capture.release()
    return frames


@pytest.mark.parametrize(("height", "width"), [(48, 64), (47, 63)])
def test_a_video_reads_back_with_all_frames(tmp_path: Path, height: int, width: int) -> None:
    with OverlayWriter(tmp_path / "new" / "out.mp4", fps=12.5) as writer:
        for value in range(0, 200, 20):
            writer.write(_frame(value, height, width))
    frames = _read(tmp_path / "new" / "out.mp4")
    assert len(frames) == writer.num_frames == 10
    assert frames[0].shape == (48, 64, 3)
    assert [round(float(frame.mean()) / 20) for frame in frames] == list(range(10))
    capture = cv2.VideoCapture(str(tmp_path / "new" / "out.mp4"))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(12.5)


def test_an_interrupted_video_is_finished(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with pytest.raises(KeyboardInterrupt), OverlayWriter(path) as writer:
        writer.write(_frame(10))
        writer.write(_frame(20))
        raise KeyboardInterrupt
    assert len(_read(path)) == 2
    assert [item.name for item in tmp_path.iterdir()] == ["out.mp4"]


def test_an_older_video_stays_until_the_new_one_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"old")
    with OverlayWriter(path) as writer:
        writer.write(_frame(10))
        assert path.read_bytes() == b"old"
    assert len(_read(path)) == 1


def test_no_frames_leave_no_file(tmp_path: Path) -> None:
    with OverlayWriter(tmp_path / "out.mp4"):
        pass
    assert not list(tmp_path.iterdir())


def test_the_contact_sheet_spreads_over_the_video(tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    with OverlayWriter(tmp_path / "out.mp4", contact_sheet=sheet, sheet_frames=4) as writer:
        for value in range(100):
            writer.write(_frame(value))
    image = cv2.imread(str(sheet))
    assert image is not None
    assert image.shape == (48, 4 * 64, 3)
    values = image[0, ::64, 0].astype(int)
    assert (np.diff(values) > 15).all()
    assert values[0] == 0
    assert values[-1] > 75


@pytest.mark.parametrize(
    ("name", "fps", "match"),
    [("out.avi", 25.0, "must end in .mp4"), ("out.mp4", 0.0, "frames per second")],
)
def test_wrong_arguments(tmp_path: Path, name: str, fps: float, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        OverlayWriter(tmp_path / name, fps)


def test_frames_of_different_size(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="frame 1 is 64x50, the video is 64x48"):  # noqa: SIM117
        with OverlayWriter(tmp_path / "out.mp4") as writer:
            writer.write(_frame(0))
            writer.write(_frame(0, height=50))


def test_a_missing_encoder_names_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cv2.VideoWriter, "isOpened", lambda self: False, raising=True)
    writer = OverlayWriter(tmp_path / "out.mp4")
    with pytest.raises(RuntimeError, match="pip install"):
        writer.write(_frame(0))


def test_the_overlay_of_a_finished_video(tmp_path: Path) -> None:
    masks = np.zeros((3, 40, 60), bool)
    masks[:, 10:30, 20:40] = True
    track = Track(1, list(encode_masks(masks)), None, np.full(3, 0.9, np.float32))
    result = VideoTracks(VideoInfo(1, "v", 40, 60, 3), [track], [Prediction(0, 0, 0.9)])
    path = tmp_path / "out.mp4"
    images = [_frame(128, 40, 60)] * 5
    assert write_overlay_video(path, images, result, ["cat"], beside_input=True) == 3
    frame = _read(path)[1]
    assert frame.shape == (360, 2 * 540, 3)
    plain, drawn = frame[180, 270].astype(int), frame[180, 540 + 270].astype(int)
    assert abs(plain - 128).max() < 10
    assert abs(drawn - 128).max() > 30
