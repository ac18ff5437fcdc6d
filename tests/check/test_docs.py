# SPDX-License-Identifier: Apache-2.0
"""The documentation site, built strictly where visbench was installed with its extra ``docs``."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from environment import ROOT, Environment

LOADED = re.compile(r"<(?:script|img|iframe|link)\b[^>]*?\b(?:src|href)=\"?(https?:[^\s\">]+)")
"""What a browser fetches by itself, unlike a link that a reader follows."""


@pytest.fixture(scope="module")
def site(second_environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    second_environment.install("visbench[docs]")
    folder = tmp_path_factory.mktemp("docs") / "site"
    words = ("-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder))
    second_environment.run("python", *words, folder=ROOT)
    return folder


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 20
    assert {page.name: found for page in pages if (found := LOADED.findall(page.read_text()))} == {}
    fonts = [path for path in site.rglob("*.css") if "fonts.googleapis" in path.read_text()]
    assert fonts == []


def test_reference_has_the_public_names(site: Path) -> None:
    for page, names in {
        "evaluation": ("evaluate", "VideoEvaluator", "check_results"),
        "apis": ("VISInferencer", "open_source"),
        "structures": ("VideoTracks", "to_mots_text"),
        "models": ("OnlineVISModel", "VideoState"),
        "benchmark": ("compare", "RowStore"),
        "plugins": ("find_plugins",),
        "testing": ("ConformanceCase", "conformance_tests"),
    }.items():
        text = (site / "reference" / f"{page}.html").read_text()
        for name in names:
            assert re.search(rf'id="visbench\.[\w.]*\b{name}"', text), (page, name)
        # Roles of Sphinx mean nothing here.
        assert not re.findall(r":(?:class|func|meth|mod|data):", text)


def test_notebooks_can_be_downloaded(site: Path) -> None:
    assert {path.name for path in (site / "notebooks").glob("*.ipynb")} == {
        path.name for path in (ROOT / "docs" / "notebooks").glob("*.ipynb")
    }
