# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
from pathlib import Path

import pytest

from visbench.engine.errors import ConfigError
from visbench.engine.outputs import prepare_output_file, prepare_output_folder


def test_missing_folders_are_made_and_nothing_is_left_in_them(tmp_path: Path) -> None:
    prepare_output_file(tmp_path / "a" / "b" / "out.json", "--out")
    prepare_output_folder(tmp_path / "c" / "d", "--out")
    prepare_output_file(None, "--out")
    prepare_output_folder(None, "--out")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert (tmp_path / "a" / "b").is_dir() and (tmp_path / "c" / "d").is_dir() and not files


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("kept")
    with pytest.raises(ConfigError, match=r"--csv: .*file/out\.csv cannot be written \(.*; choose"):
        prepare_output_file(file / "out.csv", "--csv")
    with pytest.raises(ConfigError, match=r"--out: .* is a folder; give the name of a file"):
        prepare_output_file(tmp_path, "--out")
    with pytest.raises(ConfigError, match=r"--out: .*file is a file; give a folder"):
        prepare_output_folder(file, "--out")
    with pytest.raises(ConfigError, match=r"--out: .*folder cannot be written"):
        prepare_output_folder(file / "folder", "--out")
    prepare_output_file(file, "--out")
    assert file.read_text() == "kept"


def test_write_protection_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(*args: object) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "out.json").touch(mode=0o400)
    monkeypatch.setattr(os, "access", lambda *args: False)
    with pytest.raises(ConfigError, match=r"out\.json is write-protected"):
        prepare_output_file(tmp_path / "out.json", "--out")
    monkeypatch.setattr(Path, "touch", read_only)
    with pytest.raises(ConfigError, match=r"cannot be written \(Permission denied\)"):
        prepare_output_folder(tmp_path, "--out")
