# SPDX-License-Identifier: Apache-2.0
"""Results of a test that is under way: one JSON line per finished video."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from io import BufferedRandom
from pathlib import Path
from typing import Any

import orjson
import torch

from visbench.structures import VideoTracks

_FORMAT = "visbench partial results 1"


def weights_digest(weights: Mapping[str, Any]) -> str:
    """Return a hash of tensors by name; equal weights give equal hashes on every device."""
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(weights):
        array = weights[name].detach().cpu().contiguous()
        digest.update(f"{name}{tuple(array.shape)}{array.dtype}".encode())
        digest.update(array.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def config_digest(*parts: Any) -> str:
    """Return a hash of plain config values; the order of dictionary keys does not matter."""
    text = orjson.dumps(parts, default=str, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    return hashlib.blake2b(text, digest_size=16).hexdigest()


class PartialResults:
    """A file from which an interrupted test continues.

    The first line says which test the file belongs to, every further line is one video and is on
    the disk before the next video starts. A last line cut off by a crash is dropped. A file of
    another test is renamed, never deleted.

    Args:
        path: The file; its folder is made.
        identity: What must be equal for results to be taken over, e.g. hashes of weights and
            config.
    """

    def __init__(self, path: str | os.PathLike[str], identity: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self.identity = dict(identity)
        self.notes: list[str] = []
        self._header = {"format": _FORMAT, **self.identity}
        self._file: BufferedRandom | None = None

    def read(self) -> dict[int, VideoTracks]:
        """Return the finished videos of this test by id; open the file for appending.

        What had to be decided about an existing file is said in ``notes``.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        finished, size = self._parse() if self.path.exists() else ({}, 0)
        self._file = self.path.open("r+b" if self.path.exists() else "w+b")
        self._file.truncate(size)
        self._file.seek(0, os.SEEK_END)
        if size == 0:
            self._write(self._header)
        return finished

    def peek(self) -> dict[int, VideoTracks]:
        """Return the finished videos of this test without opening or changing the file."""
        lines = self.path.read_bytes().splitlines(keepends=True)
        if not lines or _record(lines[0]) != self._header:
            return {}
        records = [record for line in lines[1:] if (record := _record(line)) is not None]
        return {record["video"]["video_id"]: VideoTracks.from_dict(record) for record in records}

    def append(self, tracks: VideoTracks) -> None:
        """Add a finished video; when this returns it survives a crash.

        Raises:
            RuntimeError: If :meth:`read` has not opened the file.
        """
        self._write(tracks.to_dict())

    def close(self, remove: bool = False) -> None:
        """Close the file and, when the test is complete, remove it."""
        if self._file is not None:
            self._file.close()
            self._file = None
        if remove:
            self.path.unlink(missing_ok=True)

    def _write(self, record: dict[str, Any]) -> None:
        if self._file is None:
            raise RuntimeError(f"{self.path} is not open; call read() first")
        self._file.write(orjson.dumps(record) + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def _parse(self) -> tuple[dict[int, VideoTracks], int]:
        lines = self.path.read_bytes().splitlines(keepends=True)
        header = _record(lines[0]) if lines else None
        if header != self._header:
            if lines:
                self._set_aside(_difference(header, self.identity))
            return {}, 0
        finished, size = {}, len(lines[0])
        for number, line in enumerate(lines[1:], start=2):
            record = _record(line)
            if record is None and number < len(lines):
                self._set_aside(f"line {number} is damaged")
                return {}, 0
            if record is None:
                self.notes.append(f"{self.path}: the last line is cut off; its video runs again")
                break
            tracks = VideoTracks.from_dict(record)
            finished[tracks.video.video_id] = tracks
            size += len(line)
        return finished, size

    def _set_aside(self, reason: str) -> None:
        number = 1
        while (aside := self.path.with_name(f"{self.path.stem}.{number}.old")).exists():
            number += 1
        os.replace(self.path, aside)
        self.notes.append(f"{self.path} is of another test ({reason}); it is kept as {aside}")


def _record(line: bytes) -> dict[str, Any] | None:
    if not line.endswith(b"\n"):
        return None
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return record if isinstance(record, dict) else None


def _difference(header: dict[str, Any] | None, identity: dict[str, Any]) -> str:
    if header is None or header.get("format") != _FORMAT:
        return "its first line is unreadable"
    names = [name for name, value in identity.items() if header.get(name) != value]
    return "other " + " and ".join(names)
