# SPDX-License-Identifier: Apache-2.0
"""JSON from plain, gzip and zip files."""

from __future__ import annotations

import gzip
import json
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import orjson

from visbench.evaluation.errors import InputError

__all__ = ["open_json", "parse", "read_json", "read_text"]

MAX_RATIO = 200
MIN_SUSPICIOUS_SIZE = 1 << 28

_READ_ERRORS = (
    OSError,
    EOFError,
    zlib.error,
    zipfile.BadZipFile,
    RuntimeError,
    NotImplementedError,
)


@contextmanager
def open_json(path: Path) -> Iterator[IO[bytes]]:
    """Open a JSON file, unpacking gzip and zip (recognised by content, not by name).

    A zip must hold ``results.json``, or one JSON file and no other.

    Raises:
        InputError: The file does not exist, cannot be read, or is damaged.
    """
    try:
        with path.open("rb") as raw:
            magic = raw.read(4)
            raw.seek(0)
            if magic[:2] == b"\x1f\x8b":
                with gzip.open(raw) as unpacked:
                    yield unpacked  # type: ignore[misc]
            elif magic in (b"PK\x03\x04", b"PK\x05\x06"):
                with zipfile.ZipFile(raw) as archive, archive.open(_member(path, archive)) as file:
                    yield file
            else:
                yield raw
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(str(path), "", "", "no such file", f"Here is: {_listing(path)}") from None
    except _READ_ERRORS as error:
        raise InputError(
            str(path), "", "", f"cannot be read ({error})", "The file is damaged or cut off"
        ) from error


def _listing(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"not even the folder {folder}"
    names = sorted(entry.name for entry in folder.iterdir())
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "") or "an empty folder"


def _member(path: Path, archive: zipfile.ZipFile) -> str:
    names = [name for name in archive.namelist() if not name.endswith("/")]
    if "results.json" in names:
        return "results.json"
    candidates = [name for name in names if name.endswith(".json")]
    if len(candidates) == 1:
        return candidates[0]
    raise InputError(
        str(path),
        "",
        "",
        f"the archive holds {', '.join(names[:5]) or 'nothing'}",
        "A submission holds exactly results.json at top level",
    )


def parse(text: bytes | memoryview, path: str, place: str) -> Any:
    """Parse JSON; NaN and Infinity, which Python writes, are read so that they can be named.

    Raises:
        InputError: The text is no JSON.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        try:
            return json.loads(bytes(text))
        except (ValueError, RecursionError):
            raise InputError(path, place, "", f"malformed JSON ({error})") from None


def read_json(path: Path) -> Any:
    """Read a whole JSON file (json, json.gz or zip).

    Raises:
        InputError: The file cannot be read, is no JSON, or unpacks to hundreds of times its size.
    """
    return parse(read_text(path), str(path), "")


def read_text(path: Path) -> bytes:
    """Return the text of a whole JSON file, unpacked and without a byte order mark.

    Raises:
        InputError: The file cannot be read, or unpacks to hundreds of times its size.
    """
    packed = path.stat().st_size if path.is_file() else 0
    limit = max(MIN_SUSPICIOUS_SIZE, MAX_RATIO * packed)
    with open_json(path) as file:
        text = file.read(limit + 1)
    if len(text) > limit:
        raise InputError(
            str(path),
            "",
            "",
            f"unpacks to more than {MAX_RATIO} times its size of {packed} bytes",
            "Unpack it yourself if it is meant to",
        )
    return text.removeprefix(b"\xef\xbb\xbf")
