# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from visbench.engine.commands import run_command
from visbench.engine.commands import test as run_test
from visbench.engine.errors import CheckpointError

ROOT = Path(__file__).parents[2]
TOY = ROOT / "tests" / "test_engine"
sys.path.insert(0, str(TOY))

from engine_toy import ToyMethod, toy_config  # noqa: E402


class Gadget:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.folder,)


@pytest.fixture
def checkpoint(tmp_path: Path) -> str:
    path = tmp_path / "weights.pth"
    torch.save({"state_dict": ToyMethod().state_dict()}, path)
    return str(path)


def test_writes_results_metrics_submission_and_drawings(tmp_path: Path, checkpoint: str) -> None:
    out, show, work = (tmp_path / name for name in ("out", "show", "work"))
    metrics = run_test(
        [
            toy_config(tmp_path),
            checkpoint,
            *["--work-dir", str(work), "--out", str(out), "--show-dir", str(show)],
        ]
    )
    assert metrics["youtube_vis/AP"] == 1.0
    assert json.loads((out / "metrics.json").read_text()) == metrics
    assert sorted(path.name for path in out.iterdir()) == [
        "metrics.json",
        "results.json",
        "submission.zip",
    ]
    assert sorted(path.name for path in show.iterdir()) == ["v1.mp4", "v2.mp4", "v3.mp4", "v4.mp4"]


def test_gadget_is_refused_by_the_script(tmp_path: Path) -> None:
    evil = tmp_path / "evil.pth"
    torch.save({"state_dict": {}, "meta": {"x": Gadget(tmp_path / "trap")}}, evil)
    done = subprocess.run(
        [
            sys.executable,
            str(ROOT / "tools" / "test.py"),
            *[toy_config(tmp_path), str(evil), "--work-dir", str(tmp_path / "work")],
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(TOY)])},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 1
    assert "is refused: it refers to posix.mkdir" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "trap").exists()


def test_missing_frame_loses_nothing(
    tmp_path: Path, checkpoint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [toy_config(tmp_path), checkpoint, "--work-dir", str(tmp_path / "work")]
    broken = [*arguments, "--cfg-options", "test_dataloader.dataset.broken=3"]
    assert run_command(lambda: run_test(broken)) == 1
    assert "error: frame 0 of video 'v3': cannot read v3/0.jpg\n" in capsys.readouterr().err
    lines = (tmp_path / "work" / "partial_results.jsonl").read_bytes().splitlines()
    assert len(lines) == 3


def test_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.pth"
    torch.save({"state_dict": {"neck.weight": torch.zeros(1)}}, foreign)
    arguments = [toy_config(tmp_path), str(foreign), "--work-dir", str(tmp_path / "work")]
    with pytest.raises(CheckpointError, match=r"foreign\.pth is of another model.*neck\.weight"):
        run_test(arguments)
    with pytest.raises(CheckpointError, match=r"none\.pth does not exist"):
        run_test([arguments[0], str(tmp_path / "none.pth")])
