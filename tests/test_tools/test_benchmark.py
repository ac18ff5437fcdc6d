# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / "benchmark.py"), "compare", *words]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "", "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_help_teaches_by_examples() -> None:
    done = _run("--help")
    assert done.returncode == 0
    assert "compare --suite demo --work-dir work_dirs/demo" in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "error: nothing to compare; give --suite or config files\n"),
        (("none.py",), "error: config none.py is neither a file nor the name"),
        (("--results", "a=a.json"), "error: --results needs --annotations FILE"),
        (("a.py", "--class-agnostic"), "error: --annotations and --class-agnostic go with"),
        (("--results", "a=a", "a=b", "--annotations", "c"), "error: --results: two results are"),
        (("--results", "a=none.json", "--annotations", "c.json"), "error: --annotations c.json:"),
    ],
)
def test_errors_are_one_line_and_status_2(
    tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    done = _run(*words, "--work-dir", str(tmp_path / "work"))
    assert done.returncode == 2
    assert done.stderr.startswith(message)
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "work").exists()


def test_a_device_that_is_not_there_starts_nothing(tmp_path: Path) -> None:
    config = tmp_path / "a.py"
    config.write_text("a = 1\n")
    done = _run(str(config), "--device", "tpu", "--work-dir", str(tmp_path / "work"))
    assert done.returncode == 2
    assert "device 'tpu' is unknown; use cpu, cuda, cuda:N or mps" in done.stderr
    assert not (tmp_path / "work").exists()
