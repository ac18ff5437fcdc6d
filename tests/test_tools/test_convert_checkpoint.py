# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run_tool(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / "convert_checkpoint.py"), *words]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "", "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_help_teaches_by_examples() -> None:
    done = run_tool("--help")
    assert done.returncode == 0
    assert "--source sparse_rcnn" in done.stdout


def test_errors_are_one_line_and_status_1(tmp_path: Path) -> None:
    config = "configs/inspro/inspro_demo_movingshapes.py"
    missing = tmp_path / "none.pth"
    words = ("--source", "inspro", str(missing), "--out", str(tmp_path / "out.pth"))
    done = run_tool(str(ROOT / config), *words)
    assert done.returncode == 1
    assert done.stderr == f"error: checkpoint {missing} does not exist; check the path\n"
    assert list(tmp_path.iterdir()) == []
