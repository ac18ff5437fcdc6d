# SPDX-License-Identifier: Apache-2.0
"""What makes two runs the same run: the text of the config and its bases, and of the code.

The latter is :func:`visbench.engine.provenance.code_version`.
"""

from __future__ import annotations

import ast
import hashlib
from pathlib import Path
from typing import Any

from visbench.engine.config_files import config_folder
from visbench.engine.errors import ConfigError
from visbench.engine.provenance import code_version

__all__ = ["code_version", "config_hash"]

_LATER_FIELDS = ("type_params",)
"""Fields of syntax that Pythons after 3.11 added; empty ones say nothing."""


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
    # The syntax rather than the text: comments and layout make no other run.
    digest.update(_written_out(tree).encode())
    for base in _bases(path, tree):
        package, _, inner = base.rpartition("::")
        if package in ("", "visbench"):
            _add((config_folder() if package else path.parent) / inner, digest, seen)


def _written_out(node: Any) -> str:
    """Return a syntax tree as text, the same in every version of Python.

    ``ast.dump`` shows what its version of Python knows: 3.12 added a field to definitions, 3.13
    leaves empty lists out. This is the text of 3.11.
    """
    if isinstance(node, list):
        return f"[{', '.join(map(_written_out, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = []
    for name in node._fields:
        value = getattr(node, name, None)
        unset = value is None and getattr(type(node), name, ...) is None
        if not unset and not (name in _LATER_FIELDS and not value):
            fields.append(f"{name}={_written_out(value)}")
    return f"{type(node).__name__}({', '.join(fields)})"


def _bases(path: Path, tree: ast.Module) -> list[str]:
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "_base_" for target in statement.targets
        ):
            try:
                value = ast.literal_eval(statement.value)
            except ValueError as error:
                raise ConfigError(
                    f"config {path}, line {statement.lineno}: '_base_' must be written out, a path "
                    "or a list of paths, as nothing is executed to find the bases"
                ) from error
            return [value] if isinstance(value, str) else list(value)
    return []
