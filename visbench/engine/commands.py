# SPDX-License-Identifier: Apache-2.0
"""What tools/train.py and tools/test.py do."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from visbench.datasets.frame_source import FrameError
from visbench.engine.checkpoint_hook import remove_partial_files
from visbench.engine.config import (
    OptionsAction,
    check_precision,
    load_config,
    unknown_name,
    use_amp,
    use_scaled_learning_rate,
)
from visbench.engine.device import select_device
from visbench.engine.errors import CheckpointError, ConfigError, UserError
from visbench.engine.metric import TracksMetric
from visbench.engine.outputs import prepare_output_folder
from visbench.evaluation.errors import InputError
from visbench.registry import METRICS, RUNNERS, register_all_modules

TRACEBACK = "VISBENCH_TRACEBACK"
_MENDABLE = (UserError, InputError, FrameError)


def build_runner(config: Config) -> Any:
    """Build the runner of a config; :class:`~visbench.engine.runner.VISRunner` by default.

    Args:
        config: A config with ``work_dir``.

    Raises:
        ConfigError: If a part cannot be built, with the part's own words.
    """
    register_all_modules(init_default_scope=False)
    config.setdefault("runner_type", "VISRunner")
    config.setdefault("default_scope", "visbench")
    with clear_errors(f"config {config.filename or ''} cannot be built", config):
        return RUNNERS.build(config)


@contextmanager
def clear_errors(what: str, config: Config) -> Iterator[None]:
    """Turn exceptions of building into :class:`ConfigError` with a readable message.

    Args:
        what: Beginning of the message.
        config: The config, in which the field with an unknown name is looked up.
    """
    try:
        yield
    except _MENDABLE:
        raise
    except Exception as error:
        user_error = _user_cause(error)
        if user_error is not None:
            raise user_error from error
        raise ConfigError(f"{what}: {_words(error, config)}") from error


def _user_cause(error: BaseException | None) -> BaseException | None:
    while error is not None:
        if isinstance(error, _MENDABLE):
            return error
        error = error.__cause__ or error.__context__
    return None


def _words(error: Exception, config: Config) -> str:
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    unknown = re.search(r"Failed to get (\S+)$", text) or re.search(r"(\S+) is not in the ", text)
    return unknown_name(unknown.group(1), config) if unknown else text or type(error).__name__


def train_parser() -> argparse.ArgumentParser:
    """Return the arguments of tools/train.py."""
    parser = argparse.ArgumentParser(description="Train a video instance segmentation method")
    parser.add_argument("config", help="config file, or the name of one of visbench or a plugin")
    _add_common(parser)
    parser.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        metavar="CHECKPOINT",
        help="resume from this checkpoint, or from the newest complete one of the work folder",
    )
    parser.add_argument("--amp", action="store_true", help="train with mixed precision (a GPU)")
    parser.add_argument(
        "--auto-scale-lr",
        action="store_true",
        help="scale the learning rate by the batch size over all devices",
    )
    return parser


def test_parser() -> argparse.ArgumentParser:
    """Return the arguments of tools/test.py."""
    parser = argparse.ArgumentParser(
        description="Test a method: metrics, results.json and a submission zip"
    )
    parser.add_argument("config", help="config file, or the name of one of visbench or a plugin")
    parser.add_argument("checkpoint", help="checkpoint file")
    _add_common(parser)
    parser.add_argument(
        "--out", metavar="DIR", help="folder of results.json, submission.zip and metrics.json"
    )
    parser.add_argument("--show-dir", metavar="DIR", help="draw every video into this folder")
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--work-dir", help="work folder; work_dirs/<config name> by default")
    parser.add_argument("--device", help="cpu, cuda, cuda:N or mps; the best one by default")
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=OptionsAction,
        metavar="FIELD=VALUE",
        help="fields of the config to overwrite, e.g. train_cfg.max_iters=100 or a.b='[1,2]'",
    )
    parser.add_argument(
        "--launcher",
        choices=["none", "pytorch", "slurm", "mpi"],
        default="none",
        help="job launcher",
    )
    parser.add_argument(
        "--local_rank", "--local-rank", type=int, default=0, help="set by launchers"
    )


def _configure(args: argparse.Namespace) -> Config:
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    device = select_device(args.device)
    config = load_config(args.config, args.cfg_options, args.work_dir)
    launch(config, args.launcher, device)
    return config


def launch(config: Config, launcher: str, device: str) -> None:
    """Set the launcher of a config.

    Args:
        config: The config.
        launcher: ``none``, or who started the processes: ``pytorch``, ``slurm`` or ``mpi``.
        device: Kind of device, see :func:`~visbench.engine.device.select_device`.
    """
    config.launcher = launcher
    if launcher == "pytorch" and device == "cpu":
        _distribute_on_cpu(config)


def _distribute_on_cpu(config: Config) -> None:
    # MMEngine's own set-up of the "pytorch" launcher asks for a GPU per process.
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group("gloo")
    if "model_wrapper_cfg" not in config:
        config.model_wrapper_cfg = {
            "type": "MMDistributedDataParallel",
            "device_ids": None,
            "broadcast_buffers": False,
            "find_unused_parameters": config.get("find_unused_parameters", False),
        }


def train(arguments: Sequence[str] | None = None) -> None:
    """Train as the command line says.

    Args:
        arguments: Words after the program name; those of the process if None.

    Raises:
        UserError: If something outside the code is wrong.
    """
    args = train_parser().parse_args(arguments)
    config = _configure(args)
    if args.amp:
        use_amp(config)
    check_precision(config)
    if args.auto_scale_lr:
        use_scaled_learning_rate(config)
    if args.resume is not None:
        config.resume = True
        config.load_from = None if args.resume == "auto" else args.resume
    _check_file(
        config.get("load_from"),
        "check the path"
        if args.resume is not None
        else "load_from of the config says where training starts: make the file as the config "
        "describes, or start without it by --cfg-options load_from=None",
    )
    prepare_output_folder(config.work_dir, "--work-dir")
    remove_partial_files(config.work_dir)
    runner = build_runner(config)
    with clear_errors(f"config {args.config}: the training cannot start", config):
        # Built here so that defects of the data are found before anything runs.
        runner.train_loop, runner.val_loop  # noqa: B018
    runner.train()


def test(arguments: Sequence[str] | None = None) -> dict[str, float]:
    """Test as the command line says.

    Args:
        arguments: Words after the program name; those of the process if None.

    Returns:
        Metrics by name; empty without ground truth.

    Raises:
        UserError: If something outside the code is wrong.
    """
    args = test_parser().parse_args(arguments)
    config = _configure(args)
    _check_file(args.checkpoint)
    config.load_from, config.resume = args.checkpoint, False
    prepare_output_folder(config.work_dir, "--work-dir")
    prepare_output_folder(args.out, "--out")
    prepare_output_folder(args.show_dir, "--show-dir")
    if args.out:
        _set_out_dir(config, args.out)
    if args.show_dir:
        config.setdefault("custom_hooks", [])
        config.custom_hooks.append({"type": "OverlayHook", "out_dir": args.show_dir})
    runner = build_runner(config)
    with clear_errors(f"config {args.config}: the test cannot start", config):
        runner.test_loop  # noqa: B018
    return runner.test()


def _set_out_dir(config: Config, folder: str) -> None:
    evaluators = config.test_evaluator
    for evaluator in evaluators if isinstance(evaluators, (list, tuple)) else [evaluators]:
        kind = evaluator.get("type")
        kind = METRICS.get(kind) if isinstance(kind, str) else kind
        if isinstance(kind, type) and issubclass(kind, TracksMetric):
            evaluator["out_dir"] = folder


def _check_file(path: str | None, remedy: str = "check the path") -> None:
    if path and "://" not in path and not Path(path).expanduser().is_file():
        raise CheckpointError(f"checkpoint {path} does not exist; {remedy}")


def run_command(command: Callable[[], Any]) -> int:
    """Run a command; an error that the user can mend is one message without a traceback.

    Set the environment variable ``VISBENCH_TRACEBACK=1`` to see where it was raised.

    Args:
        command: Does the work.

    Returns:
        The exit status: 0, or 1 after an error.
    """
    try:
        command()
    except Exception as error:
        user_error = _user_cause(error)
        if user_error is None or os.environ.get(TRACEBACK):
            raise
        print(f"error: {user_error}", file=sys.stderr)
        return 1
    return 0
