# SPDX-License-Identifier: Apache-2.0
"""Where the configs of visbench and of plugins are, and which one a name means."""

from __future__ import annotations

import difflib
import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from visbench.engine.errors import ConfigError, UserError
from visbench.engine.model_index import ModelEntry, model_entry, read_metafiles
from visbench.plugins import PluginWarning, find_plugins

_OWN = "visbench"
_PARTS = "_base_"


@dataclass(frozen=True)
class ConfigFolder:
    """A folder of configs and the package that brings it, ``visbench`` or a plugin's."""

    package: str
    folder: Path

    def configs(self) -> Iterator[Path]:
        """Yield the files that can be trained or tested: all but the parts in ``_base_``."""
        for path in sorted(self.folder.rglob("*.py")):
            if _PARTS not in path.relative_to(self.folder).parts and path.name != "__init__.py":
                yield path


def config_folder() -> Path:
    """Return the folder of configs; in a source tree that of its root.

    Raises:
        UserError: If there is none.
    """
    folder = (Path(__file__).parents[1] / ".mim" / "configs").resolve()
    if not folder.is_dir():
        raise UserError(f"{folder} is missing; install visbench again, or clone it again")
    return folder


def config_folders() -> list[ConfigFolder]:
    """Return the folders of visbench and of plugins; nothing is imported.

    Raises:
        UserError: If visbench's own is missing.
    """
    plugins = [
        ConfigFolder(plugin.package, folder)
        for plugin in find_plugins()
        if (folder := plugin.config_folder()) is not None
    ]
    # A package may have several entry points.
    return [ConfigFolder(_OWN, config_folder()), *dict.fromkeys(plugins)]


def model_entries() -> list[ModelEntry]:
    """Return the models of visbench and of plugins, with their aliases; nothing is imported.

    A ``metafile.yml`` of a plugin that cannot be read is told in a
    :class:`~visbench.plugins.PluginWarning`; its models have no aliases then.

    Raises:
        ConfigError: If a ``metafile.yml`` of visbench cannot be read.
    """
    entries = []
    for place in config_folders():
        listed = _metafiles(place)
        for path in place.configs():
            entries.append(model_entry(path, place.package, listed.get(path.stem, {})))
    return entries


def _metafiles(place: ConfigFolder) -> dict[str, Mapping[str, Any]]:
    try:
        return read_metafiles(place.folder)
    except ConfigError as error:
        if place.package == _OWN:
            raise
        warnings.warn(
            f"plugin package {place.package}: {error}; its configs go without aliases",
            PluginWarning,
            stacklevel=3,
        )
        return {}


def find_model(name: str) -> ModelEntry | None:
    """Return the model that has a name or an alias, in any case of letters; None if none has.

    Args:
        name: Name of a config, with or without ``.py``, or alias; a name comes before an alias.

    Raises:
        ConfigError: If two models share it; the message lists them.

    Examples:
        >>> find_model("IDOL_R50_youtubevis2019").name
        'idol_r50_8xb4-12k_youtubevis2019'
    """
    wanted = name.removesuffix(".py").lower()
    entries = model_entries()
    named = [entry for entry in entries if entry.name.lower() == wanted]
    found = named or [e for e in entries if wanted in (alias.lower() for alias in e.aliases)]
    if len(found) > 1:
        places = ", ".join(f"{entry.config} of {entry.package}" for entry in found)
        raise ConfigError(f"config {name} is the name of {places}; give the path of one")
    return found[0] if found else None


def find_config(name: str | os.PathLike[str]) -> Path:
    """Return the config file that a path, a bare file name or an alias means.

    Args:
        name: A path; or the file name of a config of visbench or a plugin, with or without
            ``.py``, or an alias of it, see :class:`~visbench.engine.model_index.ModelEntry`. A
            file in the working directory wins.

    Raises:
        ConfigError: If there is no such file, or two packages have one of this name.

    Examples:
        >>> find_config("idol_r50_youtubevis2019").name
        'idol_r50_8xb4-12k_youtubevis2019.py'
    """
    path = Path(name).expanduser()
    if path.is_file():
        return path
    # "./NAME" is a path as well, though Path drops the dot.
    if path.name != os.fspath(name):
        raise ConfigError(f"config {name} does not exist; check the path")
    entry = find_model(path.name)
    if entry is None:
        raise ConfigError(
            f"config {name} is neither a file nor the name of a config of visbench or a plugin"
            f"{_hint(path.name)}"
        )
    return entry.config


def _hint(name: str) -> str:
    names = {known.lower(): known for entry in model_entries() for known in entry.names}
    close = difflib.get_close_matches(name.removesuffix(".py").lower(), names, n=3)
    if not close:
        return "; check the path"
    return f"; did you mean {' or '.join(names[word] for word in close)}?"


def shipped_configs() -> dict[str, Path]:
    """Return the configs that come with visbench by their file names without ending."""
    return {path.stem: path for path in ConfigFolder(_OWN, config_folder()).configs()}
