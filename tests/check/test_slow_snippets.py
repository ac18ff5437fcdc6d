# SPDX-License-Identifier: Apache-2.0
"""Pages with blocks under ``<!-- slow -->``, with these blocks."""

from __future__ import annotations

from pathlib import Path

import pytest
from snippets import PAGES, ROOT, blocks, run_page
from workshop import filled_workshop, workshop

__all__ = ["filled_workshop", "workshop"]

SLOW = [page for page in PAGES if any(block.slow for block in blocks(page))]


@pytest.mark.parametrize("page", SLOW, ids=lambda page: str(page.relative_to(ROOT)))
@pytest.mark.usefixtures("workshop")
def test_slow_snippets(page: Path) -> None:
    run_page(page, slow=True)
