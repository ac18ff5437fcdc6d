# SPDX-License-Identifier: Apache-2.0
"""Finds missing, damaged and wrongly sized image files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from PIL import Image

_END_MARKS = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}


def is_complete(content: bytes) -> bool:
    """Return whether an image file ends as a complete JPEG or PNG does.

    Args:
        content: The file. Zero bytes and line feeds after the end are allowed. A complete file
            with other bytes after its end, or of another format, gives False: decode it.
    """
    return content.rstrip(b"\0\n").endswith(tuple(_END_MARKS.values()))


def require_decodable(content: bytes) -> None:
    """Decode a suspicious image with Pillow, which, unlike OpenCV, refuses truncated files.

    Args:
        content: The file.

    Raises:
        OSError: If the image cannot be decoded to the end.
    """
    if not is_complete(content):
        with Image.open(io.BytesIO(content)) as image:
            image.load()


def image_problem(path: Path, size: tuple[Any, Any]) -> tuple[str, str] | None:
    """Return field and problem of an image file, or None.

    Args:
        path: The file.
        size: ``(height, width)`` that its video states.
    """
    if not path.is_file():
        return "file_names", "there is no such file"
    try:
        content = path.read_bytes()
        require_decodable(content)
        with Image.open(io.BytesIO(content)) as image:
            width, height = image.size
    except Exception as error:
        return "file_names", f"the file cannot be decoded ({error})"
    if (height, width) != size:
        stated = f"height and width say {size[0]}x{size[1]}"
        return "height, width", f"the file is {height}x{width}, {stated}"
    return None
