# SPDX-License-Identifier: Apache-2.0
"""Reads one XML file of ImageNet VID or DET.

Files come from archives of third parties, so they are not trusted; see
:mod:`visbench.datasets.safe_xml`.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element

from visbench.datasets.safe_xml import parse_xml

MAX_BYTES = 1 << 20
_REMEDY = "fetch the file again"


class XMLObject(NamedTuple):
    """An object of a frame.

    Attributes:
        wnid: WordNet id of its class.
        box: x1, y1, x2, y2 in pixels, as the file has them.
        track: Its ``trackid``; None in DET.
    """

    wnid: str
    box: tuple[float, float, float, float]
    track: str | None


class XMLFrame(NamedTuple):
    """What a file says of a frame."""

    height: int
    width: int
    objects: list[XMLObject]


def read_xml(path: Path) -> XMLFrame:
    """Read an annotation file.

    Args:
        path: The file.

    Raises:
        ValueError: If it is no XML, has a document type, is too large or lacks a field; file,
            field, value and remedy are named.
        OSError: If it cannot be read.
    """
    root = parse_xml(path, MAX_BYTES, "the annotations of a frame", _REMEDY)
    height, width = (int(_number(path, root, f"size/{side}")) for side in ("height", "width"))
    if height < 1 or width < 1:
        raise ValueError(f"{path}: field 'size': {height}x{width} is not positive; {_REMEDY}")
    objects = [_read_object(path, element) for element in root.iterfind("object")]
    return XMLFrame(height, width, objects)


def _read_object(path: Path, element: Element) -> XMLObject:
    sides = ("xmin", "ymin", "xmax", "ymax")
    x1, y1, x2, y2 = (_number(path, element, f"bndbox/{side}") for side in sides)
    return XMLObject(_text(path, element, "name"), (x1, y1, x2, y2), element.findtext("trackid"))


def _text(path: Path, element: Element, field: str) -> str:
    text = (element.findtext(field) or "").strip()
    if not text:
        raise ValueError(f"{path}: field '{element.tag}/{field}' is missing; {_REMEDY}")
    return text


def _number(path: Path, element: Element, field: str) -> float:
    text = _text(path, element, field)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(
            f"{path}: field '{element.tag}/{field}': '{text:.40}' is not a number; {_REMEDY}"
        )
    return value
