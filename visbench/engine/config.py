# SPDX-License-Identifier: Apache-2.0
"""Reading config files, with errors that name file, line and remedy."""

from __future__ import annotations

import ast
import difflib
import os
import traceback
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config, DictAction
from mmengine.device import get_device
from mmengine.registry import Registry

from visbench import registry
from visbench.engine.config_files import find_config
from visbench.engine.errors import ConfigError
from visbench.plugins import Status, load_plugins

WORK_DIRS = "work_dirs"


class OptionsAction(DictAction):
    """MMEngine's ``--cfg-options`` with an error that says how to write them."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        """Parse ``FIELD=VALUE`` words into a dictionary."""
        try:
            super().__call__(parser, namespace, values, option_string)
        except (ValueError, AssertionError, RecursionError):
            parser.error(
                f"--cfg-options {' '.join(values)}: write FIELD=VALUE, e.g. "
                "train_cfg.max_iters=100 or a.b='[1,2]'; dictionaries need one option per field"
            )


def load_config(
    path: str | os.PathLike[str],
    options: Mapping[str, Any] | None = None,
    work_dir: str | None = None,
) -> Config:
    """Read a config file.

    Args:
        path: The file, or the name of a config of visbench or a plugin.
        options: Dotted fields to overwrite, as of ``--cfg-options``.
        work_dir: Work folder; else the config's, else ``work_dirs/<file name without ending>``.

    Returns:
        The config, with ``work_dir`` set.

    Raises:
        ConfigError: If the file is missing or broken, or an option does not fit.
    """
    path = find_config(path)
    try:
        if path.suffix == ".py":
            # MMEngine copies the file before it reads it, and names the copy in its errors.
            ast.parse(path.read_text(encoding="utf-8"), str(path))
        config = Config.fromfile(str(path), lazy_import=False)
    except Exception as error:
        raise ConfigError(f"config {path} cannot be read: {_where(error)}") from error
    try:
        config.merge_from_dict(dict(options or {}))
    except Exception as error:
        raise ConfigError(f"--cfg-options do not fit config {path}: {error}") from error
    config.work_dir = work_dir or config.get("work_dir") or os.path.join(WORK_DIRS, path.stem)
    return config


def _where(error: Exception) -> str:
    if isinstance(error, SyntaxError) and error.lineno is not None:
        return f"{type(error).__name__} in line {error.lineno}: {error.msg}; mend the line"
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_config(frame)]
    place = f" in line {lines[-1].lineno}" if lines else ""
    return f"{type(error).__name__}{place}: {error}"


def _is_config(frame: traceback.FrameSummary) -> bool:
    return frame.name == "<module>" and "site-packages" not in frame.filename


def unknown_name(name: str, config: Config) -> str:
    """Return a message about a ``type`` that no registry knows.

    Args:
        name: The name.
        config: The config that holds it.
    """
    known = {entry for kind in _registries() for entry in kind.module_dict}
    close = difflib.get_close_matches(name.rpartition(".")[2], known, n=1)
    hint = f"did you mean {close[0]!r}? If not: a" if close else "a"
    fields = ", ".join(_fields_with(name, config.to_dict())) or "a field 'type'"
    failed = [plugin for plugin in load_plugins() if plugin.status is Status.FAILED]
    missing = "".join(f"; {plugin.problem()}" for plugin in failed)
    return (
        f"{fields} is {name!r}, which is registered nowhere; {hint} part of a package of your own "
        "needs custom_imports = dict(imports=['your.module']), or an entry point in "
        f"visbench.plugins{missing}"
    )


def _registries() -> list[Registry]:
    own = registry.registries()
    return own + [kind.parent for kind in own if kind.parent is not None]


def _fields_with(name: str, value: Any, path: str = "") -> list[str]:
    if isinstance(value, Mapping):
        parts: Any = [(f"{path}.{key}" if path else str(key), item) for key, item in value.items()]
    elif isinstance(value, (list, tuple)):
        parts = [(f"{path}[{index}]", item) for index, item in enumerate(value)]
    else:
        return [path] if value == name else []
    return [field for place, item in parts for field in _fields_with(name, item, place)]


def use_amp(config: Config) -> None:
    """Train with automatic mixed precision.

    Raises:
        ConfigError: If the config has another optimizer wrapper or there is no accelerator.
    """
    kind = config.get("optim_wrapper", {}).get("type", "OptimWrapper")
    if kind not in ("OptimWrapper", "AmpOptimWrapper"):
        raise ConfigError(f"--amp needs optim_wrapper.type 'OptimWrapper', but it is {kind!r}")
    if get_device() == "cpu":
        raise ConfigError("--amp needs a GPU, but training is on the CPU; leave --amp out")
    config.optim_wrapper.type = "AmpOptimWrapper"
    config.optim_wrapper.setdefault("loss_scale", "dynamic")


def check_precision(config: Config) -> None:
    """Check that the device can train with the precision of a config.

    Raises:
        ConfigError: If it is mixed, which takes a GPU, and there is none.
    """
    kind = config.get("optim_wrapper", {}).get("type")
    if kind == "AmpOptimWrapper" and get_device() in ("cpu", "mps"):
        raise ConfigError(
            f"optim_wrapper.type is {kind!r}, mixed precision, which needs a GPU with CUDA; train "
            "without it by --cfg-options optim_wrapper.type=OptimWrapper"
        )


def use_scaled_learning_rate(config: Config) -> None:
    """Scale the learning rate by the batch size.

    Raises:
        ConfigError: If the config does not say for which batch size it is.
    """
    if "base_batch_size" not in config.get("auto_scale_lr", {}):
        raise ConfigError(
            "--auto-scale-lr needs auto_scale_lr = dict(base_batch_size=...) in the config: the "
            "batch size over all devices that its learning rate is for"
        )
    config.auto_scale_lr.enable = True
