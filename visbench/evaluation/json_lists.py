# SPDX-License-Identifier: Apache-2.0
"""The objects of a long list in a JSON file, found without parsing them."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from visbench.evaluation.json_files import parse, read_text

__all__ = ["JsonRecords", "object_spans", "read_json_records"]

_SCAN_BLOCK = 1 << 18


class JsonRecords(Sequence[Any]):
    """The objects of a long list in a JSON file, each parsed when it is asked for.

    Args:
        text: The file.
        spans: Where each object begins and ends.
        source: File and name of the list, for messages.

    Raises:
        InputError: When an object that is asked for is no JSON.
    """

    def __init__(
        self, text: bytes, spans: Sequence[tuple[int, int]], source: tuple[str, str]
    ) -> None:
        self._text = memoryview(text)
        self._spans = spans
        self._path, self._field = source

    def __len__(self) -> int:
        return len(self._spans)

    def __getitem__(self, index: int) -> Any:  # type: ignore[override]
        start, stop = self._spans[index]
        return parse(self._text[start:stop], self._path, f"{self._field}[{index}]")

    @property
    def size(self) -> int:
        """Length in bytes of the text of all."""
        return self._spans[-1][1] - self._spans[0][0] if self._spans else 0

    def middle(self) -> int:
        """Return the first object that begins in the second half of the text of all."""
        if not self._spans:
            return 0
        return bisect_left(self._spans, (self._spans[0][0] + self.size // 2, 0))


def read_json_records(path: Path, field: str) -> tuple[Any, JsonRecords | None]:
    """Read a JSON file whose top level is an object with one long list of objects.

    Args:
        path: A json, json.gz or zip file.
        field: Name of the list.

    Returns:
        The content with an empty list, and the objects of the list, each parsed when it is asked
        for. If there is no such list, the whole content and None.

    Raises:
        InputError: As :func:`read_json`.
    """
    text = read_text(path)
    cut = _cut_list(text, field.encode())
    if cut is None:
        return parse(text, str(path), ""), None
    content, spans = cut
    return content, JsonRecords(text, spans, (str(path), field))


def _cut_list(text: bytes, field: bytes) -> tuple[dict[str, Any], list[tuple[int, int]]] | None:
    """Return the content with an empty list, and where the objects of the list are."""
    opening = re.search(rb'"' + field + rb'"\s*:\s*\[', text)
    if opening is None or text.count(b'"' + field + b'"') != 1:
        return None
    start = opening.end()
    body = text[start:]
    spans: list[tuple[int, int]] = []
    position = 0
    for first, stop in object_spans(body):
        if body[position:first].strip() != (b"," if spans else b""):
            break
        spans.append((start + first, start + stop))
        position = stop
    closing = re.compile(rb"\s*\]").match(body, position)
    if closing is None:
        return None
    try:
        content = orjson.loads(text[:start] + body[closing.end() - 1 :])
    except orjson.JSONDecodeError:
        return None
    # So the list was where it seemed to be, not in another object.
    if not isinstance(content, dict) or content.get(field.decode()) != []:
        return None
    return content, spans


def object_spans(text: bytes) -> Iterator[tuple[int, int]]:
    """Yield start and end of each complete top-level object; braces in strings do not count."""
    codes = np.frombuffer(text, np.uint8)
    braces = _where(codes, lambda block: block > 122)
    braces = braces[(codes[braces] == 123) | (codes[braces] == 125)]
    quotes = _string_limits(text, codes)
    outside = np.searchsorted(quotes, braces) % 2 == 0
    braces = braces[outside]
    steps = np.where(codes[braces] == 123, 1, -1)
    depth = np.cumsum(steps)
    ends = np.flatnonzero((depth == 0) & (steps == -1))
    starts = np.concatenate(([0], ends[:-1] + 1)) if len(ends) else ends
    for first, last in zip(braces[starts].tolist(), braces[ends].tolist(), strict=True):
        yield first, last + 1


def _where(
    codes: npt.NDArray[np.uint8],
    condition: Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.bool_]],
) -> npt.NDArray[np.intp]:
    """Return where a condition holds, looking at one block after the other."""
    starts = range(0, len(codes), _SCAN_BLOCK)
    found = [
        start + np.flatnonzero(condition(codes[start : start + _SCAN_BLOCK])) for start in starts
    ]
    return np.concatenate([*found, np.zeros(0, np.intp)])


def _string_limits(text: bytes, codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.intp]:
    """Return the positions of the quotes that open or close a string."""
    quotes = _where(codes, lambda block: block == 34)
    # The single character is found, or not, ten times as fast.
    escapes = b"\\" in text and b'\\"' in text
    doubtful = np.flatnonzero(codes[quotes - 1] == 92) if escapes else ()
    escaped = [index for index in doubtful if _backslashes_before(text, int(quotes[index])) % 2]
    return np.delete(quotes, escaped) if escaped else quotes


def _backslashes_before(text: bytes, position: int) -> int:
    start = position
    while start > 0 and text[start - 1] == 92:
        start -= 1
    return position - start
