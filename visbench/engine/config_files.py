# SPDX-License-Identifier: Apache-2.0
"""Where config files are: those of visbench and of plugins, found by file name."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from visbench.engine.errors import ConfigError, UserError
from visbench.engine.model_index import ModelEntry, model_entry, read_metafiles
from visbench.plugins import find_plugins

SCOPE = "visbench"
BASES = "_base_"


@dataclass(frozen=True)
class ConfigFolder:
    """A folder of configs and the package that brings it, ``visbench`` or a plugin's."""

    package: str
    folder: Path

    def configs(self) -> Iterator[Path]:
        """Yield the config files that can be trained or tested: all but those of ``_base_``."""
        for path in sorted(self.folder.rglob("*.py")):
            parts = path.relative_to(self.folder).parts
            if BASES not in parts and path.name != "__init__.py":
                yield path


def config_folder() -> Path:
    """Return visbench's folder of configs: that of the source tree, else the installed package's.

    Raises:
        UserError: If there is none.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package.parent / "configs", package / ".mim" / "configs"):
        if (folder / BASES).is_dir():
            return folder
    raise UserError(
        f"no configs beside {package}; clone the repository or install the wheel of visbench"
    )


def config_folders() -> list[ConfigFolder]:
    """Return the folders that configs are looked up in; nothing is imported.

    Raises:
        UserError: If visbench's own folder is missing.
    """
    plugins = [
        ConfigFolder(plugin.package, folder)
        for plugin in find_plugins()
        if (folder := plugin.config_folder()) is not None
    ]
    return [ConfigFolder(SCOPE, config_folder()), *dict.fromkeys(plugins)]


def model_entries() -> list[ModelEntry]:
    """Return the models of visbench and of plugins, with their aliases; nothing is imported.

    Raises:
        ConfigError: If a ``metafile.yml`` cannot be read.
    """
    entries = []
    for place in config_folders():
        listed = read_metafiles(place.folder)
        for path in place.configs():
            entries.append(model_entry(path, place.package, listed.get(path.stem, {})))
    return entries


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
        places = ", ".join(f"{entry.config} ({entry.package})" for entry in found)
        raise ConfigError(f"several configs are named {name}: {places}; give the path")
    return found[0] if found else None


def find_config(name: str | os.PathLike[str]) -> Path:
    """Return the config file of a path, or of a name in visbench or a plugin.

    Args:
        name: A path; or a file name, with or without ``.py``, or an alias, see
            :class:`~visbench.engine.model_index.ModelEntry`.

    Raises:
        ConfigError: If there is no such file, or two packages have one of this name.

    Examples:
        >>> find_config("idol_demo_movingshapes").name
        'idol_demo_movingshapes.py'
        >>> find_config("idol_r50_youtubevis2019").name
        'idol_r50_8xb4-12k_youtubevis2019.py'
    """
    path = Path(name).expanduser()
    if path.is_file():
        return path
    if path.parent != Path():
        raise ConfigError(f"config {name} does not exist; check the path")
    entry = find_model(path.name)
    if entry is None:
        raise ConfigError(f"config {name} does not exist; {_hint(path.name)}")
    return _short(entry.config)


def find_base(name: str) -> Path:
    """Return the file that a config inherits by ``_base_ = "visbench::..."``.

    Args:
        name: ``visbench::`` and a path below the folder of configs.

    Raises:
        ConfigError: If there is no such file.
    """
    relative = name.removeprefix(f"{SCOPE}::")
    path = config_folder() / relative
    if not path.is_file():
        raise ConfigError(
            f"_base_ {name!r} does not exist: there is no {relative} in {config_folder()}"
        )
    return path


def _hint(name: str) -> str:
    names = {known.lower(): known for entry in model_entries() for known in entry.names}
    close = difflib.get_close_matches(name.removesuffix(".py").lower(), names, n=3)
    guess = f"did you mean {' or '.join(names[word] for word in close)}? " if close else ""
    return (
        f"{guess or 'check the path; '}python tools/list.py configs shows the names that are known"
    )


def _short(path: Path) -> Path:
    """Return the path relative to the working folder if it lies below it."""
    try:
        return path.relative_to(Path.cwd())
    except ValueError:
        return path
