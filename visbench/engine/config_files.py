# SPDX-License-Identifier: Apache-2.0
"""Where config files are: those of visbench and of plugins, found by file name."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from visbench.engine.errors import ConfigError, UserError
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


def find_config(name: str | os.PathLike[str]) -> Path:
    """Return the config file of a path, or of a file name in visbench or a plugin.

    Args:
        name: A path; or a file name, with or without ``.py``.

    Raises:
        ConfigError: If there is no such file, or two packages have one of this name.

    Examples:
        >>> find_config("idol_demo_movingshapes").name
        'idol_demo_movingshapes.py'
    """
    path = Path(name)
    if path.is_file():
        return path
    if path.parent != Path() or path.suffix not in ("", ".py"):
        raise ConfigError(f"config {name} does not exist; check the path")
    known = [(folder.package, file) for folder in config_folders() for file in folder.configs()]
    found = [(package, file) for package, file in known if path.stem == file.stem]
    if not found:
        raise ConfigError(f"config {name} does not exist; {_hint(path, known)}")
    if len(found) > 1:
        places = ", ".join(f"{file} ({package})" for package, file in found)
        raise ConfigError(f"several configs are named {path.stem}: {places}; give the path")
    return _short(found[0][1])


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


def _hint(path: Path, known: list[tuple[str, Path]]) -> str:
    close = difflib.get_close_matches(path.stem, [file.stem for _, file in known], n=1)
    guess = f"did you mean {close[0]}? " if close else "check the path; "
    return f"{guess}python tools/list.py configs shows the names that are known"


def _short(path: Path) -> Path:
    """Return the path relative to the working folder if it lies below it."""
    try:
        return path.relative_to(Path.cwd())
    except ValueError:
        return path
