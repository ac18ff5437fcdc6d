# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from api_methods import image, write_checkpoint, write_config, write_folder, write_video

from visbench.apis import CameraSource, InputError, init_model, open_source, stream
from visbench.engine import CheckpointError, ConfigError
from visbench.structures import decode_mask


def test_online_frames_come_one_by_one(tmp_path: Path) -> None:
    model = init_model(write_config(tmp_path / "c.py"), write_checkpoint(tmp_path / "w.pth"), "cpu")
    assert model.dataset_meta == {"classes": ["cat", "dog"], "category_ids": [10, 20]}
    seen: list[int] = []
    frames = stream(model, open_source(write_folder(tmp_path / "clip", 6)), on_frame=seen.append)
    assert frames.result() is None
    for index, original, instances in frames:
        np.testing.assert_array_equal(original, image(index))
        assert instances.masks is not None
        mask = decode_mask(instances.masks[0])
        assert mask.shape == (48, 64)
        assert mask[20, 14 + 2 * index]
        assert not mask[40].any()
        assert frames.num_frames == index + 1, "nothing runs ahead of the caller"
        result = frames.result()
        assert result is not None
        assert result.video.length == index + 1
    assert seen == [1, 2, 3, 4, 5, 6]
    assert not frames._kept, "no image may stay in memory"


@pytest.mark.parametrize("kind", ["folder", "video"])
def test_offline_methods_see_the_whole_video_first(tmp_path: Path, kind: str) -> None:
    checkpoint = write_checkpoint(tmp_path / "w.pth")
    paths = {}
    for model_type in ("BrightOnline", "BrightOffline"):
        config = write_config(tmp_path / f"{model_type}.py", model_type)
        paths[model_type] = init_model(config, checkpoint, "cpu")
    path = write_folder(tmp_path / "v") if kind == "folder" else write_video(tmp_path / "v.mp4")
    online = list(stream(paths["BrightOnline"], open_source(path)))
    frames = stream(paths["BrightOffline"], open_source(path))
    offline = list(frames)
    assert [index for index, _, _ in offline] == [0, 1, 2, 3, 4]
    assert frames.num_frames == 5
    for (_, first, expected), (_, second, got) in zip(online, offline, strict=True):
        np.testing.assert_array_equal(first, second)
        assert expected.masks == got.masks


def _camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CameraSource:
    """Return a camera whose frames come from a file."""
    import cv2

    path, capture = write_video(tmp_path / "camera.mp4", 8), cv2.VideoCapture
    monkeypatch.setattr(cv2, "VideoCapture", lambda index: capture(str(path)))
    return CameraSource(0)


def test_an_offline_method_needs_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = init_model(
        write_config(tmp_path / "c.py", "BrightOffline"),
        write_checkpoint(tmp_path / "w.pth"),
        "cpu",
    )
    camera = _camera(tmp_path, monkeypatch)
    with pytest.raises(InputError, match=r"BrightOffline is an offline method.*--max-frames"):
        stream(model, camera)
    camera.limit(3)
    frames = list(stream(model, camera))
    assert [index for index, _, _ in frames] == [0, 1, 2]
    assert abs(frames[2][1].astype(int) - image(2)).mean() < 5


def test_a_camera_streams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = init_model(write_config(tmp_path / "c.py"), write_checkpoint(tmp_path / "w.pth"), "cpu")
    camera = _camera(tmp_path, monkeypatch)
    camera.limit(4)
    assert len(list(stream(model, camera))) == 4
    with pytest.raises(InputError, match="frame 0 is asked for"):
        camera.read(0)


def test_a_checkpoint_of_another_model_is_one_error(tmp_path: Path) -> None:
    config = write_config(tmp_path / "c.py")
    with pytest.raises(CheckpointError, match=r"another shape: body\.weight"):
        init_model(config, write_checkpoint(tmp_path / "wide.pth", width=8), "cpu")
    torch.save({"state_dict": {"other": torch.zeros(2)}}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=r"another model than the config \(BrightOnline"):
        init_model(config, tmp_path / "other.pth", "cpu")


class _Gadget:
    def __reduce__(self) -> tuple:
        return os.mkdir, ("planted",)


def test_a_checkpoint_with_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = write_checkpoint(tmp_path / "w.pth", gadget=_Gadget())
    with pytest.raises(CheckpointError, match="refused"):
        init_model(write_config(tmp_path / "c.py"), path, "cpu")
    assert not (tmp_path / "planted").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="finds no CUDA device"):
        init_model(write_config(tmp_path / "c.py"), write_checkpoint(tmp_path / "w.pth"), "cuda")


def test_a_config_without_test_pipeline(tmp_path: Path) -> None:
    config = tmp_path / "c.py"
    config.write_text("model = dict(type='visbench.BrightOnline')\n")
    model = init_model(config, write_checkpoint(tmp_path / "w.pth"), "cpu")
    with pytest.raises(ConfigError, match=r"no test_dataloader\.dataset\.pipeline"):
        stream(model, open_source(write_folder(tmp_path / "clip")))


@pytest.mark.parametrize(
    ("meta", "config", "classes", "ids"),
    [
        ({"classes": ["a"], "category_ids": [7]}, ["x", "y"], ["a"], [7]),
        ({"CLASSES": ["a", "b"]}, ["x"], ["a", "b"], [1, 2]),
        (None, ["x", "y"], ["x", "y"], [1, 2]),
        (None, None, [], []),
    ],
)
def test_class_names(meta: dict | None, config: list | None, classes: list, ids: list) -> None:
    from mmengine.config import Config

    from visbench.apis import dataset_meta

    dataset = {} if config is None else {"metainfo": {"classes": config}}
    settings = Config({"test_dataloader": {"dataset": dataset}})
    found = dataset_meta({"meta": {"dataset_meta": meta}}, settings)
    assert found == {"classes": classes, "category_ids": ids}
