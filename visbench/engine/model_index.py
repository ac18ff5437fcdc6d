# SPDX-License-Identifier: Apache-2.0
"""The configs that come with the library, found by file name, model name or alias."""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from visbench.engine.errors import ConfigError, UserError

# Loads plain values only; libyaml, where it is built in, is ten times as fast.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_SCHEDULE = re.compile(r"_\d+xb\d+-[^_]+(?=_)")
"""The field of a config's name that says GPUs, batch size and length of the schedule."""


@dataclass(frozen=True)
class ModelEntry:
    """One model of a ``metafile.yml``.

    Args:
        name: Its name, which is the config's file name without ending.
        config: The config file.
        aliases: Other names: those the metafile lists under ``Alias``, and the name without its
            schedule (``idol_r50_youtubevis2019`` for ``idol_r50_8xb4-12k_youtubevis2019``).
        weights: Where its trained weights are; None if there are none.
    """

    name: str
    config: Path
    aliases: tuple[str, ...] = ()
    weights: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The name and the aliases."""
        return (self.name, *self.aliases)


def config_folder() -> Path:
    """Return the folder of configs: that of the source tree, else the installed package's.

    Raises:
        UserError: If there is none.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package.parent / "configs", package / ".mim" / "configs"):
        if folder.is_dir():
            return folder
    raise UserError(
        f"no configs beside {package}; clone the repository or install the wheel of visbench"
    )


def model_entries() -> list[ModelEntry]:
    """Return the models of all metafiles of the library, by method and name.

    Raises:
        ConfigError: If a metafile cannot be read.
    """
    folder = config_folder()
    entries = []
    for metafile in sorted(folder.glob("*/metafile.yml")):
        try:
            models = yaml.load(metafile.read_bytes(), _LOADER)["Models"]
            entries += [_entry(model, folder.parent) for model in models]
        except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
            raise ConfigError(
                f"{metafile} cannot be read ({type(error).__name__}: {error}); it needs a list "
                "'Models' with 'Name' and 'Config'"
            ) from error
    return entries


def _entry(model: dict[str, Any], root: Path) -> ModelEntry:
    name = str(model["Name"])
    listed = model.get("Alias") or ()
    aliases = [listed] if isinstance(listed, str) else [str(alias) for alias in listed]
    short = _SCHEDULE.sub("", name)
    if short != name:
        aliases.append(short)
    weights = model.get("Weights")
    if isinstance(weights, list):
        weights = weights[0] if weights else None
    return ModelEntry(name, root / model["Config"], tuple(dict.fromkeys(aliases)), weights)


def find_model(name: str) -> ModelEntry | None:
    """Return the model of the library that has a name or alias; None if there is none.

    Args:
        name: Model name or alias, in any case, also as file name (``NAME.py``).

    Raises:
        ConfigError: If several models share the alias; the message lists them.

    Examples:
        >>> find_model("IDOL_R50_youtubevis2019").name
        'idol_r50_8xb4-12k_youtubevis2019'
    """
    wanted = name.lower().removesuffix(".py")
    entries = model_entries()
    exact = [entry for entry in entries if entry.name.lower() == wanted]
    found = exact or [e for e in entries if wanted in (alias.lower() for alias in e.aliases)]
    if len(found) > 1:
        raise ConfigError(
            f"{name!r} may be {' or '.join(entry.name for entry in found)}; use one of these names"
        )
    return found[0] if found else None


def find_config(name: str | os.PathLike[str]) -> Path:
    """Return a config file by path, by the file name of one of the library's, or by model name.

    File names are looked for in all folders of the library's configs, as ``mim`` does.

    Args:
        name: Path, file name (``NAME.py``), model name or alias.

    Raises:
        ConfigError: If there is no such file and no such model; the message has the nearest names.

    Examples:
        >>> find_config("idol_r50_youtubevis2019").name
        'idol_r50_8xb4-12k_youtubevis2019.py'
        >>> find_config("idol_r50_youtubevis")
        Traceback (most recent call last):
        ...
        visbench.engine.errors.ConfigError: config idol_r50_youtubevis does not exist...
    """
    path = Path(name).expanduser()
    if path.is_file():
        return path
    text = os.fspath(name)
    if path.name != text:
        raise ConfigError(f"config {text} does not exist; check the path")
    entry = find_model(text)
    if entry is not None:
        return entry.config
    files = [item for item in config_folder().rglob("*.py") if item.name == text]
    if len(files) > 1:
        raise ConfigError(f"config {text} is there twice, {files[0]} and {files[1]}; give a path")
    if files:
        return files[0]
    raise ConfigError(
        f"config {text} does not exist: it is neither a file nor a config or model of the "
        f"library; {_nearest(text)}"
    )


def _nearest(name: str) -> str:
    names = {alias.lower(): alias for entry in model_entries() for alias in entry.names}
    close = difflib.get_close_matches(name.lower().removesuffix(".py"), names, n=3, cutoff=0.5)
    if not close:
        return "VISInferencer.list_models() lists them all"
    return f"the nearest names are {', '.join(names[match] for match in close)}"
