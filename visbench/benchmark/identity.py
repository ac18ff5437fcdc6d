# SPDX-License-Identifier: Apache-2.0
"""What makes two runs the same run: the text of the config and its bases, and of the code."""

from __future__ import annotations

import ast
import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

from visbench.engine.config_files import config_folder
from visbench.engine.errors import ConfigError
from visbench.version import __version__

CODE = ("datasets", "engine", "evaluation", "models", "ops", "structures")
"""Parts of the package that results depend on."""

_LATER_FIELDS = ("type_params",)
"""Fields of syntax that Pythons after 3.11 added; empty ones say nothing."""


@lru_cache(maxsize=1)
def code_version() -> str:
    """Return the version of the package and eight hexadecimal digits of the code of results.

    A commit would change with every page of documentation, and an installed package has none;
    the text of :data:`CODE` changes only with what results depend on.

    Examples:
        >>> code_version()  # doctest: +SKIP
        '0.1.0+1a2b3c4d'
    """
    package = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for part in CODE:
        for path in sorted((package / part).rglob("*.py")):
            digest.update(path.relative_to(package).as_posix().encode())
            digest.update(path.read_bytes().replace(b"\r\n", b"\n"))
    return f"{__version__}+{digest.hexdigest()[:8]}"


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
