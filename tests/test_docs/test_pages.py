# SPDX-License-Identifier: Apache-2.0
"""What can be seen of the pages without building the site."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from snippets import PAGES, ROOT, blocks

DOCS = ROOT / "docs"
PATH = re.compile(r"`((?:configs|tools|docs|examples|tests|benchmarks|visbench)/[\w./-]*\w)`")
"""A path of the repository in running text."""


def pages_of(navigation: Any) -> Iterator[str]:
    """Yield the pages of a part of mkdocs.yml's ``nav``."""
    if isinstance(navigation, str):
        yield navigation
    elif isinstance(navigation, dict):
        yield from pages_of(list(navigation.values()))
    else:
        for item in navigation:
            yield from pages_of(item)


def test_every_page_is_in_the_navigation() -> None:
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    listed = list(pages_of(settings["nav"]))
    assert len(listed) == len(set(listed))
    assert set(listed) == {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_paths_in_the_text_exist(page: Path) -> None:
    named = {name for name in PATH.findall(page.read_text()) if "METHOD" not in name}
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_code_is_fenced(page: Path) -> None:
    """Indented blocks would escape the test of snippets."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert (
        re.findall(r"^ {4,}(?:python |from visbench|import visbench|mim |pip )", text, re.M) == []
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_comments_above_blocks_are_understood(page: Path) -> None:
    for block in blocks(page):
        assert not block.comment or block.not_run or block.slow, f"{block.place}: {block.comment}"


@pytest.mark.parametrize("path", sorted((DOCS / "notebooks").glob("*.ipynb")), ids=lambda p: p.stem)
def test_notebooks_are_stored_without_outputs(path: Path) -> None:
    notebook = json.loads(path.read_text())
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    for cell in code:
        compile("".join(cell["source"]), path.name, "exec")


@pytest.fixture(scope="module")
def roles() -> ModuleType:
    pytest.importorskip("griffe")
    path = DOCS / "extensions" / "docstring_roles.py"
    spec = importlib.util.spec_from_file_location("docstring_roles", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_roles_of_docstrings_become_links(roles: ModuleType) -> None:
    text = roles.to_markdown("See :class:`~a.b.C` and :func:`d`.")
    assert '<autoref identifier="a.b.C" optional><code>C</code></autoref>' in text
    assert '<autoref identifier="d" optional><code>d</code></autoref>' in text
    named = roles.to_markdown("see :meth:`b.c\n    <a.b.c>`")
    assert named == 'see <autoref identifier="a.b.c" optional><code>b.c</code></autoref>'
    assert roles.to_markdown("So::\n\n    x = 1") == "So:\n\n    x = 1"
