# SPDX-License-Identifier: Apache-2.0
"""Where the configs of visbench and of plugins are, and which one a name means."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from visbench.engine.errors import ConfigError, UserError
from visbench.plugins import find_plugins

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
    return [ConfigFolder("visbench", config_folder()), *dict.fromkeys(plugins)]


def find_config(name: str | os.PathLike[str]) -> Path:
    """Return the config file that a path or a bare file name means.

    Args:
        name: A path; or the file name of a config of visbench or a plugin, with or without
            ``.py``. A file in the working directory wins.

    Raises:
        ConfigError: If there is no such file, or two packages have one of this name.
    """
    path = Path(name)
    if path.is_file():
        return path
    if path.name != str(path):
        raise ConfigError(f"config {name} does not exist; check the path")
    stem = path.name.removesuffix(".py")
    known = [(folder.package, file) for folder in config_folders() for file in folder.configs()]
    found = [(package, file) for package, file in known if file.stem == stem]
    if len(found) > 1:
        places = ", ".join(f"{file} of {package}" for package, file in found)
        raise ConfigError(f"config {name} is the name of {places}; give the path of one")
    if not found:
        close = difflib.get_close_matches(stem, [file.stem for _, file in known], n=1)
        hint = f"; did you mean {close[0]}?" if close else "; check the path"
        raise ConfigError(
            f"config {name} is neither a file nor the name of a config of visbench or a plugin"
            f"{hint}"
        )
    return found[0][1]


def shipped_configs() -> dict[str, Path]:
    """Return the configs that come with visbench by their file names without ending."""
    return {path.stem: path for path in ConfigFolder("visbench", config_folder()).configs()}
