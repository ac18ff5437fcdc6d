# SPDX-License-Identifier: Apache-2.0
"""The models that come with the library and its plugins: names, aliases, configs, weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from visbench.engine.errors import ConfigError

# Loads plain values only; libyaml, where it is built in, is ten times as fast.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_SCHEDULE = re.compile(r"_\d+xb\d+-[^_]+(?=_)")
"""The field of a config's name that says GPUs, batch size and length of the schedule."""


@dataclass(frozen=True)
class ModelEntry:
    """A config that can be trained or tested, and what it may be called.

    Args:
        name: File name of the config without ending.
        config: The config file.
        package: Package that brings it, ``visbench`` or a plugin's.
        aliases: Other names: those that a ``metafile.yml`` lists under ``Alias``, and the name
            without its schedule (``idol_r50_youtubevis2019`` for
            ``idol_r50_8xb4-12k_youtubevis2019``).
        weights: Where trained weights are, as the metafile says; None if there are none.
    """

    name: str
    config: Path
    package: str
    aliases: tuple[str, ...] = ()
    weights: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The name and the aliases."""
        return (self.name, *self.aliases)


def model_entry(config: Path, package: str, listed: Mapping[str, Any]) -> ModelEntry:
    """Return the entry of a config.

    Args:
        config: The file.
        package: Package that brings it.
        listed: What its metafile says of it; empty if it is in none.
    """
    name = config.stem
    aliases = [*_words(listed.get("Alias")), _SCHEDULE.sub("", name)]
    others = tuple(alias for alias in dict.fromkeys(aliases) if alias != name)
    return ModelEntry(
        name, config, package, others, next(iter(_words(listed.get("Weights"))), None)
    )


def read_metafiles(folder: Path) -> dict[str, Mapping[str, Any]]:
    """Return what the metafiles of a folder of configs say, by model name.

    Args:
        folder: Folder of configs, with ``METHOD/metafile.yml`` below it.

    Raises:
        ConfigError: If a metafile cannot be read.
    """
    models: dict[str, Mapping[str, Any]] = {}
    for metafile in sorted(folder.glob("*/metafile.yml")):
        try:
            content = yaml.load(metafile.read_bytes(), _LOADER)
            models.update((str(model["Name"]), model) for model in content["Models"])
        except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
            raise ConfigError(
                f"{metafile} cannot be read ({type(error).__name__}: {error}); it needs a list "
                "'Models' of entries with a 'Name'"
            ) from error
    return models


def _words(value: Any) -> list[str]:
    """Return what MMEngine allows to be a word or a list of words as a list."""
    words = value if isinstance(value, (list, tuple)) else [value]
    return [str(word) for word in words if word is not None]
