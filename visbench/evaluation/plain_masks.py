# SPDX-License-Identifier: Apache-2.0
"""Records of the usual form, read without an object per mask entry.

Nearly all results are written by one program, so within a record every mask is the same text but
for its run lengths. That text is learned from the first mask; cutting the list at it leaves the
run lengths. A record that does not fit the pattern to the letter is left to the JSON parser.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import orjson

__all__ = ["PlainMasks", "read_plain_record"]

_FIELD = b'"segmentations"'
_LIST = re.compile(rb'"segmentations"\s*:\s*\[\s*((?:null\s*,\s*)*)(?=\{)')
_SIZE = rb'"size"\s*:\s*\[\s*([1-9]\d{0,8})\s*,\s*([1-9]\d{0,8})\s*\]'
_SIZE_FIRST = re.compile(rb"(\{\s*" + _SIZE + rb'\s*,\s*"counts"\s*:\s*")[^"]*("\s*\})(\s*,\s*)?')
_SIZE_LAST = re.compile(rb'(\{\s*"counts"\s*:\s*")[^"]*("\s*,\s*' + _SIZE + rb"\s*\})(\s*,\s*)?")
_END = re.compile(rb"((?:\s*,\s*null)*)\s*\]")


@dataclass(frozen=True)
class PlainMasks:
    """The masks of a record, all of one size.

    Attributes:
        size: Height and width in pixels.
        counts: One compressed string per frame, unchecked; None where there is no mask.
    """

    size: tuple[int, int]
    counts: list[bytes | None]

    @property
    def pixels(self) -> int:
        """Height times width."""
        return self.size[0] * self.size[1]

    def as_json(self) -> list[dict[str, Any] | None]:
        """Return what the JSON parser would have returned."""
        return [
            None if counts is None else {"size": [*self.size], "counts": counts.decode("utf-8")}
            for counts in self.counts
        ]


def read_plain_record(text: bytes) -> dict[str, Any] | None:
    """Read a record whose masks are compressed strings of one size.

    Args:
        text: One JSON object.

    Returns:
        The record with :class:`PlainMasks` as ``segmentations``; None if it is anything else than
        a valid JSON object of that form.
    """
    unescaped = _unescape(text)
    opening = None if unescaped is None else _LIST.search(unescaped)
    if unescaped is None or opening is None:
        return None
    start = opening.end()
    form = _SIZE_FIRST.match(unescaped, start)
    if form is not None:
        head, height, width, tail, gap = form.groups()
    else:
        form = _SIZE_LAST.match(unescaped, start)
        if form is None:
            return None
        head, tail, height, width, gap = form.groups()
    stop = unescaped.rfind(tail) + len(tail)
    closing = _END.match(unescaped, stop)
    if closing is None:
        return None
    rest = unescaped[closing.end() :]
    record = _read_rest(unescaped[: opening.start()], rest)
    masks = _cut(unescaped[start + len(head) : stop - len(tail)], head, tail, gap or b",")
    if record is None or masks is None:
        return None
    before, behind = opening[1].count(b"null"), closing[1].count(b"null")
    counts = [*[None] * before, *masks, *[None] * behind]
    record["segmentations"] = PlainMasks((int(height), int(width)), counts)
    return record


def _unescape(text: bytes) -> bytes | None:
    """Replace escaped backslashes, the only characters of run lengths that JSON escapes.

    None if there are other escapes. Text outside of the masks never needs any here.
    """
    parts = text.split(b"\\")
    if len(parts) == 1:
        return text
    if len(parts) % 2 == 0 or any(parts[1::2]):
        return None
    return b"\\".join(parts[::2])


def _read_rest(before: bytes, behind: bytes) -> dict[str, Any] | None:
    """Parse the record without its masks."""
    # What was unescaped must not be parsed: a backslash has no business here.
    if _FIELD in behind or b"\\" in before or b"\\" in behind:
        return None
    try:
        record = orjson.loads(before + b'"segmentations":null' + behind)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(record, dict) or record.get("segmentations", 0) is not None:
        return None
    return record


def _cut(text: bytes, head: bytes, tail: bytes, gap: bytes) -> list[bytes | None] | None:
    """Cut the list between the run lengths of its first and of its last mask."""
    joint = tail + gap + head
    parts = text.split(joint)
    masks: list[bytes | None] = [*parts]
    if text.count(b'"') != (len(parts) - 1) * joint.count(b'"'):
        # Frames without a mask stand somewhere between two with one.
        masks = []
        for part in parts:
            masks += _cut_at_nulls(part, head, tail, gap) if b'"' in part else [part]
        if any(mask is not None and b'"' in mask for mask in masks):
            return None
    # An empty string is left to the parser, which reports it in order.
    return None if b"" in masks else masks


def _cut_at_nulls(part: bytes, head: bytes, tail: bytes, gap: bytes) -> list[bytes | None]:
    masks: list[bytes | None] = []
    absent, begin = gap + b"null", gap + head
    while True:
        mask, found, rest = part.partition(tail + absent)
        masks.append(mask)
        if not found:
            return masks
        masks.append(None)
        while rest.startswith(absent):
            masks.append(None)
            rest = rest[len(absent) :]
        if not rest.startswith(begin):
            # The quote that ends the last mask is kept, and noticed by the caller.
            return [part]
        part = rest[len(begin) :]
