# SPDX-License-Identifier: Apache-2.0
"""Packages with entry points on a path: what an installation looks like to Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


def install(site: Path, package: str, entry: str, files: dict[str, str] | None = None) -> None:
    """Write the distribution ``package`` 1.2 with one entry point and the given files.

    Args:
        site: Folder on the path.
        package: Name of the distribution.
        entry: Line of the group, ``name = module``.
        files: Text by path below ``site``.
    """
    for name, text in (files or {}).items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(text)
    info = site / f"{package.replace('-', '_')}-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[visbench.plugins]\n{entry}\n")


def install_example(site: Path, name: str, entry: str) -> Path:
    """Copy the package of an example and return its folder."""
    install(site, name.replace("_", "-"), entry)
    return Path(shutil.copytree(EXAMPLES / name / name, site / name))


def run_python(site: Path, *words: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run Python with visbench and the packages of ``site`` on its path."""
    path = os.pathsep.join([str(ROOT), str(site)])
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "COLUMNS": "400"},
        capture_output=True,
        text=True,
        # Only against a hang: seconds of work take minutes where other processes have the cores.
        timeout=900,
    )
