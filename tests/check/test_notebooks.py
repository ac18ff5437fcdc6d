# SPDX-License-Identifier: Apache-2.0
"""The notebooks run from beginning to end, with the installed wheel and an empty folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from environment import ROOT, Environment

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
EXECUTE = """
import sys
import nbformat
from nbclient import NotebookClient

notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, timeout=None).execute()
print(sum(cell.cell_type == "code" for cell in notebook.cells), "cells ran")
"""


@pytest.fixture(scope="module")
def with_jupyter(second_environment: Environment) -> Environment:
    second_environment.install("nbclient>=0.10", "ipykernel>=6")
    return second_environment


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(with_jupyter: Environment, tmp_path: Path, path: Path) -> None:
    printed = with_jupyter.run("python", "-c", EXECUTE, str(path), folder=tmp_path)
    assert "cells ran" in printed
