# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from snippets import MODULE, ROOT
from workshop import copy_workshop, make_workshop

from visbench.registry import registries


@pytest.fixture(scope="session")
def filled_workshop(tmp_path_factory: pytest.TempPathFactory, tiny_youtube_vis: Path) -> Path:
    folder = tmp_path_factory.mktemp("workshop")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make_workshop(folder, tiny_youtube_vis)
    return folder


@pytest.fixture
def workshop(
    filled_workshop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A copy of the prepared folder, as the working directory; what pages register goes again."""
    folder = tmp_path / "workshop"
    copy_workshop(filled_workshop, folder)
    monkeypatch.chdir(folder)
    # For processes that tools start.
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    yield folder
    for registry in registries():
        own = [key for key, value in registry.module_dict.items() if value.__module__ == MODULE]
        for key in own:
            del registry.module_dict[key]
