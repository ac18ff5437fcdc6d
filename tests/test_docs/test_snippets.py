# SPDX-License-Identifier: Apache-2.0
"""Every Python and bash block of README.md and docs/ runs, or is checked where it cannot run."""

from __future__ import annotations

from pathlib import Path

import pytest
from snippets import ROOT, Block, check, parametrize_pages, run_page


@parametrize_pages()
@pytest.mark.usefixtures("workshop")
def test_snippets(page: Path) -> None:
    run_page(page, slow=False)


def block(text: str, language: str = "bash") -> Block:
    return Block(ROOT / "README.md", 1, language, text, "not run: a test")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("python tools/none.py", "none.py does not exist"),
        ("python tools/train.py CONFIG --none", "does not accept"),
        ("python tools/train.py configs/iai/none.py", "none.py"),
        ("python tools/benchmark.py compare none_movingshapes", "none_movingshapes"),
        ("bash tools/dist_train.sh configs/iai/none.py 8", "none.py"),
        ("pip install 'visbench[none]'", "no extra none"),
        ("make none", "no target none"),
        ("mim train visbench none.py", "none.py"),
        ("mim run visbench none", "none.py does not exist"),
        ("curl example.org", "nobody checks curl"),
    ],
)
def test_checks_notice(text: str, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        check(block(text))


def test_imports_are_checked() -> None:
    check(block("from visbench.evaluation import evaluate", "python"))
    with pytest.raises(AssertionError, match="nothing"):
        check(block("from visbench.evaluation import nothing", "python"))
