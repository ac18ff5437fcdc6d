# SPDX-License-Identifier: Apache-2.0
"""Where the configs that come with visbench are, and which one a name means."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from visbench.engine.errors import ConfigError, UserError

_PARTS = "_base_"


def config_folder() -> Path:
    """Return the folder of configs; in a source tree that of its root.

    Raises:
        UserError: If there is none.
    """
    folder = (Path(__file__).parents[1] / ".mim" / "configs").resolve()
    if not folder.is_dir():
        raise UserError(f"{folder} is missing; install visbench again, or clone it again")
    return folder


def find_config(name: str | os.PathLike[str]) -> Path:
    """Return the config file that a path or a bare file name means.

    Args:
        name: A path; or the file name of a config that comes with visbench, with or without
            ``.py``. A file in the working directory wins.

    Raises:
        ConfigError: If there is no such file.
    """
    path = Path(name)
    if path.is_file():
        return path
    if path.name != str(path):
        raise ConfigError(f"config {name} does not exist; check the path")
    known = shipped_configs()
    stem = path.name.removesuffix(".py")
    if stem not in known:
        close = difflib.get_close_matches(stem, known, n=1)
        hint = f"; did you mean {close[0]}?" if close else "; check the path"
        raise ConfigError(
            f"config {name} is neither a file nor the name of a config of visbench{hint}"
        )
    return known[stem]


def shipped_configs() -> dict[str, Path]:
    """Return the configs that come with visbench by their file names without ending."""
    folder = config_folder()
    files = sorted(folder.rglob("*.py"))
    return {path.stem: path for path in files if _PARTS not in path.relative_to(folder).parts}
