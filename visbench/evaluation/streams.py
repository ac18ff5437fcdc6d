# SPDX-License-Identifier: Apache-2.0
"""JSON from plain, gzip and zip files; a results file is cut into records without parsing it."""

from __future__ import annotations

import gzip
import json
import re
import zipfile
import zlib
from bisect import bisect_left
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import orjson

from visbench.evaluation.errors import InputError
from visbench.evaluation.mask_scan import MaskScan
from visbench.evaluation.plain_masks import simplify

__all__ = [
    "JsonRecords",
    "find_split",
    "iterate_records",
    "open_json",
    "parse",
    "read_json",
    "read_json_records",
]

BLOCK_SIZE = 1 << 20
MAX_RECORD = 1 << 28
MAX_SCAN = 1 << 24
_MAX_KEY = 64
_SPLIT_WINDOW = 1 << 23
_SCAN_BLOCK = 1 << 18
_FIRST_KEY = re.compile(rb'\s*\[\s*\{\s*("[^"\\]{1,60}")\s*:')
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
    return parse(_read_text(path), str(path), "")


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
    text = _read_text(path)
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
    for first, stop in _object_spans(body):
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


def _read_text(path: Path) -> bytes:
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
        for start, end in _object_spans(text):
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


def _object_spans(text: bytes) -> Iterator[tuple[int, int]]:
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
