# SPDX-License-Identifier: Apache-2.0
"""Results files of any size: a list is cut into records without parsing it as a whole."""

from __future__ import annotations

import re
from collections.abc import Generator
from pathlib import Path
from typing import IO, Any

import orjson

from visbench.evaluation.errors import InputError
from visbench.evaluation.json_files import open_json, parse
from visbench.evaluation.json_lists import object_spans
from visbench.evaluation.mask_scan import MaskScan
from visbench.evaluation.plain_masks import simplify

__all__ = ["find_split", "iterate_records"]

BLOCK_SIZE = 1 << 20
MAX_RECORD = 1 << 28
MAX_SCAN = 1 << 24
_MAX_KEY = 64
_SPLIT_WINDOW = 1 << 23
_FIRST_KEY = re.compile(rb'\s*\[\s*\{\s*("[^"\\]{1,60}")\s*:')


def iterate_records(
    path: Path,
    start: int = 0,
    stop: int | None = None,
    number: int = 0,
    *,
    plain: bool = False,
) -> Generator[Any, None, bool]:
    """Yield the objects of a JSON list one by one, in memory for one block and one record.

    Args:
        path: A json, json.gz or zip file.
        start: Offset of the brace that opens an object of the list; 0 for the whole list.
        stop: Offset of the brace that opens another one, where to end. If there is none after all,
            the rest of the list is read.
        number: Number of the first record, for messages.
        plain: Where it is possible, give ``segmentations`` as :class:`PlainMasks`.

    Returns:
        Whether it ended at ``stop`` (the value of the generator).

    Raises:
        InputError: The file cannot be read, or is no list of objects.
    """
    with open_json(path) as file:
        file.seek(start)
        reader = _RecordReader(file, str(path), stop, number, plain)
        return (yield from reader.read(whole=start == 0))


def find_split(path: Path, offset: int) -> int | None:
    """Guess where a top-level object of a JSON list begins, at or behind an offset.

    The guess is the next place where an object follows that begins with the key of the first one.
    Whoever reads up to there notices if it is wrong (see :func:`iterate_records`).

    Returns:
        The offset of its brace; None if none is near, or the file is packed.
    """
    with path.open("rb") as file:
        opening = _FIRST_KEY.match(file.read(_SPLIT_WINDOW))
        if opening is None:
            return None
        file.seek(offset)
        text = file.read(_SPLIT_WINDOW)
    key = re.escape(opening[1])
    found = re.search(rb"\}\s*,\s*(?=\{\s*" + key + rb"\s*:)", text)
    return None if found is None else offset + found.end()


class _RecordReader:
    """Cuts a JSON list at its top-level objects and parses each alone.

    What stands between two objects must be one comma, so a damaged file is noticed.

    Most files repeat the same text between two objects, up to the first key. Where it comes next,
    the object is taken to end. Nothing but the whole object can be parsed without an error, so a
    wrong guess is always noticed; then braces are counted, minding strings.
    """

    def __init__(
        self, file: IO[bytes], path: str, stop: int | None, number: int, plain: bool
    ) -> None:
        self.file = file
        self.path = path
        self.stop = stop
        self.plain = plain
        self.position = file.tell()
        self.count = number
        self.following = False
        self.buffer = b""
        self.separator = b""
        self.gap = 0

    def error(self, problem: str, remedy: str = "") -> InputError:
        return InputError(self.path, f"record {self.count}", "", problem, remedy)

    def read(self, whole: bool) -> Generator[Any, None, bool]:
        """Yield the objects; return whether reading ended at the stop.

        Args:
            whole: The file is at its begin, not at the first object.
        """
        if whole:
            self._open_list()
        wanted = BLOCK_SIZE
        while True:
            block = self._read(wanted)
            self.buffer += block
            position = 0
            if block:
                position = yield from self._guessed_objects()
            if position == 0 or not self.separator:
                position = yield from self._counted_objects(position)
            self.buffer = self.buffer[position:]
            if position == 0 and not self.buffer.strip():
                self.buffer = b""
            # A record longer than a block is scanned again from its start: let blocks grow with
            # it, so that the work stays proportional to its size.
            wanted = max(BLOCK_SIZE, len(self.buffer))
            if len(self.buffer) > MAX_RECORD:
                raise self.error(f"is longer than {MAX_RECORD} bytes", "Is the JSON closed?")
            if not block:
                if self.stop is None:
                    break
                if self.following and self.buffer.strip() == b",":
                    return True
                self.stop = None
        self._close_list()
        return False

    def _read(self, size: int) -> bytes:
        if self.stop is not None:
            size = min(size, self.stop - self.position)
        block = self.file.read(size)
        self.position += len(block)
        return block

    def _guessed_objects(self) -> Generator[Any, None, int]:
        """Yield the objects of the buffer that end where expected; return where the rest begins."""
        if not self.separator:
            return 0
        position, start = 0, self.buffer.find(b"{")
        scan = MaskScan(self.buffer) if self.plain and len(self.buffer) <= MAX_SCAN else None
        while start >= 0:
            try:
                record, end = self._guessed_object(start, scan)
            except orjson.JSONDecodeError:
                self.separator = b""
                break
            if end == 0:
                break
            self._check_gap(self.buffer[position:start])
            yield record
            self.count += 1
            position, start = end, end + self.gap
        return position

    def _guessed_object(self, start: int, scan: MaskScan | None) -> tuple[Any, int]:
        """Return the object that begins at a position and where it ends; 0 if it does not."""
        run = None if scan is None else scan.run(start)
        if scan is not None and run is not None:
            end = self.buffer.find(self.separator, run.end) + 1
            record = scan.record(start, end, run) if end else None
            if record is not None:
                return record, end
        end = self.buffer.find(self.separator, start) + 1
        if end == 0:
            return None, 0
        return self._simplified(orjson.loads(memoryview(self.buffer)[start:end])), end

    def _simplified(self, record: Any) -> Any:
        masks = simplify(record.get("segmentations")) if self.plain else None
        if masks is not None:
            record["segmentations"] = masks
        return record

    def _counted_objects(self, position: int) -> Generator[Any, None, int]:
        """Yield the complete objects of the buffer from a position; return where the rest begins.

        The text between the last two of them is looked for from then on.
        """
        text = self.buffer[position:]
        done = 0
        for start, end in object_spans(text):
            self._check_gap(text[done:start])
            yield self._simplified(parse(text[start:end], self.path, f"record {self.count}"))
            self.count += 1
            if done:
                key = text.find(b":", start, start + _MAX_KEY)
                self.separator = text[done - 1 : key] if key > 0 else b""
                self.gap = start - done
            done = end
        return position + done

    def _open_list(self) -> None:
        text = b""
        while not text.strip():
            text = self._read(BLOCK_SIZE)
            if not text:
                raise InputError(self.path, "", "", "is empty", "Results are a JSON list")
            text = text.removeprefix(b"\xef\xbb\xbf").lstrip()
        if text[:1] != b"[":
            raise InputError(
                self.path,
                "",
                "",
                f"must be a JSON list of predictions, starts with {text[:20]!r}",
                "An annotation file given as results? Results are a list of objects with "
                "video_id, category_id, score and segmentations",
            )
        self.buffer = text[1:]

    def _check_gap(self, gap: bytes) -> None:
        expected = b"," if self.following else b""
        if gap.strip() != expected:
            found = gap.strip()[:30]
            what = "a comma" if self.following else "the first object"
            raise self.error(f"malformed JSON: {found!r} where {what} is expected")
        self.following = True

    def _close_list(self) -> None:
        rest = self.buffer.strip()
        if rest != b"]":
            raise self.error(
                f"malformed JSON: the list is not closed properly, it ends with {rest[-30:]!r}",
                "The file is cut off, or an element is no object",
            )
