# SPDX-License-Identifier: Apache-2.0
"""The real worker on a real method, in this process so that MMDetection is imported once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch

from visbench.benchmark import RowStore, events, worker
from visbench.benchmark.controls import CONTROLS, CONTROLS_VERSION, SHUFFLED
from visbench.benchmark.data_choice import dataset_name
from visbench.benchmark.hooks import InferenceTimeHook, ProgressHook, TrainingTimeHook
from visbench.benchmark.scoring import RESAMPLES
from visbench.engine import load_checkpoint_file
from visbench.evaluation import evaluate

ROOT = Path(__file__).parents[2]
BASE = ROOT / "configs" / "baselines" / "masktrack_rcnn_demo_movingshapes.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a config: two videos of MovingShapes, four iterations."""
    folder = tmp_path_factory.mktemp("worker")
    data = f"data_root={str(folder / 'data')!r}, num_videos=2, workers=1"
    (folder / "tiny.py").write_text(
        f"_base_ = {str(BASE)!r}\n"
        "train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False, "
        f"dataset=dict({data}))\n"
        f"val_dataloader = dict(dataset=dict({data}))\n"
        "test_dataloader = val_dataloader\n"
        "train_cfg = dict(max_iters=4, val_interval=2)\n"
        "method_name = 'Tiny'\n"
    )
    return folder


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    # Threads of a test that shares its cores wait for each other.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _work(
    folder: Path, phase: str, capsys: pytest.CaptureFixture[str], *words: str
) -> tuple[int, list[dict[str, Any]]]:
    run = ["--run-dir", str(folder / "run"), "--rows", str(folder / "rows"), "--device", "cpu"]
    capsys.readouterr()
    status = worker.main([phase, str(folder / "tiny.py"), *run, *words])
    found = [events.parse(line) for line in capsys.readouterr().out.splitlines()]
    return status, [event for event in found if event is not None]


def test_train_and_test_go_on_after_an_interruption(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(ProgressHook, "after_train_iter", _cut_at(3))
        status, sent = _work(folder, "train", capsys)
    assert status == 1
    assert sent[0] == {"dataset": "movingshapes-v1-easy-val-first2", "method": "Tiny"}
    assert sent[-1]["error"].startswith("RuntimeError: power cut")
    assert not (folder / "run" / "train.json").exists()
    before = _seconds_in(folder / "run" / "iter_3.pth")
    assert before > 0

    status, sent = _work(folder, "train", capsys)
    assert status == 0
    assert [event["done"] for event in sent if "stage" in event] == [4], "1 to 3 are done"
    facts = json.loads((folder / "run" / "train.json").read_text())
    assert Path(facts["checkpoint"]).name == "iter_4.pth"
    assert facts["training_s"] == pytest.approx(_seconds_in(Path(facts["checkpoint"])))
    assert facts["training_s"] > before
    assert facts["training_memory_mb"] > 100

    with monkeypatch.context() as patch:
        patch.setattr(ProgressHook, "after_test_iter", _cut_at(1))
        assert _work(folder, "test", capsys)[0] == 1
    status, _ = _work(folder, "test", capsys)
    assert status == 0
    _check_test(folder)


def _seconds_in(checkpoint: Path) -> float:
    content = load_checkpoint_file(checkpoint)
    return float(content["message_hub"]["runtime_info"][TrainingTimeHook._FIELD])


def _cut_at(iteration: int) -> Any:
    def after_iter(hook: Any, runner: Any, batch_idx: int, *args: Any, **kwargs: Any) -> None:
        if batch_idx + 1 >= iteration:
            raise RuntimeError("power cut")

    return after_iter


def _check_test(folder: Path) -> None:
    facts = json.loads((folder / "run" / "test.json").read_text())
    assert 0 <= facts["AP"] <= 100
    assert facts["details"]["metrics"]["youtube_vis/AP"] == pytest.approx(facts["AP"] / 100)
    assert facts["parameters_m"] == pytest.approx(2.24, abs=0.5)
    assert 0.5 < facts["gflops_per_frame"] < 10
    assert facts["fps"] > 0
    assert facts["device"] == "cpu"
    assert "torch" in facts["versions"]
    assert Path(facts["run_dir"]) == folder / "run"
    results = folder / "run" / "test" / "results.json"
    assert Path(facts["results"]) == results
    scored = evaluate(facts["annotations"], results).metrics["youtube_vis"]
    assert scored["AP"] == facts["details"]["metrics"]["youtube_vis/AP"]
    written = json.loads((results.parent / "metrics.json").read_text())
    assert written == facts["details"]["metrics"]
    assert facts["terms"]["initialisation"] == "from scratch"
    assert facts["terms"]["frames seen"] == 4 * 2 * 2
    assert facts["terms"]["training data"] == "movingshapes-v1-easy-train-first2"
    analysis = json.loads((results.parent / "analysis.json").read_text())
    assert analysis["youtube_vis"] == scored
    assert set(analysis["per_video"]) == {"1", "2"}
    assert {"class", "motion"} <= set(analysis["breakdown"]["youtube_vis"])
    low, high = facts["details"]["interval"]["AP"]
    assert low <= facts["AP"] <= high
    assert len(facts["details"]["resampled"]["AP"]) == RESAMPLES
    notes = (folder / "run" / "test" / "inference_time.jsonl").read_text().splitlines()
    assert [json.loads(line)[1] for line in notes] == [36, 36], "each video is timed once"
    frame = cv2.VideoCapture(facts["overlay"]).read()[1]
    assert frame.shape == (384, 1152, 3)


def test_a_training_is_tested_on_other_data(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = folder / "run"
    assert (run / "train.json").exists(), "made by the test before"
    words = ["--dataset", "preset=crowded,num_videos=1"]
    status, sent = _work(folder, "data", capsys, *words)
    assert status == 0
    own, crowded = "movingshapes-v1-easy-val-first2", "movingshapes-v1-crowded-val-first1"
    names = {"": own, "preset=crowded,num_videos=1": crowded}
    assert sent == [{"config": str(folder / "tiny.py"), "datasets": names}]
    before = (run / "test.json").read_bytes()
    status, sent = _work(folder, "test", capsys, *words, "--test", "test_crowded")
    assert status == 0
    assert sent[0] == {"dataset": crowded, "method": "Tiny"}
    facts = json.loads((run / "test_crowded.json").read_text())
    assert (facts["dataset"], Path(facts["annotations"]).parent.name) == (crowded, "crowded-first1")
    assert Path(facts["results"]) == run / "test_crowded" / "results.json"
    assert Path(facts["overlay"]) == run / "overlay_crowded.mp4"
    assert facts["training_s"] == json.loads(before)["training_s"]
    assert (run / "test.json").read_bytes() == before


def test_a_preset_needs_data_that_have_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "tiny.py"
    config.write_text(
        f"_base_ = {str(BASE)!r}\n"
        "val_dataloader = dict(dataset=dict(type='visbench.OVIS', split='valid', preset=None))\n"
    )
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "train.json").write_text('{"checkpoint": "none.pth"}')
    status, sent = _work(tmp_path, "test", capsys, "--dataset", "crowded")
    assert status == 1
    assert "crowded is a preset of MovingShapes, but this config" in sent[-1]["error"]


def test_controls_are_rows(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, sent = _work(folder, "controls", capsys)
    assert status == 0
    assert sent[-1] == {"stage": "controls", "done": 72, "total": 72}
    store = RowStore(folder / "rows")
    name = "movingshapes-v1-easy-val-first2"
    rows = {control: store.control(control, name, CONTROLS_VERSION) for control in CONTROLS}
    scores = {control: row.AP for control, row in rows.items() if row is not None}
    assert len(scores) == 3
    assert all(score is not None and 0 < score <= 100 for score in scores.values())
    assert max(scores, key=lambda control: scores[control] or 0) == SHUFFLED
    before = sorted(path.read_bytes() for path in (folder / "rows").iterdir())
    assert _work(folder, "controls", capsys) == (0, [])
    assert sorted(path.read_bytes() for path in (folder / "rows").iterdir()) == before


def test_an_error_of_the_user_is_its_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "tiny.py"
    config.write_text(f"_base_ = {str(BASE)!r}\nmodel = dict(type='visbench.NoSuchMethod')\n")
    status, sent = _work(tmp_path, "train", capsys)
    assert status == 1
    assert "visbench.NoSuchMethod" in sent[-1]["error"]
    assert "registered nowhere" in sent[-1]["error"]


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"type": "visbench.MovingShapesDataset", "split": "val"}, "movingshapes-v1-easy-val"),
        (
            {"type": "MovingShapesDataset", "preset": "long", "split": "val", "num_videos": 3},
            "movingshapes-v1-long-val-first3",
        ),
        ({"type": "visbench.OVIS", "split": "valid"}, "ovis-valid"),
        ({"type": "visbench.VISDataset", "ann_file": "a/mine.json"}, "vis-mine"),
    ],
)
def test_names_of_data(settings: dict[str, Any], name: str) -> None:
    assert dataset_name(settings) == name


def test_inference_time_survives_a_cut_off_line(tmp_path: Path) -> None:
    path = tmp_path / "times.jsonl"
    assert InferenceTimeHook(path).frames_per_second() is None
    path.write_text("[1, 30, 2.0]\n[2, 30, 1.0]\n[3, 30, 0.")
    assert InferenceTimeHook(path).frames_per_second() == pytest.approx(20)
