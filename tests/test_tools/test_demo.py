# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / "demo.py"), *words]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "", "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_help_teaches_by_examples() -> None:
    done = _run("--help")
    assert done.returncode == 0
    assert "examples:" in done.stdout
    assert "--max-frames 300" in done.stdout


def test_a_missing_file_is_one_line_and_status_2(tmp_path: Path) -> None:
    done = _run("none.py", "none.pth", str(tmp_path), "--out", str(tmp_path / "out.mp4"))
    assert done.returncode == 2
    assert done.stderr.startswith("error: config none.py is neither a file nor")
    assert len(done.stderr.splitlines()) == 1
