# SPDX-License-Identifier: Apache-2.0
"""XML of third parties: a document type is refused, and so is a file that is too large.

Without a document type, XML has neither external entities nor entities that grow.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat


class _RefusedError(ValueError):
    """The file is XML, but of a kind that is not read."""


def parse_xml(path: Path, max_bytes: int, what: str, remedy: str) -> Element:
    """Return the root element of a file.

    Args:
        path: The file.
        max_bytes: A larger file is refused before it is read.
        what: What the file is, for messages, such as ``the annotations of a frame``.
        remedy: What the reader can do about a damaged file.

    Raises:
        ValueError: If it is no XML, has a document type or is too large; file and remedy are
            named.
        OSError: If it cannot be read.
    """
    size = path.stat().st_size
    if size > max_bytes:
        raise ValueError(
            f"{path}: {size} bytes are too many for {what} (at most {max_bytes}); {remedy}"
        )
    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = _refusal(path, remedy)
    try:
        parser.Parse(path.read_bytes(), True)
        root: Element = builder.close()
    except _RefusedError:
        raise
    except (expat.ExpatError, LookupError, ValueError) as error:  # unknown encodings included
        raise ValueError(f"{path} is no XML file ({error}); {remedy}") from None
    return root


def _refusal(path: Path, remedy: str) -> Callable[..., None]:
    def refuse(name: str, *_: object) -> None:
        raise _RefusedError(
            f"{path}: the document type '{name}' is refused, since it may define entities that "
            f"read other files or fill the memory; such files have none: {remedy}"
        )

    return refuse
