# SPDX-License-Identifier: Apache-2.0
"""The wheel and the source distribution."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path
from typing import Any

from environment import ROOT


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def files_below(folder: Path) -> set[str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {p.relative_to(folder).as_posix() for p in files if "__pycache__" not in p.parts}


def test_wheel_holds_what_mim_needs(wheel: Path) -> None:
    names = set(contents(wheel))
    for folder in ("configs", "tools"):
        wanted = {f"visbench/.mim/{folder}/{name}" for name in files_below(ROOT / folder)}
        assert wanted <= names
    assert {"visbench/.mim/model-index.yml", "visbench/.mim/dataset-index.yml"} <= names
    assert {f"visbench/{name}" for name in files_below(ROOT / "visbench")} <= names
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"visbench"}


def test_wheel_from_the_source_distribution_is_equal(
    builder: Any, wheel: Path, tmp_path: Path
) -> None:
    sdist = builder.build(ROOT, "sdist", tmp_path / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    again = builder.build(tmp_path / sdist.name.removesuffix(".tar.gz"), "wheel", tmp_path / "dist")
    assert contents(again) == contents(wheel)
