# SPDX-License-Identifier: Apache-2.0
"""The configs of InsPro-VID, and training and testing with boxes only from end to end."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from visbench.apis import open_source, stream
from visbench.apis.inference import inference_transforms
from visbench.engine import build_runner, load_config
from visbench.evaluation import evaluate
from visbench.visualization import draw_instances

FOLDER = Path(__file__).parents[3] / "configs" / "inspro"
R50 = "inspro-vid_r50_8xb1-90k_imagenetvid"
FULL = sorted(FOLDER.rglob("inspro-vid_*_imagenetvid.py"))
DEMO = FOLDER / "ablations" / "inspro-vid_demo_movingshapes.py"
REDUCED_HEAD = {
    "model.head.num_queries": 5,
    "model.head.num_stages": 2,
    "model.head.stage": {"num_heads": 2, "feedforward_channels": 16, "dynamic_channels": 4},
}
REDUCED = {
    **REDUCED_HEAD,
    "model.backbone.depth": 18,
    "model.backbone.base_channels": 8,
    "model.backbone.stem_channels": 8,
    "model.backbone.init_cfg": None,
    "model.neck.in_channels": [8, 16, 32, 64],
    "model.neck.out_channels": 16,
    "model.head.channels": 16,
}
_NUMBERS = itertools.count()


def row(bank: int, beta: float, tcm: bool = True, propagate: bool = True) -> dict[str, Any]:
    """Return what distinguishes a row of Table 6."""
    head = {"bank_size": bank, "propagate_query": propagate, "propagate_proposal": propagate}
    return {**head, "tcm": tcm, "dedup_beta": beta}


ROWS = {
    "6b-no-propagation": row(1, 0, tcm=False, propagate=False),
    "6b-query-proposal": row(1, 0, tcm=False),
    "6b-query-proposal-tcm": row(1, 0),
    **{f"6c-beta0{beta:02d}": row(1, beta / 100) for beta in (8, 10, 15, 20, 25)},
    **{f"6d-bank{bank}": row(bank, 0.1) for bank in (20, 40, 60, 80, 100, 120)},
}


def fields(config: Config) -> dict[str, Any]:
    head, criterion = config.model.head, config.model.criterion
    return {
        "bank_size": head.bank_size,
        "propagate_query": head.get("propagate_query", True),
        "propagate_proposal": head.get("propagate_proposal", True),
        "tcm": criterion.tcm,
        "dedup_beta": criterion.dedup_beta,
    }


def test_every_row_of_table_6_has_a_config() -> None:
    names = [R50.replace("_r50", f"_{name}_r50") for name in ROWS]
    names += [R50, R50.replace("r50", "r101")]
    assert {path.stem for path in FULL} == set(names)


@pytest.mark.parametrize("path", FULL, ids=lambda path: path.stem)
def test_config_says_what_its_row_does(path: Path) -> None:
    config = load_config(path)
    number = path.stem.split("_")[1]
    assert fields(config) == ROWS.get(number, row(100, 0.1))
    assert config.model.mask_branch is None and config.model.head.num_classes == 30
    assert config.train_cfg.max_iters == config.param_scheduler[-1]["end"] == 90_000
    assert config.param_scheduler[-1]["milestones"] == [65_000, 80_000]
    assert config.optim_wrapper.optimizer.lr == 2.5e-5
    assert config.model.backbone.depth == (101 if "r101" in path.stem else 50)
    parts = config.train_dataloader.dataset.datasets
    assert [part.clip.num_frames for part in parts] == [3, 3]
    assert config.test_evaluator.metric == "imagenet_vid"


def run(path: Path, work_dir: Path, options: dict[str, Any]) -> Any:
    """Return a runner that trains for two iterations and has written a test's results."""
    two = {"train_cfg.max_iters": 2, "train_cfg.val_interval": 2, "param_scheduler": []}
    workers = {"num_workers": 0, "persistent_workers": False}
    loader = {f"train_dataloader.{key}": value for key, value in workers.items()}
    config = load_config(path, {**two, **loader, **options}, str(work_dir))
    # MMEngine shares state between runners of one name.
    config.experiment_name = f"test_vid_{next(_NUMBERS)}"
    runner = build_runner(config)
    runner.train()
    return runner


def check_results(runner: Any) -> None:
    """Test, and compare with the evaluation of the written files."""
    metrics = runner.test()
    results = Path(runner.work_dir, "results.json")
    records = json.loads(results.read_text())
    assert records and all("bboxes" in record for record in records)
    assert not any("segmentations" in record for record in records)
    assert not Path(runner.work_dir, "submission.zip").exists()
    expected = evaluate(runner.test_loop.dataset.ann_file, results, metric="imagenet_vid")
    assert metrics == {
        f"imagenet_vid/{name}": value for name, value in expected.to_dict()["imagenet_vid"].items()
    }


@pytest.fixture(autouse=True)
def _plain_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run on the CPU, and don't format the config: it takes MMEngine seconds, four times a run."""
    monkeypatch.setattr("mmengine.runner.runner.get_device", lambda: "cpu")
    monkeypatch.setattr(Config, "pretty_text", property(lambda config: str(config.to_dict())))


def test_training_and_test_on_imagenet(tiny_imagenet: Path, tmp_path: Path) -> None:
    path = FOLDER / f"{R50}.py"
    options: dict[str, Any] = {**REDUCED, "train_dataloader.batch_size": 2}
    for part in load_config(path).train_dataloader.dataset.datasets:
        part.data_root = str(tiny_imagenet)
        part.pipeline[0].transforms[2].scale = (96, 64)
        options.setdefault("train_dataloader.dataset.datasets", []).append(part)
    for loader in ("val_dataloader", "test_dataloader"):
        options[f"{loader}.dataset.data_root"] = str(tiny_imagenet)
    overlays = {"type": "OverlayHook", "out_dir": str(tmp_path / "overlays")}
    hooks = [*load_config(path).custom_hooks, {**overlays, "score_threshold": 0.0}]
    runner = run(path, tmp_path / "run", {**options, "custom_hooks": hooks})
    assert any(Path(runner.work_dir).glob("best_imagenet_vid_AP*.pth"))
    check_results(runner)
    videos = sorted(file.name for file in (tmp_path / "overlays").glob("*.mp4"))
    assert videos == ["val_ILSVRC2015_val_00000000.mp4", "val_ILSVRC2015_val_00001000.mp4"]
    check_inference(runner, tiny_imagenet / "Data/VID/val/ILSVRC2015_val_00000000")


def check_inference(runner: Any, folder: Path) -> None:
    """Stream a folder of frames: boxes are emitted, drawn and reported."""
    transforms = inference_transforms(runner.cfg)
    frames = stream(runner.model.eval(), open_source(folder), transforms)
    for _, image, instances in frames:
        assert instances.masks is None and instances.boxes is not None and len(instances)
        assert (draw_instances(image, instances, score_threshold=0) != image).any()
    result = frames.result()
    assert result is not None and result.video.length == 2
    assert all(len(record["bboxes"]) == 2 for record in result.to_results(range(1, 31)))


def test_training_on_validation_videos_does_not_start(tiny_imagenet: Path, tmp_path: Path) -> None:
    path = FOLDER / f"{R50}.py"
    parts = load_config(path).train_dataloader.dataset.datasets
    for part in parts:
        part.data_root = str(tiny_imagenet)
    parts[0].split = "val"
    options = {**REDUCED, "train_dataloader.dataset.datasets": parts}
    for loader in ("val_dataloader", "test_dataloader"):
        options[f"{loader}.dataset.data_root"] = str(tiny_imagenet)
    with pytest.raises(ValueError, match="share 1 videos"):
        run(path, tmp_path / "run", options)


def test_demo_trains_and_tests_on_moving_shapes(tmp_path: Path) -> None:
    options: dict[str, Any] = {**REDUCED_HEAD, "train_dataloader.batch_size": 2}
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        options[f"{loader}.dataset.data_root"] = str(tmp_path / "data")
        options[f"{loader}.dataset.num_videos"] = 1
        options[f"{loader}.dataset.workers"] = 1
    runner = run(DEMO, tmp_path / "run", options)
    sample = runner.train_dataloader.dataset[0]["data_samples"]
    assert all("masks" not in frame.gt_instances for frame in sample)
    check_results(runner)
