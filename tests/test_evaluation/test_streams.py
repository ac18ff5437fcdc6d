# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visbench.evaluation import InputError, streams
from visbench.evaluation.json_files import read_json
from visbench.evaluation.streams import iterate_records

RECORDS: list[dict[str, Any]] = [
    {"a": 'brace } and quote " and backslash \\', "b": [{"c": "}{"}, {"d": {}}]},
    {},
    {"e": "\\\\", 'f"{': "][", "g": None},
]


def write(path: Path, text: bytes) -> Path:
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text))
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("results.json", text)
    else:
        path.write_bytes(text)
    return path


@pytest.mark.parametrize("name", ["r.json", "r.json.gz", "r.zip", "without_suffix"])
@pytest.mark.parametrize("indent", [None, 2])
def test_records_of_every_container(name: str, indent: int | None, tmp_path: Path) -> None:
    path = write(tmp_path / name, json.dumps(RECORDS, indent=indent).encode())
    assert list(iterate_records(path)) == RECORDS
    assert read_json(path) == RECORDS


@settings(max_examples=150, deadline=None)
@given(
    records=st.lists(
        st.dictionaries(
            st.text(st.sampled_from('ab"\\{}[], é'), max_size=6),
            st.recursive(
                st.none() | st.integers(0, 9) | st.text(st.sampled_from('"\\{}[],:\n'), max_size=8),
                lambda inner: (
                    st.lists(inner, max_size=3)
                    | st.dictionaries(st.text(max_size=2), inner, max_size=2)
                ),
                max_leaves=6,
            ),
            max_size=3,
        ),
        max_size=5,
    ),
    block=st.integers(1, 40),
    ascii_only=st.booleans(),
)
def test_cutting_agrees_with_a_parser_whatever_the_block_size(
    records: list[dict[str, Any]],
    block: int,
    ascii_only: bool,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("streams") / "r.json"
    path.write_bytes(json.dumps(records, ensure_ascii=ascii_only).encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "BLOCK_SIZE", block)
        assert list(iterate_records(path)) == records


MALFORMED = {
    "empty": (b"", "is empty"),
    "blank": (b" \n ", "is empty"),
    "object": (b'{"results": []}', "must be a JSON list"),
    "number": (b"7", "must be a JSON list"),
    "unclosed list": (b'[{"a": 1}', "list is not closed"),
    "unclosed object": (b'[{"a": 1}, {"a": 2', "list is not closed"),
    "unclosed string": (b'[{"a": "x}]', "list is not closed"),
    "no comma": (b'[{"a": 1} {"a": 2}]', "where a comma is expected"),
    "two commas": (b'[{"a": 1},, {"a": 2}]', "where a comma is expected"),
    "leading comma": (b'[, {"a": 1}]', "where the first object is expected"),
    "trailing comma": (b'[{"a": 1},]', "list is not closed properly"),
    "no object": (b'[{"a": 1}, 5]', "list is not closed properly"),
    "nested list": (b'[[{"a": 1}]]', "where the first object is expected"),
    "text behind": (b'[{"a": 1}] x', "list is not closed properly"),
    "broken object": (b'[{"a": 1}, {"a" 2}]', "record 1: malformed JSON"),
    "surplus brace": (b'[{"a": 1}}, {"a": 2}]', "comma is expected|closed properly"),
    "binary": (b"\x00\x01\x02\x03", "must be a JSON list"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_text_is_an_error(name: str, tmp_path: Path) -> None:
    text, words = MALFORMED[name]
    path = write(tmp_path / "r.json", text)
    with pytest.raises(InputError, match=words) as caught:
        list(iterate_records(path))
    assert caught.value.source == str(path)


def test_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    path = write(tmp_path / "r.json", b"\xef\xbb\xbf" + json.dumps(RECORDS).encode())
    assert list(iterate_records(path)) == RECORDS
    assert read_json(path) == RECORDS


@pytest.mark.parametrize("name", ["r.json.gz", "r.zip"])
def test_truncated_archive_is_an_error(name: str, tmp_path: Path) -> None:
    noise = "".join(chr(48 + (i * i * 7919) % 64) for i in range(4000))
    path = write(tmp_path / name, json.dumps([{"a": noise}]).encode())
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    for read in (read_json, lambda p: list(iterate_records(p))):
        with pytest.raises(InputError, match="damaged or cut off"):
            read(path)


def test_damaged_zip_content_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "r.zip", json.dumps(RECORDS).encode())
    content = bytearray(path.read_bytes())
    content[45] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged or cut off"):
        list(iterate_records(path))


def test_missing_file_says_what_is_there(tmp_path: Path) -> None:
    write(tmp_path / "other.json", b"[]")
    for read in (read_json, lambda p: list(iterate_records(p))):
        with pytest.raises(InputError, match=r"no such file. Here is: other.json"):
            read(tmp_path / "r.json")
    with pytest.raises(InputError, match="cannot be read"):
        read_json(tmp_path)


def test_record_that_never_ends_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MAX_RECORD", 1000)
    monkeypatch.setattr(streams, "BLOCK_SIZE", 100)
    path = write(tmp_path / "r.json", b'[{"a": "' + b"x" * 5000 + b'"}]')
    with pytest.raises(InputError, match="record 0: is longer than 1000 bytes"):
        list(iterate_records(path))


@pytest.mark.parametrize("text", [b'{"score": NaN}', b'{"score": Infinity}'])
def test_numbers_that_only_python_writes_are_read(text: bytes, tmp_path: Path) -> None:
    (record,) = iterate_records(write(tmp_path / "r.json", b"[" + text + b"]"))
    assert not abs(record["score"]) < 1e308


def test_nesting_without_end_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "r.json", b'[{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}]")
    with pytest.raises(InputError, match="record 0: malformed JSON"):
        list(iterate_records(path))
