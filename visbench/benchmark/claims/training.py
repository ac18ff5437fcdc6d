# SPDX-License-Identifier: Apache-2.0
"""Which configs share one training: those that differ only in what acts at test."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from visbench.benchmark.claims.data import ANY, ClaimBook, ClaimData
from visbench.engine.errors import ConfigError, UserError

TRAINING_FIELDS = (
    *("model", "train_dataloader", "optim_wrapper", "param_scheduler", "train_cfg"),
    *("auto_scale_lr", "custom_hooks", "load_from"),
)
"""Fields of a config that a training depends on."""

_WITHOUT_EFFECT = {
    "train_dataloader": ("num_workers", "persistent_workers", "pin_memory", "prefetch_factor"),
    "train_cfg": ("val_begin", "val_interval"),
}


def resolve(config: str | Path, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a config with its bases merged, as plain values.

    Args:
        config: The config file.
        options: Values by dotted field to overwrite.

    Raises:
        ConfigError: If the config cannot be read.
    """
    # MMEngine imports torch; a listing of claims needs neither.
    from mmengine.config import Config

    try:
        resolved = Config.fromfile(str(config), lazy_import=False)
        resolved.merge_from_dict(dict(options or {}))
    except Exception as error:
        raise ConfigError(f"config {config} cannot be read: {error}") from error
    content: dict[str, Any] = resolved.to_dict()
    return content


def training_part(config: Mapping[str, Any], acts_at_test: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a training depends on, of a resolved config.

    Args:
        config: The resolved config.
        acts_at_test: See :class:`~visbench.benchmark.claims.data.ClaimBook`.
    """
    part = json.loads(json.dumps({name: config.get(name) for name in TRAINING_FIELDS}, default=str))
    for name, fields in _WITHOUT_EFFECT.items():
        for field in fields:
            (part[name] or {}).pop(field, None)
    model = part["model"] or {}
    kind = str(model.get("type", "")).rpartition(".")[2]
    for field, values in acts_at_test.get(kind, {}).items():
        _leave_out(model, field.split("."), values)
    return part


def _leave_out(model: dict[str, Any], path: list[str], values: Any) -> None:
    *parents, last = path
    for parent in parents:
        model = model.get(parent) or {}
    value = model.get(last)
    if values == ANY:
        model.pop(last, None)
    elif isinstance(value, int) and value >= values:
        model[last] = values


def training_key(part: Mapping[str, Any]) -> str:
    """Return eight hexadecimal digits of a training part."""
    return hashlib.sha256(json.dumps(part, sort_keys=True).encode()).hexdigest()[:8]


def differing_field(one: Any, other: Any, place: str = "") -> str | None:
    """Return the first dotted field in which two plain values differ, with both values."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in dict.fromkeys([*one, *other]):
            inner = f"{place}.{key}" if place else str(key)
            found = differing_field(one.get(key), other.get(key), inner)
            if found:
                return found
        return None
    return None if one == other else f"{place}: {_short(one)} and {_short(other)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def key_of(config: Path, data: ClaimData, book: ClaimBook) -> str:
    """Return the training key of a config on data."""
    return training_key(training_part(resolve(config, data.options), book.acts_at_test))


def write_derived(path: Path, config: Path, options: Mapping[str, Any], devices: int = 1) -> Path:
    """Write a config that is another one with fields overwritten; unchanged ones stay themselves.

    Args:
        path: The file to write.
        config: The config to derive from.
        options: Values by dotted field.
        devices: Devices that share the batch of the config.

    Returns:
        The file to run: ``config`` itself if nothing is overwritten.

    Raises:
        UserError: If the batch cannot be shared evenly.
    """
    options = dict(options)
    if devices > 1:
        batch = int(resolve(config, options)["train_dataloader"]["batch_size"])
        if batch % devices:
            raise UserError(
                f"config {config}: a batch of {batch} cannot be shared by {devices} devices; use "
                "another --devices-per-run, so that the training stays the same"
            )
        options["train_dataloader.batch_size"] = batch // devices
    if not options:
        return config
    lines = [f"_base_ = [{str(config.resolve())!r}]"]
    lines += [f"{name} = {value!r}" for name, value in _nested(options).items()]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _nested(options: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for field, value in options.items():
        *parents, last = field.split(".")
        place = nested
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return nested
