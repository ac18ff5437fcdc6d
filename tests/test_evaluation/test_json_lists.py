# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from visbench.evaluation import InputError
from visbench.evaluation.json_lists import read_json_records

RECORDS: list[dict[str, Any]] = [
    {"a": 'brace } and quote " and backslash \\', "b": [{"c": "}{"}, {"d": {}}]},
    {},
    {"e": "\\\\", 'f"{': "][", "g": None},
]


def write(path: Path, text: bytes) -> Path:
    path.write_bytes(text)
    return path


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("where", [0, 1, 2])
def test_long_list_is_read_object_by_object(indent: int | None, where: int, tmp_path: Path) -> None:
    items: list[tuple[str, Any]] = [("videos", [{"id": 1}]), ("info", {"a": "x } ] {"})]
    items.insert(where, ("annotations", RECORDS))
    path = write(tmp_path / "gt.json", json.dumps(dict(items), indent=indent).encode())
    content, records = read_json_records(path, "annotations")
    assert records is not None
    assert {**content, "annotations": list(records)} == dict(items)


@pytest.mark.parametrize(
    "content",
    [
        {"videos": []},
        {"annotations": None},
        {"annotations": [1, {"a": 2}]},
        {"annotations": [{"a": 2}, None]},
        {"other": {"annotations": [{"a": 2}]}},
        {"annotations": [{"annotations": [{"a": 1}]}]},
        {"note": '"annotations": [{"a": 1}]', "annotations": [{"a": 2}]},
        [{"annotations": [{"a": 2}]}],
    ],
)
def test_other_content_is_read_whole(content: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "gt.json", json.dumps(content).encode())
    found, records = read_json_records(path, "annotations")
    if records is not None:
        found = {**found, "annotations": list(records)}
    assert found == content


def test_broken_object_of_a_long_list_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "gt.json", b'{"videos": [], "annotations": [{"a": 1}, {"a" 2}]}')
    with pytest.raises(InputError, match="malformed JSON"):
        _, records = read_json_records(path, "annotations")
        list(records or ())
