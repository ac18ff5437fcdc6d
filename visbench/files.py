# SPDX-License-Identifier: Apache-2.0
"""Files that appear under their name only when they are complete.

A reader, or the next run after a crash, never meets half a file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson


def partial_path(path: Path) -> Path:
    """Return where a file or folder lies until it is complete: hidden, in the same folder."""
    return path.with_name(f".{path.name}.partial")


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give the path to write to; what lies there takes the name of the file at the end.

    If the block raises, the file is what it was before and nothing else is left. Missing folders
    are made.

    Args:
        path: The file. One that exists is replaced.

    Yields:
        A path in the same folder, since renaming is one step only within a file system.

    Raises:
        OSError: If the file cannot be written.

    Examples:
        >>> with replacing("out/notes.txt") as partial:
        ...     _ = partial.write_text("two lines")
        >>> Path("out/notes.txt").read_text()
        'two lines'
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_path(path)
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_file(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Write a text (as UTF-8) or bytes; see ``replacing``."""
    with replacing(path) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


def write_json(path: str | os.PathLike[str], content: Any, indent: bool = False) -> None:
    """Write plain values as JSON; see ``replacing``.

    Args:
        path: The file.
        content: Plain values.
        indent: Whether to write for human eyes.
    """
    write_file(path, orjson.dumps(content, option=orjson.OPT_INDENT_2 if indent else None))
