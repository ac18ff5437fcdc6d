# SPDX-License-Identifier: Apache-2.0
"""The real worker on an online and an offline method, and the command around it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch

from visbench.benchmark import events
from visbench.benchmark.commands import benchmark
from visbench.benchmark.speed import worker
from visbench.benchmark.speed.material import shapes_material
from visbench.benchmark.speed.plan import Measurement, Place, find_subjects, plan
from visbench.engine import load_config

FRAMES = 3
PLACE = Place("cpu", 1, "here")


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    threads, of_opencv = torch.get_num_threads(), cv2.getNumThreads()
    yield
    torch.set_num_threads(threads)
    cv2.setNumThreads(of_opencv)


def _measure(
    folder: Path, name: str, capsys: pytest.CaptureFixture[str], checkpoint: Path | None = None
) -> tuple[int, list[dict[str, Any]], Measurement]:
    files = {name: str(checkpoint)} if checkpoint else {}
    material = shapes_material(folder, 48, 64)
    (measurement,) = plan(find_subjects([name], files), material, [FRAMES], PLACE)
    capsys.readouterr()
    status = worker.main([json.dumps(measurement.to_dict())])
    found = [events.parse(line) for line in capsys.readouterr().out.splitlines()]
    return status, [event for event in found if event is not None], measurement


@pytest.mark.parametrize(
    ("name", "method", "online"),
    [
        ("masktrack_rcnn_demo_movingshapes", "MaskTrack R-CNN", True),
        ("propose_reduce_demo_movingshapes", "Propose-Reduce", False),
    ],
)
def test_a_real_measurement(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, method: str, online: bool
) -> None:
    status, sent, measurement = _measure(tmp_path, name, capsys)
    assert status == 0
    assert sent[0] == {"method": method}
    assert sent[-2] == {"stage": "speed", "done": 2 * FRAMES, "total": 2 * FRAMES}
    row = measurement.row(**sent[-1]["result"])
    assert (row.method, row.kind, row.device, row.machine) == (method, "speed", "cpu", "here")
    assert row.details["weights"] == "initial"
    assert row.details["online"] is online
    stages = row.details["stages"]
    milliseconds = sum(values["mean_ms"] for values in stages.values())
    assert milliseconds * FRAMES == pytest.approx(1000 * row.details["total_s"])
    assert sum(values["share"] for values in stages.values()) == pytest.approx(1)
    assert row.fps == row.details["fps_whole"] > 0
    assert (row.details["fps_online"] is None) is not online
    assert row.host_memory_mb is not None
    assert row.host_memory_mb >= row.details["host_memory_before_mb"] > 50
    assert row.details["load"] >= 0
    assert row.device_memory_mb is None
    assert row.parameters_m is not None
    assert row.parameters_m > 1


def test_weights_of_a_checkpoint_are_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "masktrack_rcnn_demo_movingshapes"
    model = worker.build(load_config(name), None, "cpu")
    for parameter in model.parameters():
        parameter.requires_grad_(False).zero_()
    path = tmp_path / "zeros.pth"
    torch.save({"state_dict": model.state_dict()}, path)
    built = worker.build(load_config(name), str(path), "cpu")
    assert not any(parameter.any() for parameter in built.parameters())
    path.write_bytes(b"no checkpoint")
    status, sent, _ = _measure(tmp_path, name, capsys, path)
    assert status == 1
    assert "zeros.pth" in sent[-1]["error"]


def test_help_teaches_by_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        benchmark(["speed", "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert "python tools/benchmark.py speed --suite demo" in shown
    assert "--checkpoint idol_demo_movingshapes=" in shown
    assert "Exit status: 0 all finished" in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "error: nothing to measure; give --suite or config files"),
        (["a.py", "--checkpoint", "a.pth"], "error: --checkpoint a.pth: write CONFIG=FILE"),
        (["a.py", "--video", "a.mp4", "--size", "4x4"], "error: --size goes with MovingShapes"),
        (["none.py"], "error: config none.py is neither a file"),
        (["masktrack_rcnn_demo_movingshapes", "--device", "tpu"], "error: device 'tpu' is unknown"),
        (
            ["masktrack_rcnn_demo_movingshapes", "--device", "cpu", "--video", "none.mp4"],
            "error: input none.mp4 does not exist",
        ),
    ],
)
def test_errors_come_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    work_dir = tmp_path / "work"
    assert benchmark(["speed", *words, "--work-dir", str(work_dir)]) == 2
    assert capsys.readouterr().err.startswith(message)
    assert not work_dir.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--size", "360"], "'360' must be HEIGHTxWIDTH in pixels, e.g. 360x640"),
        (["--frames", "0"], "'0' must be a whole number of at least 1"),
        (["--threads", "many"], "'many' must be a whole number of at least 1"),
    ],
)
def test_arguments_out_of_range(
    capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        benchmark(["speed", "a.py", *words])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_the_command_measures_in_a_process_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "tiny.py"
    config.write_text("_base_ = 'visbench::baselines/masktrack_rcnn_demo_movingshapes.py'\n")
    words = ["speed", str(config), "--frames", "2", "--size", "48x64", "--device", "cpu"]
    words += ["--threads", "1", "--work-dir", str(tmp_path / "work")]
    assert benchmark(words) == 0
    assert "tiny, 2 frames: starting" in capsys.readouterr().out
    (path,) = (tmp_path / "work" / "rows").iterdir()
    row = json.loads(path.read_text())
    assert path.name.startswith("tiny__speed__movingshapes-easy_48x64_2_frames__cpu-1threads__")
    assert row["details"]["frames"] == 2
    assert "1 threads" in row["machine"]
    assert row["versions"]["torch"]
    assert benchmark(words) == 0
    assert "starting" not in capsys.readouterr().out
    assert (tmp_path / "work" / "speed.csv").exists()
