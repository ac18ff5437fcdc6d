# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "tools" / "unpack_coco.sh"


def unpack(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", str(SCRIPT), *words], capture_output=True, text=True)


def test_archives_are_found_and_unpacked(tmp_path: Path) -> None:
    raw = tmp_path / "download" / "raw" / "Images"
    raw.mkdir(parents=True)
    for name in ("train2017", "val2017", "annotations_trainval2017"):
        with zipfile.ZipFile(raw / f"{name}.zip", "w") as archive:
            archive.writestr(f"{name}/file", name)
    done = unpack(str(tmp_path / "download"), str(tmp_path / "coco"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "coco" / "val2017" / "file").read_text() == "val2017"


def test_a_missing_archive_is_named(tmp_path: Path) -> None:
    done = unpack(str(tmp_path), str(tmp_path / "coco"))
    assert done.returncode == 1
    assert done.stderr == f"error: no train2017.zip below {tmp_path}; download it again\n"


def test_usage() -> None:
    done = unpack()
    assert done.returncode == 2
    assert done.stderr == "usage: bash tools/unpack_coco.sh FOLDER_WITH_ARCHIVES DATA_ROOT\n"
