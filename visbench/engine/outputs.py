# SPDX-License-Identifier: Apache-2.0
"""Making sure that results can be written, before the work on them begins."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from visbench.engine.errors import ConfigError

_Path = str | os.PathLike[str]


def prepare_output_file(path: _Path | None, option: str) -> None:
    """Make sure that a file can be written; its folder is made if it is missing.

    Args:
        path: The file; nothing is done for None.
        option: Option or argument that names it, for the message.

    Raises:
        ConfigError: If it is a folder, or nothing can be written in its place.

    Examples:
        >>> prepare_output_file("/dev/null/out.json", "--out")  # doctest: +SKIP
        ConfigError: --out: /dev/null/out.json cannot be written (Not a directory); choose ...
    """
    if path is None:
        return
    path = Path(path)
    if path.is_dir():
        raise ConfigError(f"{option}: {path} is a folder; give the name of a file in it")
    _try(path, path.parent, option)
    if path.exists() and not os.access(path, os.W_OK):
        raise ConfigError(f"{option}: {path} is write-protected; choose another place")


def prepare_output_folder(path: _Path | None, option: str) -> None:
    """Make sure that files can be written into a folder; it is made if it is missing.

    Args:
        path: The folder; nothing is done for None.
        option: Option or argument that names it, for the message.

    Raises:
        ConfigError: If it is a file, or cannot be made or written.
    """
    if path is None:
        return
    path = Path(path)
    if path.exists() and not path.is_dir():
        raise ConfigError(f"{option}: {path} is a file; give a folder")
    _try(path, path, option)


def _try(path: Path, folder: Path, option: str) -> None:
    # Permissions and kinds of file systems are best known by trying.
    probe = folder / f".{secrets.token_hex(4)}.partial"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise unwritable(path, option, error) from error


def unwritable(path: _Path, option: str, error: OSError) -> ConfigError:
    """Return the error that a file or folder cannot be written.

    Args:
        path: The file or folder.
        option: Option or argument that names it.
        error: What the system said.
    """
    problem = error.strerror or type(error).__name__
    return ConfigError(f"{option}: {path} cannot be written ({problem}); choose another place")
