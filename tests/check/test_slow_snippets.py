# SPDX-License-Identifier: Apache-2.0
"""Pages with blocks under ``<!-- slow -->``, with these blocks."""

from __future__ import annotations

from pathlib import Path

import pytest
from snippets import PAGES, ROOT, blocks, run_page

SLOW = [page for page in PAGES if any(block.slow for block in blocks(page))]


@pytest.mark.parametrize("page", SLOW, ids=lambda page: str(page.relative_to(ROOT)))
def test_slow_snippets(page: Path, workshop: Path) -> None:
    run_page(page, slow=True)
