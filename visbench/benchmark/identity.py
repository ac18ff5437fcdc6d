# SPDX-License-Identifier: Apache-2.0
"""What makes two runs the same run: the text of the config and of all its bases."""

from __future__ import annotations

import ast
import hashlib
from pathlib import Path

from visbench.engine.config_files import config_folder
from visbench.engine.errors import ConfigError


def config_hash(path: str | Path) -> str:
    """Return eight hexadecimal digits of a config's text and that of its ``_base_`` files.

    Nothing is executed or imported, so an unchanged comparison is recognised at once. A base of
    another package (``mmdet::...``) counts by its name.

    Args:
        path: The config file.

    Raises:
        ConfigError: If a file is missing or not valid Python; the message names the line.
    """
    digest = hashlib.sha256()
    _add(Path(path), digest, set())
    return digest.hexdigest()[:8]


def _add(path: Path, digest: hashlib._Hash, seen: set[Path]) -> None:
    if path.resolve() in seen:
        return
    seen.add(path.resolve())
    try:
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"config {path} cannot be read ({error}); check the path") from error
    except SyntaxError as error:
        raise ConfigError(
            f"config {path} has a mistake in line {error.lineno}: {error.msg}; mend the line"
        ) from error
    # Dumped rather than hashed as text: comments and layout make no other run.
    digest.update(ast.dump(tree).encode())
    for base in _bases(tree):
        package, _, inner = base.rpartition("::")
        if package in ("", "visbench"):
            _add((config_folder() if package else path.parent) / inner, digest, seen)


def _bases(tree: ast.Module) -> list[str]:
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "_base_" for target in statement.targets
        ):
            value = ast.literal_eval(statement.value)
            return [value] if isinstance(value, str) else list(value)
    return []
