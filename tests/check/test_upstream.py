# SPDX-License-Identifier: Apache-2.0
"""Upstream MMDetection in place of its maintained successor."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from environment import ROOT, execute


def test_upstream_trains_resumes_and_tests(wheel: Path, tmp_path: Path) -> None:
    script = [str(ROOT / "tools" / "upstream_env.sh"), str(tmp_path / "venv"), str(wheel)]
    said = execute(["env", f"BORROW={sys.executable}", "bash", *script], tmp_path)
    assert "resumed epoch: 0, iter: 2" in said
    assert len(re.findall(r"Saving checkpoint at 2 iterations", said)) == 1
    assert "Saving checkpoint at 4 iterations" in said
    assert re.search(r"^mmdet +3\.3\.0", said, re.MULTILINE)
    assert "onedl" not in said.rpartition("Saving checkpoint at 4 iterations")[2]
    assert list((tmp_path / "venv" / "trial" / "work_dirs").rglob("results.json"))
