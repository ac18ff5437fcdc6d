# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from visbench.files import partial_path, replacing, write_file, write_json


def test_a_file_is_replaced_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    write_file(path, "old")
    with replacing(path) as partial:
        partial.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_an_error_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    write_file(path, b"old")
    with pytest.raises(KeyError), replacing(path) as partial:
        partial.write_text("half")
        raise KeyError
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_no_one_wrote_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "file.txt"):
        pass


def test_texts_are_utf8_and_json_is_for_eyes_if_wanted(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    for indent, text in ((False, '{"a":"é"}'), (True, '{\n  "a": "é"\n}')):
        write_json(path, {"a": "é"}, indent=indent)
        assert path.read_bytes() == text.encode()
        assert orjson.loads(path.read_bytes()) == {"a": "é"}


def test_partial_files_are_hidden_neighbours(tmp_path: Path) -> None:
    assert partial_path(tmp_path / "a.json") == tmp_path / ".a.json.partial"
