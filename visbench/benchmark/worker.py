# SPDX-License-Identifier: Apache-2.0
"""One phase of one run in a process of its own: ``python -m visbench.benchmark.worker PHASE``.

Started by the comparison; reports by events, see :mod:`visbench.benchmark.events`.
"""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from visbench.benchmark.data_choice import OWN, DataChoice, dataset_name
from visbench.benchmark.events import send
from visbench.benchmark.rows import points
from visbench.benchmark.scoring import intervals, score
from visbench.benchmark.terms import read_terms
from visbench.files import write_file

CHECKPOINTS_PER_RUN = 10


def main(arguments: list[str] | None = None) -> int:
    """Run a phase; an exception is reported as an event and in the log."""
    args = _parser().parse_args(arguments)
    phases = {"data": _data, "train": _train, "test": _test, "controls": _controls}
    try:
        phases[args.phase](args)
    except Exception as error:
        traceback.print_exc()
        send(error=one_line(error))
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("phase", choices=["data", "train", "test", "controls"])
    parser.add_argument("configs", nargs="+")
    parser.add_argument("--run-dir", type=Path, default=Path("."))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device")
    parser.add_argument("--dataset", action="append", default=[])
    parser.add_argument("--test", default="test", help="name of the files of a test")
    parser.add_argument("--rows", type=Path, default=Path("rows"))
    parser.add_argument("--launcher", choices=["none", "pytorch"], default="none")
    return parser


def one_line(error: BaseException) -> str:
    """Return what a row says of an exception: a user's error as it is, others with their place."""
    from visbench.engine.errors import UserError

    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, UserError):
            return str(cause)
        cause = cause.__cause__ or cause.__context__
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "visbench" in f.filename]
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:400]}{place}"


def _load(args: argparse.Namespace, work_dir: Path) -> Any:
    from visbench.engine import launch, load_config, select_device

    device = select_device(args.device)
    config = load_config(args.configs[0], work_dir=str(work_dir))
    launch(config, args.launcher, device)
    config.setdefault("randomness", {})["seed"] = args.seed
    return config


def _choices(args: argparse.Namespace) -> list[DataChoice]:
    return [DataChoice.parse(text) for text in args.dataset]


def _choose_data(args: argparse.Namespace, config: Any) -> str:
    """Put the chosen data in the place of the config's validation data; return their name."""
    (choice,) = _choices(args) or [OWN]
    settings = config.val_dataloader.dataset
    name = choice.name_of(settings)
    if choice != OWN:
        config.val_dataloader.dataset = choice.apply(settings)
        evaluators = config.val_evaluator
        for evaluator in evaluators if isinstance(evaluators, list) else [evaluators]:
            # The annotations are those of the chosen data.
            evaluator.pop("ann_file", None)
    return name


def _data(args: argparse.Namespace) -> None:
    """Write MovingShapes where configs need it, with a progress bar; name the data of each."""
    from visbench.engine import ConfigError, load_config

    for path in args.configs:
        try:
            config = load_config(path)
            settings = (config.get("val_dataloader") or {}).get("dataset") or {}
            chosen = _choices(args) or [OWN]
            names = {choice.text: choice.name_of(settings) for choice in (OWN, *chosen)}
        except ConfigError as error:
            # Its run says the same and makes a row of it.
            print(error)
            continue
        send(config=str(path), datasets=names)
        _write_shapes((config.get("train_dataloader") or {}).get("dataset") or {})
        for choice in chosen:
            _write_shapes(choice.apply(settings))


def _write_shapes(settings: Any) -> None:
    from visbench.datasets.moving_shapes import ensure_split

    if str(settings.get("type", "")).endswith("MovingShapesDataset"):
        ensure_split(
            settings.get("data_root", "data/moving_shapes"),
            settings.get("preset", "easy"),
            settings.get("split", "train"),
            settings.get("num_videos"),
            settings.get("workers", 2),
        )


def _train(args: argparse.Namespace) -> None:
    """Train, or go on from the newest checkpoint, without validation in between."""
    from mmengine.dist import is_main_process

    from visbench.benchmark.hooks import ProgressHook, TrainingTimeHook
    from visbench.benchmark.machine import peak_memory_mb
    from visbench.engine import build_runner, latest_checkpoint
    from visbench.engine.checkpoint_hook import remove_partial_files

    config = _load(args, args.run_dir)
    send(dataset=dataset_name(config.val_dataloader.dataset), method=method_name(config))
    newest = latest_checkpoint(args.run_dir)
    if newest is not None:
        config.resume, config.load_from = True, newest
    _train_only(config)
    remove_partial_files(config.work_dir)
    runner = build_runner(config)
    timer = TrainingTimeHook()
    runner.register_hook(ProgressHook())
    runner.register_hook(timer)
    runner.train()
    facts = {
        "checkpoint": latest_checkpoint(args.run_dir),
        "training_s": timer.total(runner),
        "training_memory_mb": peak_memory_mb(),
    }
    if is_main_process():
        _write(args.run_dir / "train.json", facts)


def _train_only(config: Any) -> None:
    """Leave out validation and write checkpoints often enough to go on from."""
    iterations = config.train_cfg.get("max_iters")
    if not iterations:
        return
    # Validation is the test's part; as configured it would be paid for twice.
    config.train_cfg.val_begin = iterations + 1
    interval = max(1, iterations // CHECKPOINTS_PER_RUN)
    hook = config.get("default_hooks", {}).get("checkpoint")
    if hook is not None and not hook.get("by_epoch", True):
        hook.interval = min(int(hook.get("interval", interval)), interval)


def _test(args: argparse.Namespace) -> None:
    """Test on the validation data and measure."""
    from visbench.benchmark.hooks import InferenceTimeHook, OneOverlayHook, ProgressHook

    facts = json.loads((args.run_dir / "train.json").read_text(encoding="utf-8"))
    folder = args.run_dir / args.test
    config = _load(args, folder)
    name = _choose_data(args, config)
    send(dataset=name, method=method_name(config))
    # Before the weights of the training take the place of those that it began with.
    terms = read_terms(config)
    runner = _test_runner(config, facts["checkpoint"])
    timer = InferenceTimeHook(folder / "inference_time.jsonl")
    overlay = OneOverlayHook(args.run_dir / f"{args.test.replace('test', 'overlay', 1)}.mp4")
    for hook in (ProgressHook(), timer, overlay):
        runner.register_hook(hook)
    metrics = {name: float(value) for name, value in runner.test().items()}
    facts.update(_measured(runner), **points(metrics), fps=timer.frames_per_second())
    annotations = str(getattr(runner.test_loop.dataset, "ann_file", None) or "")
    facts.update(
        method=method_name(config),
        dataset=name,
        overlay=_existing(overlay.path),
        results=_existing(folder / "results.json"),
        annotations=annotations,
        run_dir=str(args.run_dir),
        terms=terms,
        details={"metrics": metrics, **_analyse(config, folder, annotations)},
    )
    _write(args.run_dir / f"{args.test}.json", facts)


def _test_runner(config: Any, checkpoint: str) -> Any:
    """Return a runner whose test is on the validation data."""
    from visbench.engine import build_runner

    config.test_dataloader, config.test_evaluator = config.val_dataloader, config.val_evaluator
    config.setdefault("test_cfg", {"type": "VideoTestLoop"})
    config.load_from, config.resume = checkpoint, False
    return build_runner(config)


def _analyse(config: Any, folder: Path, annotations: str) -> dict[str, Any]:
    """Write ``analysis.json`` beside the results; return intervals over videos."""
    evaluators = config.val_evaluator
    for evaluator in evaluators if isinstance(evaluators, list) else [evaluators]:
        if str(evaluator.get("type", "")).endswith("VISMetric") and annotations:
            if not (folder / "metrics.json").exists():
                # Without ground truth there is nothing to analyse.
                continue
            metric = evaluator.get("metric", "youtube_vis")
            result = score(folder / "results.json", annotations, metric)
            _write(folder / "analysis.json", result.to_dict())
            return intervals(result)
    return {}


def _existing(path: Path) -> str:
    return str(path) if path.exists() else ""


def _measured(runner: Any) -> dict[str, Any]:
    import torch
    from mmengine.device import get_device

    from visbench.benchmark.machine import machine, peak_memory_mb, versions
    from visbench.benchmark.measure import count_parameters, gflops_per_frame

    device = str(get_device())
    facts: dict[str, Any] = {
        "host_memory_mb": peak_memory_mb(),
        "device": device,
        "machine": f"{machine()}, {torch.get_num_threads()} threads",
        "versions": versions(),
        "parameters_m": count_parameters(runner.model),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
    if device == "cuda":
        facts["device_memory_mb"] = torch.cuda.max_memory_allocated() / 2**20
        facts["machine"] += f", {torch.cuda.get_device_name()}"
    try:
        frame = runner.test_loop.dataset.get_video(0).frames.read(0)
        facts["gflops_per_frame"] = gflops_per_frame(runner.model, frame)
    except Exception as error:
        # A method that cannot be counted still has its other numbers.
        print(f"GFLOPs cannot be counted: {error}")
    return facts


def _controls(args: argparse.Namespace) -> None:
    """Compute the controls of a config's validation data that the store lacks."""
    from dataclasses import replace

    from visbench.benchmark.controls import CONTROLS, CONTROLS_VERSION, control_row
    from visbench.benchmark.machine import machine, versions
    from visbench.benchmark.rows import RowStore
    from visbench.engine import load_config
    from visbench.registry import DATASETS, register_all_modules

    register_all_modules()
    config = load_config(args.configs[0])
    name = _choose_data(args, config)
    dataset, store = DATASETS.build(config.val_dataloader.dataset), RowStore(args.rows)
    for control in CONTROLS:
        if store.control(control, name, CONTROLS_VERSION) is None:
            row = control_row(control, name, dataset.ann_file, dataset.data_prefix["img_path"])
            store.add(replace(row, device="cpu", machine=machine(), versions=versions()))


def method_name(config: Any) -> str:
    """Return a method's name: the config's ``method_name``, else the type of its model."""
    return str(config.get("method_name") or str(config.model.type).split(".")[-1])


def _write(path: Path, content: dict[str, Any]) -> None:
    write_file(path, json.dumps(content, indent=2))


if __name__ == "__main__":
    sys.exit(main())
