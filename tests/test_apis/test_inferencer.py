# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from api_methods import (
    BrightOnline,
    image,
    write_checkpoint,
    write_config,
    write_folder,
    write_video,
)
from mmengine.infer import BaseInferencer

from visbench.apis import InputError, VISInferencer
from visbench.engine import CheckpointError, ConfigError, load_config
from visbench.structures import (
    Frame,
    FrameInstances,
    VideoTracks,
    decode_mask,
    read_id_masks,
)

COUNT = 5


def _camera(tmp_path: Path) -> int:
    return 0


INPUTS: dict[str, Callable[[Path], Any]] = {
    "folder": lambda tmp_path: write_folder(tmp_path / "clip", COUNT),
    "video": lambda tmp_path: str(write_video(tmp_path / "clip.mp4", COUNT)),
    "list": lambda tmp_path: [image(index) for index in range(COUNT)],
    "array": lambda tmp_path: np.stack([image(index) for index in range(COUNT)]),
    "files": lambda tmp_path: sorted(write_folder(tmp_path / "clip", COUNT).iterdir()),
    "generator": lambda tmp_path: (image(index) for index in range(COUNT)),
    "camera": _camera,
}


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., VISInferencer]:
    """Return an inferencer of an online or offline method."""

    def inferencer(model: str = "BrightOnline", **options: Any) -> VISInferencer:
        config = write_config(tmp_path / f"{model}.py", model)
        checkpoint = write_checkpoint(tmp_path / "weights.pth")
        return VISInferencer(config, checkpoint, "cpu", **{"show_progress": False, **options})

    return inferencer


@pytest.fixture(autouse=True)
def camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let camera 0 show a video file; there is no other camera."""
    path, capture = write_video(tmp_path / "camera.mp4", COUNT), cv2.VideoCapture
    monkeypatch.setattr(cv2, "VideoCapture", lambda name: capture(str(path) if name == 0 else name))


def _count(path: Path) -> int:
    capture, count = cv2.VideoCapture(str(path)), 0
    while capture.read()[0]:
        count += 1
    return count


def _check_squares(tracks: VideoTracks, length: int = COUNT) -> None:
    """The bright square of :func:`image` is what was found in every frame."""
    (track,) = tracks.tracks
    assert tracks.video.length == length
    assert track.masks is not None
    for index, mask in enumerate(track.masks):
        assert mask is not None
        expected = image(index)[:, :, 0] > 127
        assert (decode_mask(mask) != expected).mean() < 0.03, f"frame {index}"


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("model", ["BrightOnline", "BrightOffline"])
def test_every_input_gives_every_output(
    tmp_path: Path, make: Callable[..., VISInferencer], model: str, kind: str
) -> None:
    outcome = make(model)(
        INPUTS[kind](tmp_path),
        return_datasamples=True,
        max_frames=COUNT,
        name="my clip",
        return_vis=True,
        video_out=tmp_path / "out" / "overlay.mp4",
        results_out=tmp_path / "out" / "results.json",
        masks_out=tmp_path / "out" / "masks",
    )
    assert set(outcome) == {"predictions", "visualization"}
    assert outcome["predictions"].video.name == "my clip"
    _check_squares(outcome["predictions"])
    assert [drawn.shape for drawn in outcome["visualization"]] == [(384, 512, 3)] * COUNT
    assert _count(tmp_path / "out" / "overlay.mp4") == COUNT
    (record,) = json.loads((tmp_path / "out" / "results.json").read_text())
    assert record["segmentations"] == outcome["predictions"].tracks[0].masks
    assert (record["category_id"], record["category_name"], record["track_id"]) == (20, "dog", 4)
    masks = read_id_masks(tmp_path / "out" / "masks")
    assert masks.tracks[0].masks == outcome["predictions"].tracks[0].masks
    assert (masks.tracks[0].id, masks.predictions[0].label) == (4, 1)


def test_predictions_are_records_by_default(make: Callable[..., VISInferencer]) -> None:
    outcome = make()([image(0)])
    assert json.loads(json.dumps(outcome["predictions"])) == outcome["predictions"]
    assert outcome["visualization"] == []


def test_a_folder_of_outputs_is_named_by_the_video(
    tmp_path: Path, make: Callable[..., VISInferencer]
) -> None:
    inferencer = make()
    for name in ("a", "b/c"):
        inferencer([image(0)], name=name, out_dir=tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a", "b_c"]
    names = sorted(path.name for path in (tmp_path / "out" / "b_c").iterdir())
    assert names == ["overlay.mp4", "results.json"]


def test_masks_have_the_names_of_the_frames(
    tmp_path: Path, make: Callable[..., VISInferencer]
) -> None:
    inferencer, folder = make(), write_folder(tmp_path / "clip", 3)
    for _ in range(2):
        inferencer(folder, masks_out=tmp_path / "masks")
        found = {path.name for path in (tmp_path / "masks").iterdir()}
        assert found == {"1.png", "2.png", "3.png", "ids.json"}
    inferencer(folder, masks_out=tmp_path / "masks", max_frames=1)
    assert {path.name for path in (tmp_path / "masks").iterdir()} == {"1.png", "ids.json"}
    with pytest.raises(InputError, match=r"holds .\.png, which is not of an earlier run"):
        inferencer(folder, masks_out=folder)
    assert len(list(folder.iterdir())) == 3
    (folder / "1.jpg").write_bytes((folder / "1.png").read_bytes())
    inferencer(folder, masks_out=tmp_path / "masks")
    assert (tmp_path / "masks" / "00003.png").exists(), "two frames are called 1"


def test_a_threshold_holds_for_pictures_and_not_for_results(
    tmp_path: Path, make: Callable[..., VISInferencer]
) -> None:
    outcome = make()([image(0)], pred_score_thr=0.9, return_vis=True, masks_out=tmp_path / "masks")
    assert len(outcome["predictions"]) == 1
    plain = cv2.resize(image(0), (512, 384), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(outcome["visualization"][0], plain)
    assert read_id_masks(tmp_path / "masks").tracks == []


def test_a_stream_reads_a_frame_when_it_is_asked_for(make: Callable[..., VISInferencer]) -> None:
    taken: list[int] = []

    def endless() -> Any:
        index = 0
        buffer = np.zeros((48, 64, 3), np.uint8)
        while True:
            taken.append(index)
            buffer[:] = image(index % 8)
            yield buffer
            index += 1

    frames = make().stream(endless())
    for found in frames:
        assert taken == list(range(found.index + 1)), "nothing is read ahead or kept"
        assert len(found.instances) == 1
        if found.index == 40:
            break
    result = frames.result()
    assert result is not None
    assert result.video.length == 41
    assert not frames._kept


def test_frames_are_counted_for_the_caller(make: Callable[..., VISInferencer]) -> None:
    for progress in (True, False):
        seen: list[int] = []
        make(show_progress=progress)([image(0)] * 3, on_frame=seen.append)
        assert seen == [1, 2, 3]


def test_an_offline_method_says_so(
    make: Callable[..., VISInferencer], capsys: pytest.CaptureFixture[str]
) -> None:
    assert make().online
    offline = make("BrightOffline", show_progress=True)
    assert not offline.online
    offline([image(0)])
    assert "BrightOffline is an offline method: the whole video" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"camera 0 has no end; give a number of frames"):
        offline(0)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_run_leaves_what_is_done(
    tmp_path: Path,
    make: Callable[..., VISInferencer],
    monkeypatch: pytest.MonkeyPatch,
    error: type[BaseException],
) -> None:
    step = BrightOnline.step

    def interrupted(self: BrightOnline, frame: Frame, state: Any) -> FrameInstances:
        if frame.index == 3:
            raise error
        return step(self, frame, state)

    monkeypatch.setattr(BrightOnline, "step", interrupted)
    with pytest.raises(error):
        make()(write_folder(tmp_path / "in"), out_dir=tmp_path, masks_out=tmp_path / "masks")
    assert _count(tmp_path / "in" / "overlay.mp4") == 3
    (record,) = json.loads((tmp_path / "in" / "results.json").read_text())
    assert len(record["segmentations"]) == 3
    assert read_id_masks(tmp_path / "masks").video.length == 3


def test_a_window_shows_frames_until_q(
    make: Callable[..., VISInferencer], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[tuple] = []
    keys = iter([-1, ord("q")])
    monkeypatch.setattr(cv2, "imshow", lambda title, frame: shown.append((title, frame.shape)))
    monkeypatch.setattr(cv2, "waitKey", lambda delay: shown.append((delay,)) or next(keys))
    outcome = make()([image(0)] * 4, show=True, wait_time=0.04, return_datasamples=True)
    assert shown == [("frames", (384, 512, 3)), (40,)] * 2
    assert outcome["predictions"].video.length == 2

    def no_window(title: str, frame: np.ndarray) -> None:
        raise cv2.error("The function is not implemented")

    monkeypatch.setattr(cv2, "imshow", no_window)
    with pytest.raises(InputError, match="opencv-python instead of opencv-python-headless"):
        make()([image(0)], show=True)


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ([], "the list holds no frames"),
        (iter(()), "the generator yields no frames"),
        ([image(0), image(0, 40)], "frame 1 of frames is 64x40, the first one is 64x48"),
        ((image(0, 48 - i) for i in range(2)), "frame 1 of generator is 64x47, the first one is"),
        ([image(0) / 255.0], r"frame 0 of frames is a float64 array of shape \(48, 64, 3\)"),
        ([image(0)[:, :, 0]], r"uint8 array of shape \(48, 64\); a uint8 array"),
        ([torch.zeros(3, 4, 4)], "frame 0 of frames is a Tensor"),
        (iter(["a.png"]), "frame 0 of generator is a str"),
        (image(0), r"a single image; give a list of frames, \[image\]"),
        (2.5, "the input is a float; give a path"),
        (7, "camera 7 cannot be opened"),
        ("none.mp4", "input none.mp4 does not exist"),
        (["none.png"], "frame none.png cannot be read"),
    ],
)
def test_bad_inputs_are_named(make: Callable[..., VISInferencer], inputs: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        make()(inputs)


def test_an_empty_video_is_named(tmp_path: Path, make: Callable[..., VISInferencer]) -> None:
    (tmp_path / "empty.mp4").write_bytes(b"")
    with pytest.raises(InputError, match=r"empty\.mp4 cannot be decoded"):
        make()(tmp_path / "empty.mp4")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no frames"):
        make()(tmp_path / "empty")


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"batch_size": 2}, InputError, "batch_size is 2"),
        ({"pred_score_thr": 30}, InputError, "pred_score_thr is 30"),
        ({"video_out": "out.avi"}, InputError, "must end in .mp4"),
        ({"video_out": "out.mp4", "fps": 0}, InputError, "0 frames per second"),
        ({"contact_sheet": "sheet.png"}, InputError, "give that too"),
        ({"max_frames": 0}, InputError, "max_frames=0"),
        ({"treshold": 1}, ValueError, "treshold"),
        ({"results_out": "."}, InputError, "results_out: . is a folder"),
        ({"results_out": "/dev/null/r.json"}, InputError, "results_out: .* cannot be written"),
    ],
)
def test_bad_arguments_are_named_before_the_model_runs(
    make: Callable[..., VISInferencer],
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    error: type[Exception],
    words: str,
) -> None:
    monkeypatch.setattr(BrightOnline, "start", lambda self, video: pytest.fail("it runs"))
    with pytest.raises(error, match=words):
        make()([image(0)], **options)


@pytest.mark.parametrize("option", ["video_out", "masks_out"])
def test_outputs_that_cannot_be_written_are_named(
    tmp_path: Path, make: Callable[..., VISInferencer], option: str
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=rf"{option}: .*file"):
        make()([image(0)], **{option: tmp_path / "file" / "out.mp4"})


def test_a_folder_is_no_video(tmp_path: Path, make: Callable[..., VISInferencer]) -> None:
    (tmp_path / "out.mp4").mkdir()
    with pytest.raises(InputError, match=r"out\.mp4 is a folder"):
        make()([image(0)], video_out=tmp_path / "out.mp4")


def test_a_generator_that_fails_keeps_what_came_before(
    tmp_path: Path, make: Callable[..., VISInferencer]
) -> None:
    def frames() -> Any:
        yield from (image(0), image(1))
        raise ConnectionError("the network is gone")

    inferencer, out = make(), tmp_path / "out"
    with pytest.raises(InputError, match="frame 2 of video 'clip': the network is gone"):
        inferencer(frames(), name="clip", out_dir=out, masks_out=out / "masks")
    (record,) = json.loads((out / "clip" / "results.json").read_text())
    assert len(record["segmentations"]) == _count(out / "clip" / "overlay.mp4") == 2
    assert len(list((out / "masks").glob("*.png"))) == 2
    _check_squares(inferencer([image(0)], return_datasamples=True)["predictions"], 1)


def test_inferencers_and_their_streams_do_not_disturb_each_other(
    make: Callable[..., VISInferencer],
) -> None:
    first, second = make(), make("BrightOffline")
    streams = [inferencer.stream([image(0)] * 3) for inferencer in (first, first, second)]
    iterators = [iter(stream) for stream in streams]
    for index in (0, 1, 0, 2, 1, 0):
        next(iterators[index])
    results = [stream.result() for stream in streams]
    assert [result and result.video.length for result in results] == [3, 2, 3]


def test_boxes_alone_make_no_masks(
    tmp_path: Path, make: Callable[..., VISInferencer], monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(self: BrightOnline, frame: Frame, state: Any) -> FrameInstances:
        found = FrameInstances([4], [1], [0.8], [[1, 2, 30, 40]])
        state.recorder.add(frame.index, found)
        return found

    monkeypatch.setattr(BrightOnline, "step", step)
    inferencer = make()
    (record,) = inferencer([image(0)], out_dir=tmp_path / "out")["predictions"]
    assert record["bboxes"] == [[1, 2, 29, 38]]
    with pytest.raises(InputError, match=r"masks_out: .*boxes only"):
        inferencer([image(0)], masks_out=tmp_path / "masks")


def test_a_config_may_be_given_as_such(tmp_path: Path) -> None:
    config = load_config(write_config(tmp_path / "config.py"))
    checkpoint = write_checkpoint(tmp_path / "weights.pth")
    inferencer = VISInferencer(config, checkpoint, "cpu", show_progress=False)
    assert isinstance(inferencer, BaseInferencer)
    assert inferencer.class_names == ["cat", "dog"]
    assert inferencer.visualizer is None
    with pytest.raises(ConfigError, match="no weights are listed"):
        VISInferencer(config)


def test_what_cannot_be_built_is_named(tmp_path: Path) -> None:
    config = write_config(tmp_path / "config.py")
    with pytest.raises(CheckpointError, match=r"none\.pth does not exist"):
        VISInferencer(config, tmp_path / "none.pth")
    torch.save({"state_dict": {"other": torch.zeros(2)}}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=r"another model than the config \(BrightOnline"):
        VISInferencer(config, tmp_path / "other.pth")
    with pytest.raises(ConfigError, match=r"idol_r50_ovi is neither .* did you mean idol_r50_ovis"):
        VISInferencer("idol_r50_ovi", tmp_path / "other.pth")
    with pytest.raises(ConfigError, match="no weights are listed for this model"):
        VISInferencer("idol_demo_movingshapes")
    with pytest.raises(ConfigError, match="scope is 'mmdet'"):
        VISInferencer(config, tmp_path / "other.pth", scope="mmdet")
    with pytest.raises(ConfigError, match="device 'tpu' is unknown"):
        VISInferencer(config, write_checkpoint(tmp_path / "weights.pth"), "tpu")


def test_models_are_listed_by_name_and_alias() -> None:
    names = VISInferencer.list_models()
    assert {"idol_demo_movingshapes", "idol_r50_8xb2-12k_ovis", "idol_r50_ovis"} <= set(names)
    assert len(names) == len(set(names))
    assert all(name.startswith("iai") for name in VISInferencer.list_models("visbench", "iai"))
    with pytest.raises(ConfigError, match="scope is 'mmdet'"):
        VISInferencer.list_models("mmdet")
