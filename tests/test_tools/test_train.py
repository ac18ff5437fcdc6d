# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from visbench.engine.commands import run_command, train
from visbench.engine.errors import CheckpointError, ConfigError

ROOT = Path(__file__).parents[2]
TOY = ROOT / "tests" / "test_engine"
sys.path.insert(0, str(TOY))

from engine_toy import toy_config  # noqa: E402


def run_tool(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(TOY)]),
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.run(
        [sys.executable, str(ROOT / "tools" / "train.py"), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
    )


class Gadget:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.folder,)


def test_killed_and_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    config = toy_config(tmp_path)
    train([config, "--work-dir", str(tmp_path / "whole"), "--device", "cpu"])
    (tmp_path / "killed.py").write_text(
        "_base_ = './toy_config.py'\n"
        "custom_hooks = [dict(type='RandomStateHook'), dict(type='KillHook', iteration=5)]\n"
    )
    work_dir = ["--work-dir", str(tmp_path / "cut"), "--device", "cpu"]
    killed = run_tool(str(tmp_path / "killed.py"), *work_dir)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "cut" / "iter_6.pth").exists()
    resumed = run_tool(config, "--resume", *work_dir)
    assert resumed.returncode == 0, resumed.stderr
    assert "resumed epoch: 0, iter: 4" in resumed.stdout + resumed.stderr
    first, second = (
        torch.load(tmp_path / name / "iter_8.pth", weights_only=True)["state_dict"]
        for name in ("whole", "cut")
    )
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("way", ["resume", "load_from", "pretrained"])
def test_planted_gadget_is_refused(tmp_path: Path, way: str) -> None:
    evil = tmp_path / "evil.pth"
    torch.save({"state_dict": {}, "meta": {"x": Gadget(tmp_path / "trap")}}, evil)
    options = {
        "resume": ["--resume", str(evil)],
        "load_from": ["--cfg-options", f"load_from={evil}"],
        "pretrained": [
            "--cfg-options",
            "model.init_cfg.type=Pretrained",
            f"model.init_cfg.checkpoint={evil}",
        ],
    }
    work_dir = tmp_path / "work"
    with pytest.raises(CheckpointError, match="mkdir"):
        train([toy_config(tmp_path), "--work-dir", str(work_dir), *options[way]])
    assert not (tmp_path / "trap").exists()
    assert not list(work_dir.glob("*.pth"))


def test_errors_are_one_message_without_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = str(tmp_path / "none.py")
    assert run_command(lambda: train([missing])) == 1
    assert capsys.readouterr().err == f"error: config {missing} does not exist; check the path\n"
    monkeypatch.setenv("VISBENCH_TRACEBACK", "1")
    with pytest.raises(ConfigError):
        run_command(lambda: train([missing]))
    with pytest.raises(ZeroDivisionError):
        run_command(lambda: 1 / 0)
    assert run_command(lambda: None) == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--resume", "none.pth"], "checkpoint none.pth does not exist"),
        (
            ["--cfg-options", "load_from=start.pth"],
            "start without it by --cfg-options load_from=None",
        ),
        (["--auto-scale-lr"], "base_batch_size"),
        (["--device", "tpu"], "device 'tpu' is unknown"),
        (["--cfg-options", "val_dataloader.dataset.ann_file=none.json"], "none.json"),
        (["--cfg-options", "train_dataloader.sampler.type=Nothing"], "sampler.type is 'Nothing'"),
    ],
)
def test_bad_input_is_told_before_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    arguments = [toy_config(tmp_path), "--work-dir", str(tmp_path / "work"), *options]
    assert run_command(lambda: train(arguments)) == 1
    lines = capsys.readouterr().err.splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    assert len(errors) == 1
    assert words in errors[0]
    assert not list((tmp_path / "work").glob("*.pth"))
