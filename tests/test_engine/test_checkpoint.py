# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModule
from mmengine.runner import CheckpointLoader, load_checkpoint
from mmengine.runner import checkpoint as mmengine_checkpoint
from torch import nn

import visbench.registry  # noqa: F401  (installs the safe loading)
from visbench.engine.checkpoint import (
    check_weights,
    latest_checkpoint,
    load_checkpoint_file,
    load_weights,
)
from visbench.engine.errors import CheckpointError


class Gadget:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.folder,)


class StoredGetattr:
    """Reaches for a function's globals when it is unpickled, by the only name that is let in."""

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (HistoryBuffer, "__init__")


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    return tmp_path / "trap"


@pytest.fixture
def evil(tmp_path: Path, trap: Path) -> str:
    path = tmp_path / "evil-12345678.pth"
    torch.save({"state_dict": {"weight": torch.zeros(1)}, "meta": {"x": Gadget(trap)}}, path)
    return str(path)


def test_the_gadget_works(evil: str, trap: Path) -> None:
    torch.load(evil, weights_only=False)
    assert trap.exists()


def pretrained(path: str) -> None:
    class Part(BaseModule):
        def __init__(self) -> None:
            super().__init__(init_cfg={"type": "Pretrained", "checkpoint": path})
            self.layer = nn.Linear(1, 1)

    Part().init_weights()


def pretrained_prefix(path: str) -> None:
    module = nn.Linear(1, 1)
    mmengine_checkpoint._load_checkpoint_with_prefix("a", path)
    load_checkpoint(module, path)


PATHS: dict[str, Callable[[str], Any]] = {
    "file": load_checkpoint_file,
    "loader": CheckpointLoader.load_checkpoint,
    "local": lambda path: mmengine_checkpoint.load_from_local(path, "cpu"),
    "helper": lambda path: mmengine_checkpoint._safe_torch_load(path, weights_only=False),
    "model": lambda path: load_checkpoint(nn.Linear(1, 1), path),
    "pretrained": pretrained,
    "pretrained_prefix": pretrained_prefix,
}


@pytest.mark.parametrize("path", PATHS)
def test_gadget_is_refused_in_every_local_path(path: str, evil: str, trap: Path) -> None:
    with pytest.raises(CheckpointError, match="mkdir"):
        PATHS[path](evil)
    assert not trap.exists()


@pytest.mark.parametrize(
    "address",
    [
        "http://example.org/x-12345678.pth",
        "https://example.org/x-12345678.pth",
        "torchvision://resnet18",
        "modelzoo://resnet18",
        "open-mmlab://detectron2/resnet50_caffe",
        "openmmlab://detectron2/resnet50_caffe",
        "mmcls://resnet18",
    ],
)
def test_gadget_is_refused_in_every_download(
    address: str, evil: str, trap: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(
        torch.hub, "download_url_to_file", lambda url, target, **_: shutil.copy(evil, target)
    )
    with pytest.raises(CheckpointError, match="is refused"):
        CheckpointLoader.load_checkpoint(address)
    assert not trap.exists()


def test_download_is_kept_and_its_failure_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(url: str, target: str, **_: Any) -> None:
        raise OSError("no route")

    def save(url: str, target: str, **_: Any) -> None:
        torch.save({"w": torch.ones(1)}, target)

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    with pytest.raises(CheckpointError, match=r"no route.*checkpoints/w\.pth"):
        CheckpointLoader.load_checkpoint("https://example.org/w.pth")
    monkeypatch.setattr(torch.hub, "download_url_to_file", save)
    assert CheckpointLoader.load_checkpoint("https://example.org/w.pth")["w"] == 1
    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    assert CheckpointLoader.load_checkpoint("https://example.org/w.pth")["w"] == 1


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_plain_pickles_are_refused(protocol: int, tmp_path: Path, trap: Path) -> None:
    path = tmp_path / "plain.pkl"
    path.write_bytes(pickle.dumps({"x": Gadget(trap)}, protocol=protocol))
    with pytest.raises(CheckpointError):
        load_checkpoint_file(path)
    assert not trap.exists()


def test_getattr_gives_the_log_buffer_only(tmp_path: Path) -> None:
    path = tmp_path / "getattr.pth"
    torch.save({"meta": StoredGetattr()}, path)
    with pytest.raises(CheckpointError, match="getattr"):
        load_checkpoint_file(path)


def test_values_of_training_checkpoints_load(tmp_path: Path) -> None:
    buffer = HistoryBuffer([1.0, 2.0], [1, 1])
    values = {
        "scalar": np.float64(0.5),
        "integers": np.arange(3),
        "flags": np.array([True]),
        "floats": np.ones(2, np.float32),
        "names": np.array(["a"]),
    }
    path = tmp_path / "good.pth"
    torch.save({"state_dict": {}, "meta": values, "message_hub": {"log": buffer}}, path)
    loaded = load_checkpoint_file(path)
    assert loaded["message_hub"]["log"].mean() == 1.5
    assert loaded["message_hub"]["log"].statistics("max") == 2.0
    for name, value in values.items():
        assert np.array_equal(loaded["meta"][name], value)


def test_stored_log_buffer_does_not_change_others(tmp_path: Path) -> None:
    changed = HistoryBuffer([1.0, 3.0], [1, 1])
    genuine = dict(HistoryBuffer._statistics_methods)
    HistoryBuffer._statistics_methods["mean"] = HistoryBuffer.max
    try:
        torch.save({"log": changed}, tmp_path / "log.pth")
    finally:
        HistoryBuffer._statistics_methods.update(genuine)
    load_checkpoint_file(tmp_path / "log.pth")
    assert HistoryBuffer([1.0, 3.0], [1, 1]).statistics("mean") == 2.0


def test_configs_are_dropped(tmp_path: Path, trap: Path) -> None:
    text = f"import os\nos.mkdir({str(trap)!r})\n"
    path = tmp_path / "config.pth"
    info = {"cfg": text, "epoch": 1}
    torch.save(
        {
            "state_dict": {},
            "meta": {"cfg": text, "config": text, "iter": 3},
            "message_hub": {"runtime_info": info},
        },
        path,
    )
    loaded = load_checkpoint_file(path)
    assert loaded["meta"] == {"iter": 3}
    assert loaded["message_hub"]["runtime_info"] == {"epoch": 1}
    Config.fromstring(text, file_format=".py")
    assert trap.exists()


def test_damaged_files_have_a_clear_error(tmp_path: Path) -> None:
    good = tmp_path / "good.pth"
    torch.save({"state_dict": {"w": torch.zeros(1000)}}, good)
    content = good.read_bytes()
    contents = {
        "cut.pth": content[: len(content) // 2],
        "empty.pth": b"",
        "page.pth": b"<html>404</html>",
        "zeros.pth": bytes(500),
    }
    for name, damaged in contents.items():
        path = tmp_path / name
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=rf"{name}.* damaged.*copy or download it again"):
            load_checkpoint_file(path)
    with pytest.raises(CheckpointError, match=r"none\.pth does not exist"):
        load_checkpoint_file(tmp_path / "none.pth")
    torch.save([1, 2], good)
    with pytest.raises(CheckpointError, match="holds a list"):
        load_checkpoint_file(good)


MODEL = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 4))


@pytest.mark.parametrize(
    ("kept", "wide_head", "refused_for"),
    [
        (8, False, set()),
        (7, False, {"resume"}),
        (3, False, {"resume", "test", "train"}),
        (8, True, {"resume", "test"}),
    ],
)
@pytest.mark.parametrize("purpose", ["train", "test", "resume"])
def test_weights_must_belong_to_the_model(
    kept: int, wide_head: bool, refused_for: set[str], purpose: str
) -> None:
    weights = {k: v for k, v in MODEL.state_dict().items() if "num_batches" not in k}
    weights = dict(list(weights.items())[:kept])
    if wide_head:
        weights["2.weight"] = torch.zeros(9, 3)
    if purpose not in refused_for:
        check_weights(MODEL, weights, "w.pth", purpose=purpose)
        return
    with pytest.raises(CheckpointError, match=r"w\.pth is of another model.*of 8 entries fit"):
        check_weights(
            MODEL, {**weights, "foreign.weight": torch.zeros(1)}, "w.pth", purpose=purpose
        )


def test_message_names_missing_unexpected_and_other_shapes() -> None:
    weights = {"foreign": torch.zeros(1), "0.weight": torch.zeros(5, 5)}
    with pytest.raises(CheckpointError) as caught:
        check_weights(MODEL, weights, "w.pth")
    for words in ("missing: 0.bias", "unexpected: foreign", r"0.weight (5, 5) instead of (3, 2)"):
        assert words in str(caught.value)


def test_load_weights_drops_the_wrapper_prefix() -> None:
    model = nn.Linear(2, 2)
    weights = {f"module.{k}": torch.full_like(v, 3) for k, v in model.state_dict().items()}
    load_weights(model, {"state_dict": weights}, "w.pth", purpose="resume")
    assert bool((model.weight == 3).all())


def test_latest_checkpoint_is_the_newest_complete_one(tmp_path: Path) -> None:
    assert latest_checkpoint(tmp_path) is None
    for iteration in (2, 10, 9):
        torch.save({}, tmp_path / f"iter_{iteration}.pth")
    torch.save({}, tmp_path / "best_youtube_vis_AP_iter_99.pth")
    (tmp_path / "iter_12.pth").write_bytes((tmp_path / "iter_10.pth").read_bytes()[:50])
    (tmp_path / ".iter_14.pth.partial").write_bytes(b"")
    assert latest_checkpoint(tmp_path) == str(tmp_path / "iter_10.pth")


def test_latest_checkpoint_follows_the_note_of_mmengine(tmp_path: Path) -> None:
    torch.save({}, tmp_path / "my_name.pth")
    (tmp_path / "last_checkpoint").write_text(str(tmp_path / "my_name.pth"))
    assert latest_checkpoint(tmp_path) == str(tmp_path / "my_name.pth")
    (tmp_path / "last_checkpoint").write_text("")
    assert latest_checkpoint(tmp_path) is None
