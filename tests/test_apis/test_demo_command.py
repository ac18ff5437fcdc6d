# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import pytest
from api_methods import BrightOnline, write_checkpoint, write_config, write_folder, write_video

from visbench.apis.commands import demo
from visbench.structures import Frame, FrameInstances


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """Config and checkpoint."""
    config = write_config(tmp_path / "config.py")
    return [str(config), str(write_checkpoint(tmp_path / "weights.pth"))]


def _count(path: Path) -> int:
    capture, count = cv2.VideoCapture(str(path)), 0
    while capture.read()[0]:
        count += 1
    return count


@pytest.mark.parametrize("kind", ["folder", "video"])
def test_video_and_results_are_written(tmp_path: Path, words: list[str], kind: str) -> None:
    path = write_folder(tmp_path / "in") if kind == "folder" else write_video(tmp_path / "in.mp4")
    out, sheet = tmp_path / "new" / "out.mp4", tmp_path / "sheet.png"
    extra = ["--out", str(out), "--device", "cpu", "--contact-sheet", str(sheet)]
    assert demo([*words, str(path), *extra]) == 0
    assert _count(out) == 5
    assert sheet.is_file()
    fps = cv2.VideoCapture(str(out)).get(cv2.CAP_PROP_FPS)
    assert fps == pytest.approx(10 if kind == "folder" else 12)
    (record,) = json.loads(out.with_suffix(".json").read_text())
    assert len(record.pop("segmentations")) == 5
    assert record == {
        "video_id": 0,
        "category_id": 20,
        "score": 0.8,
        "category_name": "dog",
        "track_id": 4,
    }


def test_max_frames_and_fps(tmp_path: Path, words: list[str]) -> None:
    out = tmp_path / "out.mp4"
    path = write_video(tmp_path / "in.mp4")
    options = ["--max-frames", "2", "--fps", "30", "--device", "cpu"]
    assert demo([*words, str(path), "--out", str(out), *options]) == 0
    assert _count(out) == 2
    assert cv2.VideoCapture(str(out)).get(cv2.CAP_PROP_FPS) == pytest.approx(30)


def test_an_interruption_keeps_video_and_results(
    tmp_path: Path, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    step = BrightOnline.step

    def interrupted(self: BrightOnline, frame: Frame, state: object) -> FrameInstances:
        if frame.index == 3:
            raise KeyboardInterrupt
        return step(self, frame, state)  # type: ignore[arg-type]

    monkeypatch.setattr(BrightOnline, "step", interrupted)
    out = tmp_path / "out.mp4"
    path = write_folder(tmp_path / "in")
    assert demo([*words, str(path), "--out", str(out), "--device", "cpu"]) == 130
    assert _count(out) == 3
    (record,) = json.loads(out.with_suffix(".json").read_text())
    assert len(record["segmentations"]) == 3


def test_a_damaged_frame_keeps_what_came_before(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_folder(tmp_path / "in")
    cut = (folder / "4.png").read_bytes()
    (folder / "4.png").write_bytes(cut[: len(cut) * 2 // 3])
    out = tmp_path / "out.mp4"
    assert demo([*words, str(folder), "--out", str(out), "--device", "cpu"]) == 2
    error = capsys.readouterr().err
    assert "4.png" in error
    assert "Traceback" not in error
    assert _count(out) == 3
    assert len(json.loads(out.with_suffix(".json").read_text())[0]["segmentations"]) == 3


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({0: "none.py"}, "config none.py is neither a file nor the name"),
        ({1: "none.pth"}, "checkpoint none.pth does not exist"),
        ({2: "none"}, "input none does not exist"),
        ({2: "98"}, "camera 98 cannot be opened"),
        ({4: "out.avi"}, "must end in .mp4"),
        ({5: "--score-thr", 6: "3"}, "--score-thr is 3.0"),
        ({5: "--fps", 6: "-2"}, "frames per second"),
        ({5: "--max-frames", 6: "0"}, "max_frames=0"),
        ({5: "--device", 6: "tpu"}, "device 'tpu' is unknown"),
    ],
)
def test_wrong_arguments_are_one_error_line(
    tmp_path: Path,
    words: list[str],
    change: dict[int, str],
    match: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = dict(enumerate([*words, str(write_folder(tmp_path / "in")), "--out", "out.mp4"]))
    arguments.update(change)
    assert demo([arguments[position] for position in sorted(arguments)]) == 2
    error = capsys.readouterr().err
    assert match in error
    assert error.startswith("error: ")
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "out.mp4").exists()


class _Gadget:
    def __reduce__(self) -> tuple:
        return os.mkdir, ("planted",)


def test_a_checkpoint_with_code_is_refused(
    tmp_path: Path,
    words: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    planted = write_checkpoint(tmp_path / "planted.pth", gadget=_Gadget())
    source = write_folder(tmp_path / "in")
    assert demo([words[0], str(planted), str(source), "--out", "out.mp4"]) == 2
    assert "refused" in capsys.readouterr().err
    assert not (tmp_path / "planted").exists()
