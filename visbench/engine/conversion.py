# SPDX-License-Identifier: Apache-2.0
"""Weights of other implementations under our names."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from rich.table import Table
from torch import Tensor, nn

from visbench.engine.checkpoint import load_checkpoint_file
from visbench.engine.commands import clear_errors
from visbench.engine.errors import CheckpointError, ConfigError
from visbench.files import replacing
from visbench.models.conversion import (
    BATCH_COUNTER,
    ConversionError,
    SourceWeights,
    converters_of,
)
from visbench.registry import MODELS, register_all_modules
from visbench.version import __version__

WEIGHT_FIELDS = ("state_dict", "model")
"""Where checkpoints keep their weights: MMEngine's and most others, Detectron2's."""


@dataclass(frozen=True)
class Contribution:
    """What one source gave.

    Args:
        source: Name of the source.
        origin: Its file.
        taken: Our names.
        left: Names of the source that were not used.
    """

    source: str
    origin: str
    taken: list[str]
    left: list[str]


@dataclass(frozen=True)
class Conversion:
    """The outcome of a conversion.

    Args:
        weights: Tensors by our names.
        contributions: One per source.
        initialised: Our names that no source gave: the config's own initialisation stays.
    """

    weights: dict[str, Tensor]
    contributions: list[Contribution] = field(default_factory=list)
    initialised: list[str] = field(default_factory=list)

    def table(self) -> Table:
        """Return what was taken, initialised and left, by parts of the models."""
        table = Table(title="Converted checkpoint", show_lines=False)
        for column, justify in (("what", "left"), ("part", "left"), ("entries", "right")):
            table.add_column(column, justify=justify, overflow="fold")  # type: ignore[arg-type]
        for given in self.contributions:
            _add_rows(table, f"taken from {given.source}", given.taken)
        _add_rows(table, "initialised by the config", self.initialised)
        for given in self.contributions:
            _add_rows(table, f"left in {given.source}", given.left)
        return table


def _add_rows(table: Table, what: str, names: Sequence[str]) -> None:
    parts = Counter(_part(name) for name in names)
    for index, (part, count) in enumerate(parts.items()):
        table.add_row(what if index == 0 else "", part, str(count))
    if not parts:
        table.add_row(what, "nothing", "0")
    table.add_section()


def _part(name: str) -> str:
    """Return the first two words of a name; the last layers, which matter, are named by themselves.

    Examples:
        >>> _part("head.stages.0.interaction.fc_cls.weight"), _part("backbone.conv1.weight")
        ('head.stages.*.interaction.fc_cls', 'backbone')
    """
    words = ["*" if word.isdigit() else word for word in name.split(".")[:-1]]
    if words[-1:] in (["fc_cls"], ["controller"], ["epsilon"]):
        return ".".join(words)
    return ".".join(words[:1] if words[0] in ("backbone", "neck") else words[:2]) or name


def convert(
    config: Config,
    sources: Sequence[tuple[str, str | os.PathLike[str]]],
    change: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]] = dict,
) -> Conversion:
    """Convert checkpoints for the model of a config.

    Args:
        config: A config with ``model``; a class layer, say, gets the shape it says.
        sources: Pairs of source and file; what several give is taken from the first.
        change: Called with the weights of every source before they are converted.

    Returns:
        The weights and where they come from.

    Raises:
        CheckpointError: If a file is damaged, unsafe or lacks something that the model needs of
            it.
        ConfigError: If there is no converter for the model and a source.
    """
    model = build_bare_model(config)
    name, converters = type(model).__name__, converters_of(model)
    weights: dict[str, Tensor] = {}
    contributions = []
    for source, path in sources:
        if source not in converters:
            raise ConfigError(
                f"--source {source}: there is no such converter for {name}; it has "
                f"{', '.join(sorted(converters)) or 'none'}"
            )
        given = SourceWeights(change(read_weights(path)), str(path))
        try:
            taken = converters[source](given, model)
        except ConversionError as error:
            raise CheckpointError(str(error)) from None
        new = {key: tensor for key, tensor in taken.items() if key not in weights}
        if not new:
            earlier = " that earlier sources did not give" if weights else ""
            raise CheckpointError(
                f"checkpoint {path}: {name} of this config takes nothing from a {source} "
                f"checkpoint{earlier}; leave this source out"
            )
        weights.update(new)
        contributions.append(Contribution(source, str(path), list(new), given.left))
    initialised = [
        key for key in model.state_dict() if key not in weights and not key.endswith(BATCH_COUNTER)
    ]
    return Conversion(weights, contributions, initialised)


def build_bare_model(config: Config) -> nn.Module:
    """Build the model of a config without fetching any pre-trained weights.

    Raises:
        ConfigError: If the config has no model or it cannot be built.
    """
    register_all_modules(init_default_scope=False)
    if "model" not in config:
        raise ConfigError(f"config {config.filename} has no field 'model'")
    with clear_errors(f"config {config.filename or ''}: the model cannot be built", config):
        model: nn.Module = MODELS.build(config.model)
    return model


def read_weights(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Return the weights of a checkpoint file, read weights-only.

    Args:
        path: The file; weights lie under ``state_dict`` or ``model``, or are the whole of it.

    Raises:
        CheckpointError: If the file is damaged, unsafe or holds no weights.
    """
    checkpoint: Mapping[str, Any] = load_checkpoint_file(path)
    found = next((checkpoint[key] for key in WEIGHT_FIELDS if key in checkpoint), checkpoint)
    weights = {
        str(name).removeprefix("module."): value
        for name, value in (found.items() if isinstance(found, Mapping) else ())
        if isinstance(value, Tensor)
    }
    if not weights:
        raise CheckpointError(
            f"checkpoint {path} holds no weights under {' or '.join(WEIGHT_FIELDS)}; its fields "
            f"are {', '.join(map(str, list(checkpoint)[:6])) or 'none'}"
        )
    return weights


def save_weights(conversion: Conversion, path: str | os.PathLike[str]) -> None:
    """Write a converted checkpoint; it appears under its name only when it is complete."""
    origins = [[given.source, Path(given.origin).name] for given in conversion.contributions]
    meta = {"visbench_version": __version__, "converted_from": origins}
    with replacing(path) as partial:
        torch.save({"meta": meta, "state_dict": conversion.weights}, partial)
