# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visbench.datasets.imagenet import xml_files
from visbench.datasets.imagenet.xml_files import XMLFrame, XMLObject, read_xml

Write = Callable[[str], Path]
BOX = "<bndbox><xmax>30</xmax><xmin>1</xmin><ymax>40.5</ymax><ymin>2</ymin></bndbox>"
OBJECT = f"<object><trackid>0</trackid><name>n02691156</name>{BOX}</object>"
SIZE = "<size><width>96</width><height>64</height></size>"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def make(text: str) -> Path:
        path = tmp_path / "000003.xml"
        path.write_text(text)
        return path

    return make


def test_a_file_is_read(write: Write) -> None:
    track = XMLObject("n02691156", (1, 2, 30, 40.5), "0")
    text = f"<annotation><folder>a</folder>{SIZE}{OBJECT}{OBJECT}</annotation>"
    assert read_xml(write(text)) == XMLFrame(64, 96, [track, track])
    assert read_xml(write(f"<annotation>{SIZE}</annotation>")).objects == []
    still = OBJECT.replace("<trackid>0</trackid>", "")
    assert read_xml(write(f"<a>{SIZE}{still}</a>")).objects == [track._replace(track=None)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is no XML file .*fetch the file again"),
        (f"<annotation>{SIZE}", "is no XML file"),
        ('<?xml version="1.0" encoding="none"?><a/>', "is no XML file .*encoding"),
        ('<?xml version="1.0" encoding="gbk"?><a/>', "is no XML file .*encoding"),
        ("<a>" * 40_000 + "</a>" * 40_000, "field 'a/size/height' is missing"),
        (f"<annotation>{OBJECT}</annotation>", "field 'annotation/size/height' is missing"),
        (f"<annotation>{SIZE.replace('64', '0')}</annotation>", "'size': 0x96 is not positive"),
        (f"<annotation>{SIZE.replace('64', 'x')}</annotation>", "'x' is not a number"),
        (f"<annotation>{SIZE.replace('64', 'inf')}</annotation>", "'inf' is not a number"),
        (
            f"<annotation>{SIZE}{OBJECT.replace('30', 'nan')}</annotation>",
            "field 'object/bndbox/xmax': 'nan' is not a number",
        ),
        (
            f"<annotation>{SIZE}{OBJECT.replace('n02691156', ' ')}</annotation>",
            "field 'object/name' is missing",
        ),
    ],
)
def test_malformed_files_are_named(write: Write, text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as error:
        read_xml(write(text))
    assert "000003.xml" in str(error.value)


@pytest.mark.parametrize(
    "prolog",
    [
        '<!DOCTYPE a [<!ENTITY x "yyyyyyyyyy"><!ENTITY z "&x;&x;&x;&x;">]>',
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE a SYSTEM "http://localhost/a.dtd">',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_document_types_are_refused(write: Write, prolog: str, encoding: str) -> None:
    path = write("")
    path.write_bytes(f"{prolog}<annotation>{SIZE}</annotation>".encode(encoding))
    with pytest.raises(ValueError, match=r"000003\.xml: the document type 'a' is refused"):
        read_xml(path)


def test_huge_files_are_refused(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xml_files, "MAX_BYTES", 80)
    with pytest.raises(ValueError, match=r"bytes are too many.*at most 80"):
        read_xml(write(f"<annotation>{SIZE}{OBJECT}</annotation>"))


@given(st.binary(max_size=200) | st.text(alphabet="<>/axmlsize0 ?!", max_size=60).map(str.encode))
@settings(max_examples=100, deadline=None)
def test_any_file_is_read_or_named(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "any.xml")
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"any\.xml"):
            read_xml(path)
